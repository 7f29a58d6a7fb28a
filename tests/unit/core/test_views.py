import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from reconciler.core import views
from reconciler.core.model import (
    After,
    ApplicationState,
    Attempt,
    Calendar,
    Cause,
    Commit,
    HttpRequest,
    JobKey,
    Outcome,
    Pause,
    Process,
    Rate,
    Retention,
    RetryPolicy,
    Run,
    Schedule,
    Stop,
    StopKind,
    SyncReport,
    Tally,
)
from reconciler.core.pauses import FOREVER
from tests.fakes import START, stored_job

RUN = Run(
    id="019cad00-0000-8000-8000-000000000000",
    key=JobKey("billing", "nightly"),
    slot=START,
    cause=Cause.MANUAL,
    outcome=Outcome.FAILED,
    reason="status 500",
    owner="p1",
    claimed_at=START + timedelta(milliseconds=1),
    started_at=START + timedelta(milliseconds=4),
    finished_at=START + timedelta(milliseconds=900),
    attempts=(
        Attempt(number=1, started_at=START, latency_ms=10.5, error="connection refused", sent=False),
        Attempt(number=2, started_at=START + timedelta(seconds=1), latency_ms=20.25, status=500, error="status 500"),
    ),
    excerpt="oops",
    revision="r9",
    file="billing.yaml",
    line=3,
    delivery="atMostOnce",
    overrides=("query.day", "json"),
)
SYNC = SyncReport(
    id="s1", source="m", revision="r1", result="applied", started_at=START, duration_ms=1.5, held=("crm",)
)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 3, 29, 1, tzinfo=UTC), "2026-03-29T01:00:00.000Z"),
        (datetime(2026, 3, 29, 1, 2, 3, 456_999, tzinfo=UTC), "2026-03-29T01:02:03.456Z"),
        (datetime(2026, 3, 29, 3, tzinfo=timezone(timedelta(hours=2))), "2026-03-29T01:00:00.000Z"),
    ],
)
def test_instants_are_written_in_utc_with_milliseconds(instant, text):
    assert views.format_instant(instant) == text


def test_a_run_is_shown_with_everything_that_is_known_of_it():
    assert views.run_view(RUN).shape() == {
        "id": RUN.id,
        "job": "billing/nightly",
        "application": "billing",
        "api": "nightly",
        "slot": "2026-03-02T09:00:00.000Z",
        "cause": "manual",
        "status": "failed",
        "reason": "status 500",
        "claimedAt": "2026-03-02T09:00:00.001Z",
        "startedAt": "2026-03-02T09:00:00.004Z",
        "finishedAt": "2026-03-02T09:00:00.900Z",
        "latenessMs": 4.0,
        "latencyMs": 20.25,
        "attempts": [
            {
                "number": 1,
                "startedAt": "2026-03-02T09:00:00.000Z",
                "latencyMs": 10.5,
                "status": None,
                "error": "connection refused",
                "sent": False,
            },
            {
                "number": 2,
                "startedAt": "2026-03-02T09:00:01.000Z",
                "latencyMs": 20.25,
                "status": 500,
                "error": "status 500",
                "sent": True,
            },
        ],
        "excerpt": "oops",
        "revision": "r9",
        "file": "billing.yaml",
        "line": 3,
        "delivery": "atMostOnce",
        "overrides": ["query.day", "json"],
        "owner": "p1",
    }


def test_a_run_in_which_nothing_was_called_has_neither_lateness_nor_latency():
    shape = views.run_view(replace(RUN, outcome=Outcome.MISSED, started_at=None, attempts=())).shape()
    assert (shape["latenessMs"], shape["latencyMs"], shape["startedAt"]) == (None, None, None)


