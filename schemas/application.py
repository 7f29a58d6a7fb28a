"""``kind: Application``: a service whose endpoints are called; it owns Apis, defaults and limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.annotations import ApplicationMetadata
from schemas.api import InlineApi, Policies
from schemas.base import Description, Manifest, Strict
from schemas.request import Headers, Parameters, Url


class Defaults(Policies):
    """What every Api of this Application starts from."""

    headers: Headers = Field(default={}, description="Sent with every call; an Api's own headers win.")
    query: Parameters = Field(default={}, description="Sent with every call; an Api's own parameters win.")


class Limits(Strict):
    """Bounds on what this Application's target is asked to bear."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="At most so many calls in flight at once."
    )


class ApplicationSpec(Strict):
    """Where the service is, and what its Apis share."""

    description: Description = ""
    base_url: Url | None = Field(default=None, description="What every `path` is appended to.")
    suspend: bool = Field(default=False, description="Declared stop of all its Apis.")
    defaults: Defaults = Field(default=Defaults(), description="What every Api of it starts from.")
    limits: Limits = Field(default=Limits(), description="What its target is asked to bear at most.")
    apis: Annotated[tuple[InlineApi, ...], Field(strict=False)] = Field(
        default=(), description="Apis written here instead of in documents of their own."
    )


class Application(Manifest):
    """A service whose endpoints are called."""

    kind: Annotated[Literal["Application"], Field(description="Application")]
    metadata: ApplicationMetadata = Field(description="What it is called, how it is labelled, whether its jobs may go.")
    spec: ApplicationSpec = Field(description="Where the service is, and what its Apis share.")
