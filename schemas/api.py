"""``kind: Api``: one endpoint of an Application and the schedule on which it is called.

``Policies`` are the fields that an Application's ``defaults`` may set as well. Forbidden here: the merging of the two.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.annotations import ApiAnnotations
from schemas.auth import ApiAuth
from schemas.base import (
    Description,
    Duration,
    Labels,
    Manifest,
    Metadata,
    Name,
    PositiveDuration,
    Strict,
    Zone,
)
from schemas.request import Expect, Request, Retry
from schemas.schedule import Except, Instant, Only, Schedule

ConcurrencyPolicy = Literal["Allow", "Forbid", "Replace"]
CatchUp = Literal["none", "latest", "all"]
Delivery = Literal["atMostOnce", "atLeastOnce"]


class Policies(Strict):
    """How calls are made, whichever Api they belong to. What is left out comes from above."""

    time_zone: Zone | None = Field(default=None, description="The zone of the schedule; UTC unless declared.")
    timeout: PositiveDuration | None = Field(
        default=None, description="Total time for one attempt, from connecting to the last byte; 30s."
    )
    expect: Expect | None = Field(default=None, description="Which answer counts as success; any 2xx.")
    retry: Retry | None = Field(default=None, description="Trying again after failures; not unless declared.")
    concurrency_policy: ConcurrencyPolicy | None = Field(
        default=None,
        description="When a slot comes while its predecessor still runs; Forbid. Replace cancels the predecessor; one "
        "that another process makes cannot be cancelled, so that the slot is skipped.",
    )
    starting_deadline: PositiveDuration | None = Field(
        default=None,
        description="How late a slot may still start, counted from the slot and its jitter, whatever it waits for; "
        "later it is recorded as missed. 1h.",
    )
    catch_up: CatchUp | None = Field(default=None, description="Which slots of a downtime are made up; latest.")
    delivery: Delivery | None = Field(
        default=None,
        description="After a crash: send again under the same Idempotency-Key, or never. "
        "atLeastOnce for GET, HEAD, PUT, DELETE, OPTIONS; atMostOnce for POST and PATCH.",
    )
    jitter: Duration | None = Field(
        default=None, description="Calls are spread over this time after the slot, always alike for one job."
    )
    stop_after_failures: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None,
        description="After so many failures in a row the job is paused until somebody resumes it; 0: never.",
    )


class ApiSpec(Policies):
    """What is called, and when."""

    description: Description = ""
    schedule: Schedule = Field(
        description="When: a cron string, or a mapping with one of cron, every, at, frequency, after."
    )
    starts_at: Instant | None = Field(default=None, description="No slot before this instant.")
    ends_at: Instant | None = Field(default=None, description="No slot after this instant.")
    but_not: Except = None
    only: Only = None
    request: Request = Field(default=Request(), description="What is called.")
    auth: ApiAuth | None = Field(
        default=None, description="How its calls authenticate; as the Application declares, unless this stands here."
    )
    suspend: bool = Field(default=False, description="Declared stop: no slot is due while it is true.")


class InlineApi(ApiSpec):
    """An Api written within its Application."""

    name: Name
    labels: Labels = Field(default={})
    annotations: ApiAnnotations = Field(default={})


class ApiMetadata(Metadata):
    """An Api also says which Application it belongs to."""

    application: Name = Field(description="The Application that it belongs to, by name.")
    annotations: ApiAnnotations = Field(default={})


class Api(Manifest):
    """One endpoint of an Application and its schedule."""

    kind: Annotated[Literal["Api"], Field(description="Api")]
    metadata: ApiMetadata = Field(description="What it is called, and whose it is.")
    spec: ApiSpec = Field(description="What is called, and when.")