def test_a_job_is_shown_with_everything_resolved():
    stored = stored_job(
        description="Invoices",
        labels={"tier": "gold"},
        schedule=Schedule(declared="H 2 * * *", cron="17 2 * * *", zone="Europe/Berlin", starts_at=START),
        request=HttpRequest(
            method="POST", url="https://a.example.com/x?y=1", headers={"X-Key": "hidden"}, body="hidden"
        ),
        retry=RetryPolicy(limit=3, max_delay=timedelta(minutes=2)),
        timeout=timedelta(seconds=90),
        jitter=timedelta(seconds=30),
    )
    shape = views.job_view(stored, held=True, last=RUN, now=START, count=2).shape()
    assert shape["schedule"].pop("words")
    assert shape == {
        "key": "billing/nightly",
        "application": "billing",
        "api": "nightly",
        "description": "Invoices",
        "labels": {"tier": "gold"},
        "schedule": {
            "declared": "H 2 * * *",
            "timeZone": "Europe/Berlin",
            "cron": "17 2 * * *",
            "every": None,
            "at": None,
            "after": None,
            "startsAt": "2026-03-02T09:00:00.000Z",
            "endsAt": None,
            "except": [],
            "only": [],
        },
        "method": "POST",
        "auth": None,
        "secrets": {},
        "url": "https://a.example.com/x?y=1",
        "followRedirects": 0,
        "timeout": "1m30s",
        "retry": {"limit": 3, "initialDelay": "1s", "factor": 2.0, "maxDelay": "2m"},
        "concurrencyPolicy": "Forbid",
        "startingDeadline": "1h",
        "catchUp": "latest",
        "delivery": "atLeastOnce",
        "jitter": "30s",
        "maxConcurrency": None,
        "maxRate": None,
        "stopAfterFailures": None,
        "suspend": False,
        "held": True,
        "state": "active",
        "completedAt": None,
        "nextRuns": ["2026-03-03T01:17:00.000Z", "2026-03-04T01:17:00.000Z"],
        "nextDue": None,
        "request": None,
        "lastRun": {
            "id": RUN.id,
            "slot": "2026-03-02T09:00:00.000Z",
            "cause": "manual",
            "status": "failed",
            "reason": "status 500",
            "finishedAt": "2026-03-02T09:00:00.900Z",
            "latenessMs": 4.0,
            "latencyMs": 20.25,
        },
        "stops": [],
        "revision": "r1",
        "commit": None,
        "file": "billing.yaml",
        "line": 7,
        "since": "2026-03-02T09:00:00.000Z",
        "appliedAt": None,
    }


def test_a_job_tells_who_declared_it_and_what_stops_it():
    commit = Commit(id="c1", author="A Developer <developer@example.com>", date=START, subject="Call at night")
    stop = Stop(kind=StopKind.PAUSED, reason="migration", by="user@host", since=START, until=START)
    stored = replace(stored_job(), commit=commit, applied_at=START)
    shape = views.job_view(stored, held=False, last=None, now=START, stops=[stop]).shape()
    instant = "2026-03-02T09:00:00.000Z"
    assert shape["commit"] == {"id": "c1", "author": commit.author, "date": instant, "subject": "Call at night"}
    assert shape["appliedAt"] == instant
    assert shape["stops"] == [
        {"kind": "paused", "reason": "migration", "since": instant, "until": instant, "by": "user@host"}
    ]


def test_neither_headers_nor_body_of_a_job_are_shown():
    stored = stored_job(
        request=HttpRequest(method="POST", url="http://a/", headers={"X-Key": "hidden-1"}, body="hidden-2")
    )
    assert "hidden" not in json.dumps(views.job_view(stored, held=False, last=None, now=START).shape())


def test_a_suspended_job_has_no_next_runs():
    shape = views.job_view(stored_job(suspend=True), held=False, last=None, now=START).shape()
    assert shape["nextRuns"] == []
    assert shape["lastRun"] is None


@pytest.mark.parametrize(("count", "found"), [(-1, 0), (0, 0), (1, 1), (3, 3)])
def test_as_many_next_runs_are_named_as_asked_for(count, found):
    assert len(views.next_runs(stored_job().job, now=START, count=count)) == found


