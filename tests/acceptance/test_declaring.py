"""Calendars, jobs that follow each other, limits and schedules that end, through the real command."""

from __future__ import annotations

import pytest

LEDGER = """apiVersion: reconciler/v1
kind: Calendar
metadata: {name: holidays}
spec: {timeZone: Europe/Berlin, dates: [12-25], ranges: [{from: 12-30, to: 01-02}]}
---
apiVersion: reconciler/v1
kind: Application
metadata: {name: ledger}
spec:
  baseUrl: http://127.0.0.1:1
  limits: {concurrency: 2, rate: 100/1m}
  history: {keepFor: 7d}
  apis:
    - {name: post, schedule: "0 2 * * *", timeZone: Europe/Berlin, except: holidays, request: {path: /}}
    - {name: report, schedule: {after: {job: post}}, request: {path: /}}
    - {name: once, schedule: {at: "2020-01-01T00:00:00Z"}, stopAfterFailures: 3, request: {path: /}}
    - {name: never, schedule: "@daily", only: nothing, request: {path: /}}
---
apiVersion: reconciler/v1
kind: Calendar
metadata: {name: nothing}
spec: {}
"""


@pytest.fixture
def ledger(small_world):
    (small_world.folder / "ledger.yaml").write_text(LEDGER, encoding="utf-8")
    return small_world


def test_next_leaves_out_what_a_calendar_leaves_out(ledger):
    asked = ("next", "ledger/post", "--source", str(ledger.folder), "--from", "2026-12-24T12:00:00Z", "--count", "2")
    assert ledger.command(*asked, "--output", "json").json == {
        "slots": ["2026-12-26T01:00:00Z", "2026-12-27T01:00:00Z"]
    }
    assert "at 02:00 every day, except on holidays (Europe/Berlin)" in ledger.command(*asked).out


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("report", "after ledger/post succeeds"),
        ("once", "complete: never due again"),
        ("never", "never due: its calendars leave out every slot"),
    ],
)
def test_next_says_why_there_is_none(ledger, job, said):
    answer = ledger.command("next", f"ledger/{job}", "--source", str(ledger.folder))
    assert answer.code == 0
    assert said in answer.out


def test_validate_and_jobs_and_show_say_what_is_declared(ledger):
    valid = ledger.command("validate")
    assert valid.code == 0
    assert "4 jobs of 1 Application and 2 calendars in 1 file" in valid.out
    ledger.command("sync")
    listed = {job["key"]: job for job in ledger.command("jobs", "--output", "json").json["items"]}
    assert {key: job["state"] for key, job in listed.items()} == {
        "ledger/post": "active",
        "ledger/report": "active",
        "ledger/once": "complete",
        "ledger/never": "active",
    }
    assert listed["ledger/once"]["completedAt"] == "2020-01-01T00:00:00.000Z"
    assert listed["ledger/report"]["nextRuns"] == listed["ledger/never"]["nextRuns"] == []
    rows = {line.split()[0]: line.split()[1] for line in ledger.command("jobs").out.splitlines()[1:]}
    assert (rows["ledger/once"], rows["ledger/report"], rows["ledger/never"]) == ("complete", "follows", "never")
    shown = " ".join(ledger.command("show", "ledger/once").out.split())
    assert "limits.rate 100/1m" in shown
    assert "stopAfterFailures 3" in shown
    assert "complete no further run; the last slot was 2020-01-01 00:00:00 UTC" in shown
    assert "history 7d, failures 90d, at most 1,000 runs of a job" in " ".join(
        ledger.command("show", "ledger").out.split()
    )
    assert "1 complete" in ledger.command("status").out


def test_a_changed_calendar_is_a_change_that_plan_shows_and_nothing_else_is(ledger):
    ledger.command("sync")
    assert ledger.command("plan").code == 0
    path = ledger.folder / "ledger.yaml"
    path.write_text(LEDGER.replace("dates: [12-25]", "dates: [12-25, 12-26]"), encoding="utf-8")
    plan = ledger.command("plan", "--output", "json")
    assert plan.code == 2
    assert [change["job"] for change in plan.json["changes"]] == ["ledger/post"]
    path.write_text(LEDGER.replace("dates: [12-25]", "dates: [12-25, 13-26]"), encoding="utf-8")
    broken = ledger.command("plan")
    assert broken.code == 1
    assert "ledger.yaml:4:48: spec.dates[1]: 13-26 does not exist" in broken.err
    assert ledger.command("sync").code != 3
    assert len(ledger.command("jobs", "--output", "json").json["items"]) == 4, "what was good stays"


def test_a_circle_is_told_at_each_of_its_members(ledger):
    text = LEDGER.replace('"0 2 * * *", timeZone: Europe/Berlin, except: holidays', "{after: {job: report}}")
    (ledger.folder / "ledger.yaml").write_text(text, encoding="utf-8")
    answer = ledger.command("validate")
    assert answer.code == 1
    assert "ledger/post after ledger/report after ledger/post" in answer.err
    assert "ledger/report after ledger/post after ledger/report" in answer.err
