from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.core.model import FreezeWindow, Schedule
from reconciler.core.stops import Stoppages
from reconciler.core.thaw import Thaw, owed, thaw_of
from tests.fakes import stored_job
from tests.unit.core.test_stops import allow, pause
from tests.unit.core.test_stops import window as plain_window
from tests.unit.core.timetables import DAY, MINUTE, utc

HOUR = timedelta(hours=1)
TEN, NOON = utc("2026-03-02 10:00"), utc("2026-03-02 12:00")  # a Monday
LONG_AGO = utc("2026-01-01")


def window(name: str, start: str, duration: timedelta, **changes) -> FreezeWindow:
    return plain_window(name, start, duration, **({"catch_up": "latest"} | changes))


LUNCH = window("lunch", "0 12 * * *", HOUR)
THAWED = NOON + HOUR


def job(cron: str, name: str = "billing/nightly", *, since: datetime = LONG_AGO, **changes):
    return stored_job(name, schedule=Schedule(declared=cron, cron=cron), since=since, **changes)


def thaw(*windows: FreezeWindow, until: datetime = THAWED, after: datetime = LONG_AGO, application="billing"):
    return thaw_of(Stoppages(windows=windows), application, after, until)


def names(*jobs, windows=(LUNCH,), pauses=(), until=THAWED):
    stoppages = Stoppages(pauses, windows)
    found = thaw_of(stoppages, "billing", LONG_AGO, until)
    return [key.api for key in owed(jobs, stoppages, found)] if found else None


class TestThaws:
    def test_a_deny_window_thaws_when_it_ends(self):
        expected = Thaw(application="billing", begin=NOON, at=THAWED, parts=((NOON, THAWED),))
        assert thaw(LUNCH) == thaw(LUNCH, until=THAWED + HOUR) == expected

    def test_an_allow_window_thaws_when_it_opens(self):
        staffed = allow("staffed", "0 10 * * *", HOUR, catch_up="latest")
        found = thaw(staffed, until=TEN)
        assert (found.begin, found.at) == (TEN - 23 * HOUR, TEN)
        assert found.parts == ((found.begin, TEN),)

    def test_there_is_none_while_it_is_frozen(self):
        assert thaw(LUNCH, until=THAWED - MINUTE) is None

    def test_there_is_none_for_an_application_that_no_window_names(self):
        assert thaw(replace(LUNCH, applications=("shop",))) is None

    def test_there_is_none_where_nothing_is_caught_up(self):
        assert thaw(replace(LUNCH, catch_up="none")) is None

    def test_one_that_was_looked_at_before_does_not_come_again(self):
        assert thaw(LUNCH, after=THAWED) is None
        assert thaw(LUNCH, after=THAWED - MINUTE) is not None

    def test_windows_that_follow_each_other_are_one_freeze(self):
        tea = window("tea", "30 12 * * *", HOUR, catch_up="none")
        assert thaw(LUNCH, tea) is None  # until 13:30 it is frozen still
        found = thaw(LUNCH, tea, until=THAWED + HOUR)
        assert (found.begin, found.at, found.parts) == (NOON, NOON + 90 * MINUTE, ((NOON, THAWED),))

    def test_a_window_within_another_catches_up_when_that_has_ended(self):
        all_day = window("all-day", "0 8 * * *", 8 * HOUR, catch_up="none")
        found = thaw(LUNCH, all_day, until=utc("2026-03-02 16:00"))
        assert (found.at, found.parts) == (utc("2026-03-02 16:00"), ((NOON, THAWED),))

    def test_of_a_freeze_that_began_long_ago_the_last_400_days_are_looked_at(self):
        launch = replace(allow("launch", "0 0 * * *", HOUR, catch_up="latest"), start=Schedule(declared="", at=NOON))
        found = thaw(launch, until=NOON)
        assert (found.begin, found.parts) == (NOON - 400 * DAY, ((NOON - 400 * DAY, NOON),))

    def test_so_it_is_where_windows_in_turn_have_frozen_it_for_longer(self):
        even, odd = (replace(window(f"w{n}", "0 0 1 * *", DAY), catch_up="latest") for n in range(2))
        starts = [Schedule(declared="", every=2 * DAY, starts_at=utc("2020-01-01") + n * DAY) for n in range(2)]
        even, odd = replace(even, start=starts[0]), replace(odd, start=replace(starts[1], ends_at=NOON))
        found = thaw(even, odd, until=NOON + DAY)
        assert found.begin == found.at - 400 * DAY

    def test_a_freeze_of_thousands_of_windows_in_turn_is_looked_at_for_a_while(self):
        even, odd = window("even", "*/2 * * * *", MINUTE), window("odd", "1-59/2 * * * *", MINUTE)
        odd = replace(odd, start=replace(odd.start, ends_at=NOON))
        found = thaw(even, odd, until=NOON + MINUTE)
        assert (found.begin, found.at) == (NOON + MINUTE - 1000 * MINUTE, NOON + MINUTE)

    def test_a_freeze_in_thousands_of_parts_is_looked_at_to_its_end(self):
        slow = window("slow", "0 0 1 * *", 10 * DAY, catch_up="none")
        quick = window("quick", "1-59/2 * * * *", MINUTE)
        found = thaw(slow, quick, until=utc("2026-03-11"))
        assert found.parts[0] == (utc("2026-02-28 23:59"), utc("2026-03-01"))
        assert found.parts[-1][1] == utc("2026-03-11")


class TestWhoIsOwed:
    def test_each_job_that_had_a_slot_frozen(self):
        assert names(job("30 12 * * *", "billing/a"), job("30 11 * * *", "billing/b")) == ["a"]

    def test_a_slot_at_the_beginning_was_frozen_and_one_at_the_end_runs_by_itself(self):
        assert names(job("0 12 * * *", "billing/a"), job("0 13 * * *", "billing/b"), job("0 * * * *", "billing/c")) == [
            "a"
        ]

    def test_slots_before_the_job_was_so_declared_do_not_count(self):
        late = [job("30 12 * * *", since=NOON + minutes * MINUTE) for minutes in (29, 30)]
        assert [names(one) for one in late] == [["nightly"], []]

    def test_a_job_declared_after_the_thaw_is_owed_nothing(self):
        assert names(job("0 * * * *", since=THAWED + MINUTE)) == []

    def test_not_one_that_is_suspended(self):
        assert names(job("30 12 * * *", suspend=True)) == []

    def test_not_one_of_another_application(self):
        assert names(job("30 12 * * *", "shop/nightly")) == []

    def test_not_one_that_is_paused_at_the_thaw(self):
        paused = pause("billing/nightly", NOON + 45 * MINUTE, NOON + DAY)
        assert names(job("30 12 * * *"), pauses=[paused]) == []

    @pytest.mark.parametrize(
        ("since", "until", "expected"),
        [(20, 40, []), (31, 40, ["nightly"]), (-60, 30, ["nightly"]), (-60, 31, []), (5, 6, ["nightly"])],
    )
    def test_slots_that_a_pause_left_out_are_not_owed(self, since, until, expected):
        paused = pause("billing", NOON + since * MINUTE, NOON + until * MINUTE)
        other = pause("billing/other", NOON, THAWED)
        assert names(job("30 12 * * *"), pauses=[paused, other]) == expected

    def test_what_only_a_window_without_catch_up_froze_is_not_owed(self):
        tea = window("tea", "30 12 * * *", HOUR, catch_up="none")
        jobs = (job("15 12 * * *", "billing/a"), job("15 13 * * *", "billing/b"))
        assert names(*jobs, windows=(LUNCH, tea), until=THAWED + HOUR) == ["a"]
