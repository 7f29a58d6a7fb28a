"""Application and Api to job: defaults merged in, everything explicit.

Forbidden here: looking at a third manifest. What cannot become a job is said as faults of the Api, and not raised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel

from reconciler.core import auth as authenticating
from reconciler.core.declared import DeclaredApi, DeclaredApplication
from reconciler.core.desired_calendars import Days
from reconciler.core.model import Auth, Expectation, HttpRequest, Job, Rate, RetryPolicy, Schedule
from reconciler.core.requests import address_fault, compose
from reconciler.core.schedules import Fault, faults_beside, faults_of, resolve
from reconciler.errors import ScheduleError
from schemas.api import ApiSpec
from schemas.auth import Auth as DeclaredAuth
from schemas.request import Expect, Retry
from schemas.schedule import After
from schemas.schedule import Schedule as DeclaredSchedule

# Sending again does no harm with these (RFC 9110, section 9.2.2).
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# Policies that are inherited whole; their defaults are those of ``Job``.
_PLAIN: Final = (
    "timeout",
    "concurrency_policy",
    "starting_deadline",
    "catch_up",
    "delivery",
    "jitter",
    "stop_after_failures",
)


class Inheritance:
    """One Application, ready to turn its Apis into jobs; equal parts of them are one object."""

    def __init__(self, application: DeclaredApplication) -> None:
        self._spec = application.manifest.spec
        self._labels = application.manifest.metadata.labels
        self._own = self._spec.defaults
        self._shared: dict[Any, Any] = {}
        self._inherited = None if self._spec.auth is None else self._resolved_auth(self._spec.auth, shared=True)

    def job(self, api: DeclaredApi, days: Days) -> Job | tuple[Fault, ...]:
        """The Api as a job that runs on these days, or every fault that stands in the way."""
        spec = api.spec
        request, auth = self._call(spec)
        schedule = _scheduled(api, spec.time_zone or self._own.time_zone or "UTC")
        beside = (*faults_beside(spec.schedule, spec),)
        if beside or isinstance(schedule, tuple) or isinstance(request, str) or isinstance(auth, str):
            return (*beside, *_call_faults(request, auth), *(schedule if isinstance(schedule, tuple) else ()))
        return self._job(api, self._on_days(schedule, days), request, auth)

    def call_faults(self, spec: ApiSpec) -> tuple[Fault, ...]:
        """What is wrong with the calls of an Api, whatever becomes of its schedule."""
        return _call_faults(*self._call(spec))

    def _call(self, spec: ApiSpec) -> tuple[HttpRequest | str, Auth | str | None]:
        """Its request and how that authenticates, or why there is none."""
        fault = address_fault(spec.request, self._spec.base_url)
        request = None if fault is not None else self._request(spec)
        return request or str(fault), self._auth(spec, request)

    def _auth(self, spec: ApiSpec, request: HttpRequest | None) -> Auth | str | None:
        """How its calls authenticate, or why they cannot."""
        auth = self._inherited if spec.auth is None else self._resolved_auth(spec.auth, shared=False)
        if not isinstance(auth, Auth) or request is None:
            return auth
        return authenticating.header_fault(auth, request) or auth

    def _resolved_auth(self, declared: DeclaredAuth, *, shared: bool) -> Auth | str | None:
        return authenticating.resolve(declared, base_url=self._spec.base_url, shared=shared)

    def _on_days(self, schedule: Schedule, days: Days) -> Schedule:
        if not days.found:
            return schedule
        names = tuple(tuple(each.name for each in calendars) for calendars in (days.but_not, days.only))
        on_days = self._shared.get((schedule, names))
        if on_days is None:
            on_days = self._shared[schedule, names] = replace(schedule, but_not=days.but_not, only=days.only)
        return on_days

    def _job(self, api: DeclaredApi, schedule: Schedule, request: HttpRequest, auth: Auth | None) -> Job:
        spec = api.spec
        fields: dict[str, Any] = {
            "key": api.key,
            "description": spec.description,
            "labels": self._same({**self._labels, **api.labels}),
            "schedule": schedule,
            "request": request,
            "expect": self._expect(spec.expect),
            "retry": self._retry(spec.retry),
            "delivery": "atLeastOnce" if request.method in _IDEMPOTENT else "atMostOnce",
            "suspend": spec.suspend or self._spec.suspend,
            "auth": auth,
            "max_concurrency": self._spec.limits.concurrency,
            "max_rate": None if self._spec.limits.rate is None else Rate(*self._spec.limits.rate),
            "derived_from": "" if api.renamed_from is None else str(api.renamed_from),
        }
        for name in _PLAIN:
            value = getattr(spec, name)
            if value is None:
                value = getattr(self._own, name)
            if value is not None:
                fields[name] = value
        fields["stop_after_failures"] = fields.get("stop_after_failures") or None  # 0: never, whatever is inherited
        job = Job(**fields)
        return Job(**fields, file=api.file, line=api.line, digest=digest(job))

    def _request(self, spec: ApiSpec) -> HttpRequest:
        own = self._own
        request = compose(spec.request, base_url=self._spec.base_url, headers=own.headers, query=own.query)
        return replace(request, headers=self._same(request.headers))

    def _expect(self, declared: Expect | None) -> Expectation:
        fields = _fields(self._own.expect) | _fields(declared)
        body = fields.pop("body", None)
        expectation = Expectation(**fields, contains=body.contains if body else None)
        return self._shared.setdefault(expectation, expectation)  # type: ignore[no-any-return] # equal, so of one type

    def _retry(self, declared: Retry | None) -> RetryPolicy:
        policy = RetryPolicy(**(_fields(self._own.retry) | _fields(declared)))
        return self._shared.setdefault(policy, policy)  # type: ignore[no-any-return] # equal, so of one type

    def _same(self, mapping: Mapping[str, str]) -> Mapping[str, str]:
        """One object for equal mappings."""
        return self._shared.setdefault(tuple(mapping.items()), mapping)  # type: ignore[no-any-return] # as above


def digest(job: Job) -> str:
    """Of everything a job says but where it says it: 32 hexadecimal digits, the same on every machine."""
    schedule, request, expect, retry = job.schedule, job.request, job.expect, job.retry
    content: tuple[Any, ...] = (
        job.key,
        job.description,
        sorted(job.labels.items()),
        (schedule.declared, schedule.cron, _plain(schedule.every), _plain(schedule.at), schedule.zone),
        (_plain(schedule.starts_at), _plain(schedule.ends_at)),
        (request.method, request.url, sorted(request.headers.items()), request.body),
        (expect.status, expect.contains),
        (retry.limit, _plain(retry.initial_delay), float(retry.factor), _plain(retry.max_delay)),
        (_plain(job.timeout), job.concurrency_policy, _plain(job.starting_deadline), job.catch_up, job.delivery),
        (_plain(job.jitter), job.suspend, job.max_concurrency),
    )
    if job.derived_from:  # so that the digests of all other jobs stay what they are
        content += (job.derived_from,)
    if request.follow_redirects:
        content += (("followRedirects", request.follow_redirects),)
    content += tuple(_newer(job))
    return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:32]


def _newer(job: Job) -> Iterator[tuple[str, Any]]:
    """What older versions did not know, where it is declared: the digests of all other jobs stay what they are."""
    schedule = job.schedule
    if schedule.after is not None:
        yield "after", (schedule.after.key, schedule.after.on)
    for name, calendars in (("except", schedule.but_not), ("only", schedule.only)):
        if calendars:
            yield name, [(each.name, each.zone, each.dates, each.weekly, each.ranges) for each in calendars]
    if job.max_rate is not None:
        yield "rate", (job.max_rate.calls, _plain(job.max_rate.per))
    if job.stop_after_failures is not None:
        yield "stopAfterFailures", job.stop_after_failures
    if job.request.secrets:
        yield "secrets", [(each.place, each.ref.kind, each.ref.name, each.shared) for each in job.request.secrets]
    if job.auth is not None:
        yield "auth", authenticating.content(job.auth)


def _plain(value: datetime | timedelta | None) -> int | str | None:
    """Milliseconds of a duration, ISO 8601 of an instant."""
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    return None if value is None else value.astimezone(UTC).isoformat()


def _fields(model: BaseModel | None) -> dict[str, Any]:
    """What a piece of a manifest says explicitly."""
    return {name: getattr(model, name) for name in model.model_fields_set} if model is not None else {}


def faults_alone(api: DeclaredApi) -> tuple[Fault, ...]:
    """What is wrong with an Api by itself, for when its Application has problems of its own."""
    spec = api.spec
    return (
        *faults_beside(spec.schedule, spec),
        *call_faults_alone(spec),
        *faults_of(spec.schedule, spec, zone=spec.time_zone, seed=api.seed),
    )


def call_faults_alone(spec: ApiSpec) -> tuple[Fault, ...]:
    """What is wrong with the calls of an Api, whatever its Application says."""
    if spec.request.url is None and spec.request.path is None:
        return _call_faults(str(address_fault(spec.request, None)), None)
    auth = None if spec.auth is None else authenticating.resolve(spec.auth, base_url="", shared=False)
    request = compose(spec.request, base_url=None, headers={}, query={})
    return _call_faults(request, authenticating.header_fault(auth, request) if isinstance(auth, Auth) else None)


def _call_faults(request: HttpRequest | str, auth: Auth | str | None) -> tuple[Fault, ...]:
    named = (("request", request), ("auth", auth))
    return tuple(Fault(name, each) for name, each in named if isinstance(each, str))


def _scheduled(api: DeclaredApi, zone: str) -> Schedule | tuple[Fault, ...]:
    spec = api.spec
    text = spec.schedule if isinstance(spec.schedule, str) else getattr(spec.schedule, "cron", "")
    seed = api.seed if "H" in text.upper() else ""
    application = api.key.application if isinstance(spec.schedule, After) else ""
    try:
        return _resolved(spec.schedule, zone, spec.starts_at, spec.ends_at, seed, application)
    except ScheduleError:
        return tuple(faults_of(spec.schedule, spec, zone=zone, seed=seed))


@lru_cache(maxsize=4096)
def _resolved(
    schedule: DeclaredSchedule,
    zone: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
    seed: str,
    application: str,
) -> Schedule:
    """Thousands of jobs share a schedule; only an ``H``, or a job that it follows, makes it depend on the job."""
    return resolve(schedule, zone=zone, starts_at=starts_at, ends_at=ends_at, seed=seed, application=application)
