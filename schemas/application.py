"""``kind: Application``: a service whose endpoints are called; it owns Apis, defaults and limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.annotations import ApplicationMetadata
from schemas.api import InlineApi, Policies
from schemas.auth import Auth
from schemas.base import MAX_ITEMS, CallRate, Description, Few, Manifest, PositiveDuration, Strict
from schemas.request import Headers, Parameters, Url


class Defaults(Policies):
    """What every Api of this Application starts from."""

    headers: Headers = Field(
        default={}, description="Sent with every call; an Api's own headers win. A value may be a secret."
    )
    query: Parameters = Field(
        default={}, description="Sent with every call; an Api's own parameters win. A value may be a secret."
    )


class Limits(Strict):
    """Bounds on what this Application's target is asked to bear."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="At most so many calls in flight at once."
    )
    rate: CallRate | None = Field(
        default=None,
        description="At most so many calls in any span of this length: `100/1m`, `10/s`. Who begins to lead counts the "
        "calls of the leader before; what is triggered on a standby is counted there alone.",
    )


class History(Strict):
    """How long the runs of this Application are kept. The newest run of each job always stays."""

    keep_for: PositiveDuration | None = Field(default=None, description="Runs that did not fail; 30d.")
    keep_failures_for: PositiveDuration | None = Field(
        default=None,
        description="Runs that failed, were missed or are unknown; 90d, or `keepFor` where that is longer.",
    )
    keep_per_job: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="At most so many runs of one job; what did not fail goes first. 1000."
    )


class ApplicationSpec(Strict):
    """Where the service is, and what its Apis share."""

    description: Description = ""
    base_url: Url | None = Field(default=None, description="What every `path` is appended to.")
    suspend: bool = Field(default=False, description="Declared stop of all its Apis.")
    auth: Auth | None = Field(default=None, description="How its calls authenticate.")
    defaults: Defaults = Field(default=Defaults(), description="What every Api of it starts from.")
    limits: Limits = Field(default=Limits(), description="What its target is asked to bear at most.")
    history: History | None = Field(
        default=None,
        description="How long its runs are kept; as the reconciler's settings say, unless this stands here.",
    )
    apis: Annotated[tuple[InlineApi, ...], Field(strict=False, max_length=MAX_ITEMS), Few] = Field(
        default=(), description="Apis written here instead of in documents of their own."
    )


class Application(Manifest):
    """A service whose endpoints are called."""

    kind: Annotated[Literal["Application"], Field(description="Application")]
    metadata: ApplicationMetadata = Field(description="What it is called, how it is labelled, whether its jobs may go.")
    spec: ApplicationSpec = Field(description="Where the service is, and what its Apis share.")
