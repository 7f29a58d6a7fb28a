"""Every field of a job and of a freeze window can be seen to differ."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from reconciler.core.changes import flatten, flatten_window
from reconciler.core.inherit import digest
from reconciler.core.model import (
    After,
    Auth,
    Calendar,
    Expectation,
    FreezeWindow,
    HttpRequest,
    Job,
    JobKey,
    Rate,
    RetryPolicy,
    Schedule,
    SecretRef,
    SecretUse,
)
from tests.fakes import START, job_of

HOURLY = Schedule(declared="H * * * *", cron="7 * * * *")
HOLIDAYS = Calendar(name="holidays", dates=("12-25",))
POST = HttpRequest(method="POST", url="http://x/", headers={"A": "b"}, body="text")
PASSWORD = SecretUse(place="auth:password", ref=SecretRef(kind="env", name="KEY"))
SIGNING = SecretUse(place="auth:secret", ref=SecretRef(kind="env", name="KEY"))
BASIC = Auth(kind="basic", username="me", secrets=(PASSWORD,))
TOKENS = HttpRequest(method="POST", url="http://tokens/")
OAUTH2 = Auth(kind="oauth2", username="me", request=TOKENS, scopes=("a",), audience="them", style="basic")
OTHER = {
    "description": ["for people"],
    "labels": [{"a": "b"}, {"a": "c"}],
    "schedule": [
        HOURLY,
        replace(HOURLY, cron="8 * * * *"),
        replace(HOURLY, zone="Europe/Berlin"),
        replace(HOURLY, starts_at=START),
        replace(HOURLY, ends_at=START),
        Schedule(declared="every 1h", every=timedelta(hours=1)),
        Schedule(declared="every 1h", every=timedelta(hours=2)),
        Schedule(declared="at 9", at=START),
        Schedule(declared="at 9", at=START + timedelta(milliseconds=1)),
        replace(HOURLY, but_not=(HOLIDAYS,)),
        replace(HOURLY, only=(HOLIDAYS,)),
        replace(HOURLY, but_not=(replace(HOLIDAYS, zone="Europe/Berlin"),)),
        replace(HOURLY, but_not=(replace(HOLIDAYS, dates=("12-26",)),)),
        replace(HOURLY, but_not=(replace(HOLIDAYS, weekly=("SUN",)),)),
        replace(HOURLY, but_not=(replace(HOLIDAYS, ranges=(("12-30", "01-02"),)),)),
        Schedule(declared="after x", after=After(key=JobKey("app", "x"))),
        Schedule(declared="after x", after=After(key=JobKey("app", "y"))),
        Schedule(declared="after x", after=After(key=JobKey("app", "x"), on="failure")),
    ],
    "request": [POST, replace(POST, body=None), replace(POST, headers={"A": "c"}), replace(POST, url="http://y/")],
    "expect": [Expectation(status=("200",)), Expectation(contains="ok")],
    "retry": [
        RetryPolicy(limit=1),
        RetryPolicy(initial_delay=timedelta(seconds=2)),
        RetryPolicy(factor=1.00000001),
        RetryPolicy(factor=1.00000002),
        RetryPolicy(max_delay=timedelta(seconds=2)),
    ],
    "timeout": [timedelta(milliseconds=1)],
    "concurrency_policy": ["Allow"],
    "starting_deadline": [timedelta(minutes=1)],
    "catch_up": ["all"],
    "delivery": ["atMostOnce"],
    "jitter": [timedelta(seconds=1)],
    "suspend": [True],
    "max_concurrency": [3],
    "max_rate": [Rate(3, timedelta(seconds=1)), Rate(3, timedelta(seconds=2)), Rate(4, timedelta(seconds=1))],
    "stop_after_failures": [1, 2],
    "derived_from": ["app/old"],
    "auth": [
        BASIC,
        replace(BASIC, username="other"),
        replace(BASIC, secrets=(replace(PASSWORD, ref=SecretRef(kind="env", name="OTHER")),)),
        replace(BASIC, kind="header", header="X-Key"),
        replace(BASIC, kind="header", header="X-Other"),
        OAUTH2,
        replace(OAUTH2, request=replace(TOKENS, url="http://other/")),
        replace(OAUTH2, request=replace(TOKENS, method="PUT")),
        replace(OAUTH2, scopes=("a", "b")),
        replace(OAUTH2, audience="other"),
        replace(OAUTH2, style="body"),
        replace(OAUTH2, kind="handshake"),
        replace(OAUTH2, kind="handshake", request=replace(TOKENS, headers={"A": "b"})),
        replace(OAUTH2, kind="handshake", request=replace(TOKENS, body="{}")),
        Auth(kind="hmac", secrets=(SIGNING,)),
        Auth(kind="hmac", secrets=(SIGNING, replace(SIGNING, ref=SecretRef(kind="env", name="OTHER")))),
    ],
}
PLACE = {"key", "file", "line", "digest"}


def test_every_field_is_looked_at_here():
    assert set(OTHER) | PLACE == {field.name for field in fields(Job)}


@pytest.mark.parametrize("name", sorted(OTHER))
def test_jobs_with_different_digests_show_different_fields(name):
    """What `flatten` left out would change without being shown."""
    jobs = [job_of(), *(job_of(**{name: value}) for value in OTHER[name])]
    assert len({digest(job) for job in jobs}) == len(jobs)
    assert len({tuple(flatten(job).items()) for job in jobs}) == len(jobs)


def test_where_a_job_stands_is_none_of_its_fields():
    assert flatten(job_of(file="other.yaml", line=99, digest="x")) == flatten(job_of())


def test_what_a_schedule_comes_to_is_shown_where_its_words_are_others():
    assert "schedule.cron" not in flatten(job_of())
    shown = flatten(job_of(schedule=HOURLY))
    assert (shown["schedule"], shown["schedule.cron"]) == ("H * * * *", "7 * * * *")


def test_a_request_is_shown_part_by_part():
    shown = flatten(job_of(request=POST))
    assert (shown["request"], shown["header A"], shown["body"]) == ("POST http://x/", "b", "text")
    assert "body" not in flatten(job_of())


def test_every_field_of_a_freeze_window_is_shown():
    window = FreezeWindow(name="w", mode="deny", start=HOURLY, duration=timedelta(days=1))
    others = {
        "mode": "allow",
        "start": replace(HOURLY, zone="Europe/Berlin"),
        "duration": timedelta(days=2),
        "applications": ("a",),
        "catch_up": "latest",
        "description": "for people",
    }
    assert set(others) | {"name", "file", "line"} == {field.name for field in fields(FreezeWindow)}
    plain = flatten_window(window)
    for name, value in others.items():
        assert flatten_window(replace(window, **{name: value})) != plain, name
