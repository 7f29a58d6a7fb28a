"""Which runs of the coming 24 hours a change makes appear and vanish."""

from datetime import timedelta

import pytest

from reconciler.core.changes import Action, Change
from reconciler.core.model import Schedule
from reconciler.core.outlook import Instants, Outlook, next_slot, outlook, total
from tests.fakes import START, job_of


def cron(text, **more):
    return Schedule(declared=text, cron=text, **more)


def every(**length):
    return Schedule(declared="every", every=timedelta(**length))


def looking(before, after, now=START):
    jobs = [one if one is None else job_of(schedule=one) for one in (before, after)]
    return outlook(Change(action=Action.CHANGE, key=job_of().key, before=jobs[0], after=jobs[1]), now)


def at(hour, day=2):
    return START.replace(hour=hour, day=day)


def test_an_earlier_hour_makes_one_run_appear_and_one_vanish():
    found = looking(cron("0 12 * * *"), cron("0 11 * * *"))
    assert found == Outlook(appear=Instants(count=1, first=(at(11),)), vanish=Instants(count=1, first=(at(12),)))


def test_the_day_begins_after_now_and_includes_its_end():
    assert looking(None, cron("0 9 * * *")).appear.first == (at(9, day=3),)


def test_a_new_job_makes_its_runs_appear_and_one_that_goes_makes_them_vanish():
    assert looking(None, cron("0 */12 * * *")).appear.count == 2
    gone = looking(cron("0 */12 * * *"), None)
    assert (gone.appear.count, gone.vanish.count) == (0, 2)


def test_the_first_five_are_named_and_the_others_counted():
    hourly = looking(None, cron("0 * * * *")).appear
    assert (hourly.count, hourly.more, hourly.exact) == (24, 19, True)
    assert hourly.first == tuple(at(hour) for hour in (10, 11, 12, 13, 14))


def test_a_day_of_minutes_is_counted_whole():
    assert looking(None, cron("* * * * *")).appear.count == 1440


def test_a_schedule_that_says_the_same_in_other_words_changes_nothing():
    assert looking(cron("0 0 * * *"), Schedule(declared="@daily", cron="0 0 * * *")) == Outlook()


def test_a_zone_moves_every_run():
    found = looking(cron("0 12 * * *"), cron("0 12 * * *", zone="Asia/Tokyo"))
    assert (found.vanish.first, found.appear.first) == ((at(12),), (at(3, day=3),))


def test_a_suspended_job_has_no_runs():
    before, after = job_of(), job_of(suspend=True)
    change = Change(action=Action.CHANGE, key=before.key, before=before, after=after)
    assert outlook(change, START).vanish.count == 1440
    assert outlook(Change(action=Action.ADD, key=after.key, before=None, after=after), START) == Outlook()


def test_beyond_a_bound_runs_are_at_least_so_many():
    assert looking(None, every(seconds=1)).appear == Instants(
        count=1500, exact=False, first=tuple(START + timedelta(seconds=number) for number in range(1, 6))
    )
    halved = looking(every(seconds=1), every(seconds=2))
    assert (halved.appear.count, halved.appear.exact) == (0, False)
    assert (halved.vanish.count, halved.vanish.exact) == (750, False)


@pytest.mark.parametrize("seconds", [1, 2])
def test_beside_a_schedule_too_dense_to_count_the_other_is_still_exact(seconds):
    found = looking(cron("* * * * *"), every(seconds=seconds))
    assert (found.vanish.count, found.vanish.exact) == (0, True)
    stopping = Schedule(declared="every", every=timedelta(seconds=1), ends_at=START + timedelta(hours=1))
    assert looking(cron("* * * * *"), stopping).vanish.count == 1440 - 60


def test_all_of_a_plan_together_are_counted_and_not_named():
    one = Instants(count=3, first=(START,))
    dense = Instants(count=1500, exact=False, first=(START,))
    assert total([Outlook(appear=one), Outlook(appear=dense, vanish=one)]) == Outlook(
        appear=Instants(count=1503, exact=False), vanish=Instants(count=3)
    )
    assert total([]) == Outlook()


def test_the_next_slot_is_that_of_a_job_that_is_there_and_not_suspended():
    assert next_slot(None, START) is None
    assert next_slot(job_of(suspend=True), START) is None
    assert next_slot(job_of(), START) == START + timedelta(minutes=1)
