from __future__ import annotations

from datetime import timedelta

from reconciler.core.eras import GRACE, History, Span, first_era
from reconciler.core.model import After, Era, JobKey, Schedule
from tests.fakes import START, job_of, stored_job

KEY = JobKey("billing", "nightly")
HOUR = timedelta(hours=1)
MINUTELY = job_of().schedule


def history(*eras: Era, jitter: timedelta = timedelta(0)) -> History:
    return History(KEY, eras, jitter)


def era(hours: int, schedule=MINUTELY) -> Era:
    return Era(key=KEY, begin=START + hours * HOUR, schedule=schedule)


def test_a_job_that_was_stored_before_there_was_a_history_has_one_era():
    stored = stored_job(since=START, revision="abc")
    expected = Era(key=KEY, begin=START, schedule=stored.job.schedule, revision="abc", file="billing.yaml", line=7)
    assert first_era(stored) == expected
    assert first_era(stored_job(suspend=True)).schedule is None


def test_an_era_holds_until_the_next_one_begins():
    one, two, three = era(0), era(2, None), era(4)
    parts = list(history(three, one, two).parts(Span(START + HOUR, START + 4 * HOUR)))
    assert parts == [
        (one, Span(START + HOUR, START + 2 * HOUR)),
        (two, Span(START + 2 * HOUR, START + 4 * HOUR)),
    ]
    assert not list(history().parts(Span(START, START + HOUR)))


def test_the_jobs_that_it_has_followed_are_known():
    other = JobKey("crm", "refresh")
    following = Schedule(declared="after crm/refresh", after=After(key=other))
    assert history(era(0), era(1, following), era(2, None)).followed() == {other}
    assert history(era(0)).followed() == frozenset()


def test_a_slot_follows_the_era_that_began_before_it():
    past = history(era(0), era(2))
    assert [past.at(START + number * HOUR) for number in (0, 1, 2, 3)] == [None, era(0), era(0), era(2)]


def test_slots_around_an_edit_are_disputed_before_it_for_as_long_as_jitter_may_last():
    past = history(era(0), era(2), jitter=HOUR)
    tick = timedelta(milliseconds=1)
    edit = START + 2 * HOUR
    asked = (edit - HOUR - GRACE - tick, edit - HOUR - GRACE, edit, edit + GRACE, edit + GRACE + tick)
    assert [past.is_disputed(slot) for slot in asked] == [False, True, True, True, False]
