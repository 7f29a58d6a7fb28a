"""What this process masks wherever it says something: one for the whole of it. Forbidden here: doing anything else.

A value that one part has read may turn up in what any other part says, a crash included.
"""

from __future__ import annotations

from typing import Final

from reconciler.core.redaction import Redactor

REDACTOR: Final = Redactor()
