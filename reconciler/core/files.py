"""Which files of a source are manifests, whatever the source is. Forbidden here: reading any."""

from __future__ import annotations

SUFFIXES = (".yaml", ".yml")
MAX_FILE_BYTES = 1 << 20
