"""The annotations that mean something to the reconciler, and on which kind of manifest they may stand.

Keys beginning with ``reconciler/`` are ours: an unknown one is a mistake. Every other key is free. Forbidden here: what
an annotation does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from schemas.base import AnnotationValues, Metadata

PREFIX: Final = "reconciler/"
PRUNE: Final = "reconciler/prune"
RENAMED_FROM: Final = "reconciler/renamed-from"

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

Known = Mapping[str, Mapping[str, Any]]
OF_APPLICATION: Final[Known] = {
    PRUNE: {
        "enum": ["allow", "never"],
        "description": "allow: its jobs may go however many they are. never: none of its jobs is ever removed.",
    }
}
OF_API: Final[Known] = {
    RENAMED_FROM: {
        "type": "string",
        "pattern": f"^{_LABEL}/{_LABEL}$",
        "description": "The job, as application/api, whose history and next run this one takes over.",
    }
}


def _extra(known: Known) -> dict[str, Any]:
    """JSON Schema for editors: what is known is offered, and no other key may begin with our prefix."""
    free: list[dict[str, Any]] = [{"not": {"pattern": f"^{PREFIX}"}}]
    return {
        "properties": {key: dict(rule) for key, rule in known.items()},
        "propertyNames": {"minLength": 1, "maxLength": 253, "anyOf": [{"enum": list(known)}, *free]},
    }


_FREE: Final = "Key-value pairs for tools; keys that begin with `reconciler/` are the reconciler's own"
ApplicationAnnotations = Annotated[
    AnnotationValues, Field(description=f"{_FREE}: `{PRUNE}`.", json_schema_extra=_extra(OF_APPLICATION))
]
ApiAnnotations = Annotated[
    AnnotationValues, Field(description=f"{_FREE}: `{RENAMED_FROM}`.", json_schema_extra=_extra(OF_API))
]


class ApplicationMetadata(Metadata):
    """What an Application is called, how it is labelled, and whether its jobs may go."""

    annotations: ApplicationAnnotations = Field(default={})