def test_next_runs_are_after_now():
    assert views.next_runs(stored_job().job, now=START, count=1) == (START + timedelta(minutes=1),)


@pytest.mark.parametrize(
    ("schedule", "field", "text"),
    [
        (Schedule(declared="every 2h30m", every=timedelta(hours=2, minutes=30)), "every", "2h30m"),
        (Schedule(declared="at …", at=START), "at", "2026-03-02T09:00:00.000Z"),
    ],
)
def test_each_form_of_schedule_is_shown_as_what_it_is(schedule, field, text):
    shape = views.schedule_view(schedule).shape()
    assert shape[field] == text
    assert [name for name in ("cron", "every", "at") if shape[name] is not None] == [field]
    assert shape["words"]


def test_an_application_is_shown_with_its_problems():
    state = ApplicationState(name="crm", base_url="http://a", held=True, problems=("p",), since=START, file="c.yaml")
    shape = views.application_view(state, jobs=4).shape()
    conditions = {one["type"]: one["status"] for one in shape.pop("conditions")}
    assert conditions == {"Ready": False, "Held": True, "Degraded": False, "OutOfSync": False}
    assert shape == {
        "name": "crm",
        "description": "",
        "labels": {},
        "baseUrl": "http://a",
        "suspend": False,
        "held": True,
        "problems": ["p"],
        "since": "2026-03-02T09:00:00.000Z",
        "revision": "",
        "prune": "",
        "history": None,
        "stops": [],
        "file": "c.yaml",
        "line": 1,
        "jobs": 4,
    }


def test_a_sync_is_shown_with_everything_that_is_known_of_it():
    shape = views.sync_view(SYNC).shape()
    assert shape["startedAt"] == "2026-03-02T09:00:00.000Z"
    assert shape["held"] == ["crm"]
    assert len(shape) == len(SYNC.__dataclass_fields__)


def a_status(**facts):
    return views.status_view(views.StatusFacts(version="1", now=START, store="s", source="m", **facts)).shape()


def test_the_status_of_an_empty_store_is_all_zeros():
    status = a_status()
    assert status["jobs"] == {"total": 0, "suspended": 0, "paused": 0, "frozen": 0, "held": 0, "complete": 0}
    assert status["lastSync"] is None
    assert status["revision"] == ""
    assert status["ready"] is True
    assert set(status["last24Hours"].values()) == {0}


def test_the_status_counts_jobs_by_what_they_are():
    jobs = [stored_job("crm/a", suspend=True), stored_job("crm/b"), stored_job("billing/c")]
    applications = [ApplicationState(name="billing", since=START), ApplicationState(name="crm", held=True, since=START)]
    frozen = Stop(kind=StopKind.FROZEN)
    status = a_status(
        jobs=jobs, applications=applications, stops=lambda stored: [frozen] if stored.key.api == "c" else []
    )
    assert status["jobs"] == {"total": 3, "suspended": 1, "paused": 0, "frozen": 1, "held": 2, "complete": 0}
    assert (status["applications"], status["heldApplications"]) == (2, ["crm"])


def test_the_status_names_the_oldest_runs_in_flight_and_counts_them_all():
    running = [replace(RUN, id=f"{number:03}", outcome=Outcome.RUNNING) for number in range(50)]
    status = a_status(running=running)
    assert status["running"] == 50
    assert [run["id"] for run in status["runningRuns"]] == [f"{number:03}" for number in range(20)]


def test_the_status_says_the_last_revision_that_could_be_read():
    failed = replace(SYNC, id="s2", revision="", result="failed", error="away")
    status = a_status(syncs=[failed, SYNC])
    assert status["revision"] == "r1"
    assert status["lastSync"]["error"] == "away"


def test_the_status_sums_outcomes_over_hours_and_latencies():
    tallies = [
        Tally(START, Outcome.FAILED, 1, 2),
        Tally(START, Outcome.FAILED, None, 3),
        Tally(START, Outcome.MISSED, None, 1),
    ]
    assert a_status(tallies=tallies)["last24Hours"] == {
        "succeeded": 0,
        "failed": 5,
        "skipped": 0,
        "missed": 1,
        "unknown": 0,
    }


