"""Which slots calendars leave out, why, and the slots that are left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import perf_counter

import pytest

from reconciler.core.calendars import Agenda, content, excluded, stop_of
from reconciler.core.model import After, Calendar, JobKey, Schedule, StopKind
from reconciler.core.schedules import resolve
from reconciler.core.stops import said
from reconciler.core.timetable import Timetable, words
from reconciler.core.zones import wall_time

HOLIDAYS = Calendar(name="holidays", zone="Europe/Berlin", dates=("12-25", "2026-12-26"))
BUSINESS = Calendar(name="business-days", weekly=("MON", "TUE", "WED", "THU", "FRI"))
NOW = datetime(2026, 12, 23, tzinfo=UTC)


def schedule(cron: str = "0 2 * * *", zone: str = "UTC", **days: tuple[Calendar, ...]) -> Schedule:
    return replace(resolve(cron, zone=zone, starts_at=None, ends_at=None, seed=""), **days)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(calendar: Calendar, first: date, count: int) -> list[str]:
    """The days of a calendar, found by asking about noon of each."""
    asked = schedule(but_not=(replace(calendar, zone="UTC"),))
    noons = [datetime(first.year, first.month, first.day, 12, tzinfo=UTC) + timedelta(days=n) for n in range(count)]
    return [f"{noon:%m-%d}" for noon in noons if excluded(asked, noon)]


class TestDays:
    def test_a_date_without_a_year_is_every_years_and_one_with_a_year_is_one_day(self):
        asked = schedule(but_not=(HOLIDAYS,))
        assert excluded(asked, instant("2026-12-25 12:00")) == "excluded by calendar holidays (2026-12-25)"
        assert excluded(asked, instant("2031-12-25 12:00")) == "excluded by calendar holidays (2031-12-25)"
        assert excluded(asked, instant("2026-12-26 12:00")) == "excluded by calendar holidays (2026-12-26)"
        assert excluded(asked, instant("2027-12-26 12:00")) is None

    def test_the_29th_of_february_comes_in_leap_years(self):
        asked = schedule(but_not=(Calendar(name="leap", dates=("02-29",)),))
        assert excluded(asked, instant("2028-02-29 12:00")) is not None
        assert excluded(asked, instant("2027-02-28 12:00")) is excluded(asked, instant("2027-03-01 12:00")) is None

    def test_ranges_include_both_their_ends(self):
        calendar = Calendar(name="c", ranges=(("2026-12-24", "2026-12-26"),))
        assert days(calendar, date(2026, 12, 20), 20) == ["12-24", "12-25", "12-26"]
        assert days(calendar, date(2027, 12, 20), 20) == []

    def test_ranges_without_a_year_come_every_year_and_may_span_new_year(self):
        assert days(Calendar(name="c", ranges=(("12-30", "01-02"),)), date(2030, 12, 28), 10) == [
            *("12-30", "12-31", "01-01", "01-02")
        ]
        assert days(Calendar(name="c", ranges=(("05-01", "05-02"),)), date(2030, 4, 28), 10) == ["05-01", "05-02"]
        assert days(Calendar(name="c", ranges=(("05-01", "05-01"),)), date(2030, 4, 28), 10) == ["05-01"]

    def test_weekdays_are_those_of_every_week(self):
        assert days(Calendar(name="c", weekly=("SUN", "MON")), date(2026, 11, 21), 8) == ["11-22", "11-23"]

    def test_a_day_is_one_of_the_calendars_zone(self):
        asked = schedule(but_not=(HOLIDAYS,))
        assert excluded(asked, instant("2026-12-24 22:59:59")) is None
        assert excluded(asked, instant("2026-12-24 23:00:00")) == "excluded by calendar holidays (2026-12-25)"
        assert excluded(asked, instant("2026-12-26 22:59:59")) == "excluded by calendar holidays (2026-12-26)"
        assert excluded(asked, instant("2026-12-26 23:00:00")) is None

    @pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-03-30", 24)])
    def test_a_day_on_which_clocks_change_is_as_long_as_it_is(self, day, hours):
        calendar = Calendar(name="c", zone="Europe/Berlin", dates=(day,))
        asked = schedule("0 * * * *", but_not=(calendar,))
        begin = instant(day) - timedelta(hours=12)
        out = [slot for slot in Timetable.of(asked).upcoming(begin, 60) if excluded(asked, slot)]
        assert len(out) == hours
        kept = Agenda.of(asked).upcoming(begin, 60 - hours)
        assert sorted([*out, *kept]) == [*Timetable.of(asked).upcoming(begin, 60)]

    def test_a_day_that_comes_back_after_midnight_is_left_out_again(self):
        # Clocks in Newfoundland were set back by an hour at one minute past midnight.
        calendar = Calendar(name="c", zone="America/St_Johns", dates=("2010-11-06",))
        asked = schedule("*/30 * * * *", but_not=(calendar,))
        slots = Agenda.of(asked).upcoming(instant("2010-11-06 01:30"), 3)
        assert [f"{slot:%d %H:%M}" for slot in slots] == ["06 02:00", "07 02:30", "07 03:30"]
        assert [f"{wall_time(slot, calendar.zone):%d %H:%M}" for slot in slots] == ["05 23:30", "07 00:00", "07 00:00"]


class TestOnly:
    def test_slots_run_on_its_days_alone(self):
        asked = schedule(only=(BUSINESS,))
        assert excluded(asked, instant("2026-12-26 02:00")) == "not a day of calendar business-days (2026-12-26)"
        assert excluded(asked, instant("2026-12-25 02:00")) is None

    def test_of_several_calendars_one_is_enough(self):
        asked = schedule(only=(BUSINESS, replace(BUSINESS, name="saturdays", weekly=("SAT",))))
        assert excluded(asked, instant("2026-12-26 02:00")) is None
        assert excluded(asked, instant("2026-12-27 02:00")) == "not a day of calendar business-days (2026-12-27)"

    def test_except_wins_over_only(self):
        asked = schedule(only=(BUSINESS,), but_not=(HOLIDAYS,))
        assert excluded(asked, instant("2026-12-25 12:00")) == "excluded by calendar holidays (2026-12-25)"


class TestStops:
    def test_a_schedule_without_calendars_is_never_stopped(self):
        assert excluded(schedule(), NOW) is None
        assert stop_of(schedule(), NOW) is None

    def test_a_slot_that_is_left_out_is_stopped_until_the_first_that_is_not(self):
        asked = schedule(only=(BUSINESS,), but_not=(HOLIDAYS,))
        stop = stop_of(asked, instant("2026-12-25 02:00"))
        assert stop is not None
        assert (stop.kind, stop.by) == (StopKind.EXCLUDED, "holidays")
        assert stop.reason == "excluded by calendar holidays (2026-12-25)"
        assert stop.until == instant("2026-12-28 00:00")
        assert stop_of(asked, instant("2026-12-24 02:00")) is None

    def test_what_is_left_out_for_ever_has_no_end(self):
        stop = stop_of(schedule(only=(Calendar(name="empty"),)), NOW)
        assert stop is not None
        assert stop.until is None

    def test_ten_thousand_jobs_that_ask_about_one_instant_are_answered_at_once(self):
        years = tuple(f"{year}-12-25" for year in range(1900, 2900))
        jobs = [schedule(but_not=(Calendar(name="many", dates=years),))] * 10_000
        begun = perf_counter()
        assert all(excluded(each, NOW) is None for each in jobs)
        assert perf_counter() - begun < 0.5

    def test_more_schedules_than_are_remembered_get_right_answers(self):
        asked = [schedule(but_not=(replace(HOLIDAYS, name=f"c{number}"),)) for number in range(4_100)]
        noon = instant("2026-12-25 12:00")
        assert [excluded(each, noon) for each in asked[::1000]] == [
            f"excluded by calendar c{number} (2026-12-25)" for number in range(0, 4_100, 1000)
        ]
        assert all(excluded(each, noon) for each in asked)

    def test_more_days_than_are_remembered_get_right_answers(self):
        asked = schedule(but_not=(Calendar(name="mondays", weekly=("MON",)),))
        begin = instant("2001-01-01 12:00")  # a Monday
        out = [number for number in range(4_200) if excluded(asked, begin + timedelta(days=number))]
        assert out == list(range(0, 4_200, 7))


class TestAgenda:
    def test_without_calendars_it_is_the_timetable(self):
        agenda = Agenda.of(schedule())
        assert agenda.upcoming(NOW, 3) == Timetable.of(schedule()).upcoming(NOW, 3)
        assert agenda == Agenda.of(replace(schedule(), declared="otherwise"))

    def test_it_passes_over_what_is_left_out(self):
        agenda = Agenda.of(schedule(only=(BUSINESS,), but_not=(HOLIDAYS,)))
        assert [f"{slot:%m-%d}" for slot in agenda.upcoming(NOW, 4)] == ["12-23", "12-24", "12-28", "12-29"]
        assert agenda.next_after(instant("2026-12-24 02:00")) == instant("2026-12-28 02:00")

    def test_it_is_bounded_by_an_instant_and_by_a_number(self):
        agenda = Agenda.of(schedule("0 * * * *", but_not=(HOLIDAYS,)))
        until = instant("2026-12-26 23:00")
        assert agenda.between(instant("2026-12-24 21:00"), until, 10) == (instant("2026-12-24 22:00"), until)
        assert len(agenda.between(NOW, until, 5)) == 5
        assert agenda.between(NOW, NOW, 5) == ()

    def test_whole_days_are_passed_at_once(self):
        asked = schedule("* * * * * *", only=(Calendar(name="c", dates=("2030-01-01",)),))
        begun = perf_counter()
        assert Agenda.of(asked).next_after(NOW) == instant("2030-01-01 00:00")
        assert perf_counter() - begun < 2

    def test_the_29th_of_february_is_found(self):
        asked = schedule(only=(Calendar(name="leap", dates=("02-29",)),))
        slots = Agenda.of(asked).upcoming(instant("2096-03-01 00:00"), 2)
        assert [f"{slot:%Y-%m-%d}" for slot in slots] == ["2104-02-29", "2108-02-29"]

    @pytest.mark.parametrize(
        "asked",
        [
            schedule(only=(Calendar(name="empty"),)),
            schedule("* * * * * *", but_not=(Calendar(name="all", ranges=(("01-01", "12-31"),)),)),
            schedule("0 2 * * SUN", but_not=(Calendar(name="sundays", weekly=("SUN",)),)),
            schedule("0 0 29 2 *", but_not=(Calendar(name="leap", dates=("02-29",)),)),
        ],
        ids=["no-day", "every-second", "every-week", "every-fourth-year"],
    )
    def test_what_leaves_out_everything_is_never_due_and_is_found_out_soon(self, asked):
        begun = perf_counter()
        assert Agenda.of(asked).next_after(NOW) is None
        assert perf_counter() - begun < 2

    def test_the_end_of_the_calendar_is_an_end(self):
        asked = schedule(only=(Calendar(name="empty-at-the-end"),))
        assert Agenda.of(asked).next_after(instant("9999-12-01 00:00")) is None
        slots = Agenda.of(schedule(but_not=(HOLIDAYS,))).upcoming(instant("9999-12-29 02:00"), 5)
        assert [f"{slot:%d}" for slot in slots] == ["30", "31"]

    def test_a_job_that_follows_another_has_no_slots(self):
        following = Schedule(declared="after a/b", after=After(key=JobKey("a", "b")))
        assert Agenda.of(following).next_after(NOW) is None


class TestWords:
    def test_the_calendars_are_named(self):
        assert words(schedule(but_not=(HOLIDAYS,))).endswith(", except on holidays (UTC)")
        asked = schedule(only=(BUSINESS, HOLIDAYS), but_not=(HOLIDAYS, BUSINESS))
        assert words(asked).endswith("only on business-days or holidays, except on holidays and business-days (UTC)")

    @pytest.mark.parametrize(("on", "said"), [("success", "succeeds"), ("failure", "fails"), ("completion", "ends")])
    def test_a_job_that_follows_another_says_so(self, on, said):
        following = Schedule(declared="", after=After(key=JobKey("billing", "nightly"), on=on), but_not=(HOLIDAYS,))
        assert words(following) == f"after billing/nightly {said}, except on holidays"

    def test_the_days_of_a_calendar_are_said_in_one_line(self):
        calendar = Calendar(name="c", dates=("12-25",), weekly=("SUN",), ranges=(("12-30", "01-02"),))
        assert content(calendar) == "12-25, SUN, 12-30 to 01-02 (UTC)"
        assert content(Calendar(name="c")) == "no days (UTC)"

    def test_a_skipped_slot_says_which_calendar_and_which_day_and_no_more(self):
        stop = stop_of(schedule(but_not=(HOLIDAYS,)), instant("2026-12-25 02:00"))
        assert stop is not None
        assert said(stop) == "excluded by calendar holidays (2026-12-25)"
