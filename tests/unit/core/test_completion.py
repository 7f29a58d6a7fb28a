"""When a job is complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.completion import completed_at
from reconciler.core.model import After, Calendar, JobKey, Schedule
from tests.fakes import START

DAILY = Schedule(declared="0 2 * * *", cron="0 2 * * *")
DAY = timedelta(days=1)


def test_what_has_no_end_is_never_complete():
    for schedule in (DAILY, Schedule(declared="every 5m", every=timedelta(minutes=5))):
        assert completed_at(schedule, START) is None


def test_a_single_instant_is_complete_once_it_has_come():
    once = Schedule(declared="at", at=START)
    assert completed_at(once, START - timedelta(milliseconds=1)) is None
    assert completed_at(once, START) == START
    assert completed_at(replace(once, ends_at=START + DAY), START + 2 * DAY) == START


def test_a_schedule_is_complete_with_its_last_slot_and_not_only_at_its_end():
    ends = datetime(2026, 3, 10, 12, tzinfo=UTC)
    last = datetime(2026, 3, 10, 2, tzinfo=UTC)
    schedule = replace(DAILY, ends_at=ends)
    assert completed_at(schedule, last - timedelta(seconds=1)) is None
    assert completed_at(schedule, last) == last
    assert completed_at(schedule, ends + DAY) == last


def test_the_last_slot_of_a_rare_schedule_is_found():
    leap = Schedule(declared="", cron="0 0 29 2 *", ends_at=datetime(2103, 1, 1, tzinfo=UTC))
    assert completed_at(leap, datetime(2103, 1, 1, tzinfo=UTC)) == datetime(2096, 2, 29, tzinfo=UTC)


def test_what_never_had_a_slot_is_complete_at_its_end():
    ends = datetime(2026, 3, 10, 1, tzinfo=UTC)
    never = replace(DAILY, starts_at=ends - timedelta(minutes=5), ends_at=ends)
    assert completed_at(never, START) == ends


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(declared="", after=After(key=JobKey("a", "b"))),
        Schedule(declared="", after=After(key=JobKey("a", "b")), ends_at=START),
        replace(DAILY, only=(Calendar(name="empty"),)),
    ],
    ids=["follows", "follows, with an end", "all left out"],
)
def test_what_has_no_slots_of_its_own_or_none_that_run_is_not_complete(schedule):
    assert completed_at(schedule, START + DAY) is None