def test_the_status_names_processes_and_reasons():
    process = Process(id="p", role="run", host="h", pid=5, version="1", started_at=START, seen_at=START)
    status = a_status(processes=[process], reasons=["not yet"])
    assert (status["ready"], status["reasons"]) == (False, ["not yet"])
    assert status["processes"][0]["seenAt"] == "2026-03-02T09:00:00.000Z"


def test_what_is_shown_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        views.run_view(RUN).reason = "better"


def test_a_page_keeps_the_shape_of_its_items():
    page = views.Page(items=(views.run_view(RUN),), next="c")
    assert page.shape()["items"] == [views.run_view(RUN).shape()]
    assert page.shape()["next"] == "c"


@pytest.mark.parametrize(
    ("until", "shown"), [(START + timedelta(hours=1), "2026-03-02T10:00:00.000Z"), (FOREVER, None)]
)
def test_a_pause_that_somebody_must_end_has_no_end(until, shown):
    pause = Pause(id="1", application="billing", reason="x", by="reconciler", since=START, until=until)
    assert views.pause_view(pause).shape()["until"] == shown


def test_a_job_that_follows_another_shows_which_and_has_no_next_runs():
    schedule = Schedule(declared="after a/b on failure", after=After(key=JobKey("a", "b"), on="failure"))
    shown = views.job_view(stored_job(schedule=schedule), held=False, last=None, now=START).shape()
    assert shown["schedule"]["after"] == {"job": "a/b", "on": "failure"}
    assert (shown["schedule"]["words"], shown["nextRuns"], shown["state"]) == ("after a/b fails", [], "active")


def test_next_runs_leave_out_what_calendars_leave_out():
    calendar = Calendar(name="holidays", dates=("2026-03-03",))
    schedule = Schedule(declared="0 2 * * *", cron="0 2 * * *", but_not=(calendar,))
    shown = views.job_view(stored_job(schedule=schedule), held=False, last=None, now=START, count=1).shape()
    assert (shown["schedule"]["except"], shown["schedule"]["only"]) == (["holidays"], [])
    assert shown["nextRuns"] == ["2026-03-04T02:00:00.000Z"]


def test_limits_are_shown_as_declared():
    limited = stored_job(max_rate=Rate(100, timedelta(minutes=1)), max_concurrency=3, stop_after_failures=5)
    shown = views.job_view(limited, held=False, last=None, now=START).shape()
    assert (shown["maxRate"], shown["maxConcurrency"], shown["stopAfterFailures"]) == ("100/1m", 3, 5)


@pytest.mark.parametrize(
    ("at", "stops", "state", "completed"),
    [
        (START + timedelta(days=1), (), "active", None),
        (START + timedelta(days=1), (Stop(kind=StopKind.PAUSED), Stop(kind=StopKind.FROZEN)), "paused", None),
        (START, (Stop(kind=StopKind.PAUSED),), "complete", "2026-03-02T09:00:00.000Z"),
    ],
)
def test_a_job_says_in_a_word_what_it_is(at, stops, state, completed):
    once = stored_job(schedule=Schedule(declared="at", at=at))
    shown = views.job_view(once, held=False, last=None, now=START, stops=stops).shape()
    assert (shown["state"], shown["completedAt"]) == (state, completed)


def test_the_status_counts_complete_jobs():
    once = stored_job(schedule=Schedule(declared="at", at=START))
    assert a_status(jobs=[once, stored_job()])["jobs"]["complete"] == 1


def test_an_application_says_how_long_its_runs_are_kept():
    state = ApplicationState(name="a", since=START, history=Retention(keep_for=timedelta(days=7)))
    assert views.application_view(state, jobs=0).shape()["history"] == {
        "keepFor": "7d",
        "keepFailuresFor": "90d",
        "keepPerJob": 1000,
    }
