"""``kind: Environment``: what is different in one environment, as patches of Applications and Apis.

Shapes only. What a patch may hold is decided by what it is merged with. Forbidden here: merging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.base import MAX_ITEMS, Description, Few, Manifest, Pattern, Strict


class Patch(Strict):
    """Fields to be merged into the spec of an Application, or of Apis of it."""

    application: Pattern = Field(description="The Application: its name, or a pattern with `*` for several.")
    api: Pattern | None = Field(
        default=None, description="The Api: its name, or a pattern with `*`; the Application itself unless declared."
    )
    spec: Mapping[str, Any] = Field(
        description="Merged into their spec: mappings key by key, `null` removes a field, everything else replaces it."
    )


class EnvironmentSpec(Strict):
    """The patches, in the order in which they are applied."""

    description: Description = ""
    patches: Annotated[tuple[Patch, ...], Field(strict=False, max_length=MAX_ITEMS), Few] = Field(
        default=(), description="Applied in this order; of two that set one field the later wins."
    )


class Environment(Manifest):
    """What is different in one environment."""

    kind: Annotated[Literal["Environment"], Field(description="Environment")]
    spec: EnvironmentSpec = Field(description="What is different there.")
