from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.core.audit import Difference, Kind
from reconciler.core.audit_view import audit_view, verdict
from reconciler.core.eras import Span
from reconciler.core.model import JobKey
from tests.fakes import START

SPAN = Span(START - timedelta(days=1), START)


def difference(kind: Kind, slots: int = 1, run: str = "") -> Difference:
    return Difference(
        kind=kind, key=JobKey("billing", "nightly"), slot=START, through=START, slots=slots, run=run, said="so it is"
    )


def view(**changes):
    fields = {"span": SPAN, "jobs": 2, "outcomes": {"succeeded": 3}, "beside": 1, "differences": ()}
    return audit_view(**(fields | changes))


def test_an_audit_without_a_difference_is_complete():
    shown = view(notes=["a note"]).shape()
    assert shown == {
        "after": "2026-03-01T09:00:00.000Z",
        "until": "2026-03-02T09:00:00.000Z",
        "complete": True,
        "verdict": "Every slot has its record.",
        "jobs": 2,
        "slots": 3,
        "outcomes": {
            "succeeded": 3,
            "failed": 0,
            "skipped": 0,
            "missed": 0,
            "unknown": 0,
            "running": 0,
            "unfinished": 0,
            "missing": 0,
        },
        "beside": 1,
        "differences": [],
        "notes": ["a note"],
        "unreadable": [],
    }


def test_a_difference_is_shown_with_its_slots_and_its_reason():
    shown = view(differences=[difference(Kind.MISSING, 2), difference(Kind.SURPLUS, run="r")]).shape()
    assert shown["complete"] is False
    assert shown["differences"][0] == {
        "kind": "missing",
        "job": "billing/nightly",
        "slot": "2026-03-02T09:00:00.000Z",
        "through": "2026-03-02T09:00:00.000Z",
        "slots": 2,
        "run": None,
        "reason": "so it is",
    }
    assert shown["differences"][1]["run"] == "r"


@pytest.mark.parametrize(
    ("slots", "differences", "unreadable", "said"),
    [
        (5, [], [], "Every slot has its record."),
        (0, [], [], "No slot was due."),
        (5, [difference(Kind.MISSING)], [], "1 slot has no record."),
        (
            5,
            [difference(Kind.MISSING, 2), difference(Kind.SURPLUS), difference(Kind.UNFINISHED)],
            ["billing/odd: why"],
            "2 slots have no record, 1 record without a slot, 1 run without an end, 1 job cannot be judged.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(slots, differences, unreadable, said):
    assert verdict(SPAN, slots, differences, unreadable) == said


def test_where_nothing_was_looked_at_nothing_is_said_of_slots():
    assert verdict(Span(START, START), 0, []) == "There is nothing to look at."


def test_a_job_that_cannot_be_judged_leaves_an_audit_incomplete():
    assert view(unreadable=["billing/odd: why"]).complete is False
