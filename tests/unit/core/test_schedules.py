from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter

from reconciler.core.model import Schedule
from reconciler.core.schedules import resolve
from reconciler.core.timetable import Timetable
from reconciler.errors import ScheduleError
from schemas.schedule import Schedule as DeclaredSchedule

READ = TypeAdapter(DeclaredSchedule).validate_python


def resolved(schedule, *, zone="UTC", starts_at=None, ends_at=None, seed="billing/nightly") -> Schedule:
    return resolve(READ(schedule), zone=zone, starts_at=starts_at, ends_at=ends_at, seed=seed)


def refusal(schedule, **given) -> str:
    with pytest.raises(ScheduleError) as caught:
        resolved(schedule, **given)
    return str(caught.value)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return wall(text).replace(tzinfo=UTC)


class TestCron:
    def test_a_string_and_a_mapping_say_the_same(self):
        assert (
            resolved("0 2 * * *") == resolved({"cron": "0 2 * * *"}) == Schedule(declared="0 2 * * *", cron="0 2 * * *")
        )

    def test_is_declared_as_written_and_resolved_for_the_job(self):
        schedule = resolved("h 2 * * sat-sun")
        assert schedule.declared == "h 2 * * sat-sun"
        assert schedule.cron == "27 2 * * 6,0"
        assert resolved("h 2 * * sat-sun", seed="billing/weekly").cron != schedule.cron

    def test_what_is_wrong_is_told(self):
        assert refusal("61 * * * *").startswith("minute '61'")
        assert refusal({"cron": "0 0 30 2 *"}).startswith("no year has such a date")


class TestEvery:
    def test_is_an_interval(self):
        schedule = resolved({"every": "2h30m"})
        assert schedule == Schedule(declared="every 2h30m", every=timedelta(hours=2, minutes=30))

    def test_is_declared_in_its_plainest_form(self):
        assert resolved({"every": "90m"}).declared == "every 1h30m"


class TestAt:
    def test_is_wall_time_in_the_zone_unless_it_says_otherwise(self):
        naive = resolved({"at": "2026-12-01T10:00:00"}, zone="Europe/Berlin")
        aware = resolved({"at": "2026-12-01T10:00:00+05:00"}, zone="Europe/Berlin")
        assert (naive.at, naive.declared, naive.zone) == (
            utc("2026-12-01 09:00"),
            "at 2026-12-01 10:00:00",
            "Europe/Berlin",
        )
        assert (aware.at, aware.declared) == (utc("2026-12-01 05:00"), "at 2026-12-01 10:00:00+05:00")
        assert resolved({"at": "2026-12-01T10:00:00Z"}).declared == "at 2026-12-01 10:00:00 UTC"

    def test_is_cut_to_milliseconds(self):
        schedule = resolved({"at": "2026-12-01T10:00:00.123999Z"})
        assert schedule.at == utc("2026-12-01 10:00:00.123")
        assert schedule.declared == "at 2026-12-01 10:00:00.123 UTC"

    def test_in_the_skipped_hour_is_the_first_instant_after_it(self):
        assert resolved({"at": "2026-03-29T02:30:00"}, zone="Europe/Berlin").at == utc("2026-03-29 01:00")

    def test_in_the_repeated_hour_is_the_first_of_the_two(self):
        assert resolved({"at": "2026-10-25T02:30:00"}, zone="Europe/Berlin").at == utc("2026-10-25 00:30")

    def test_outside_its_bounds_is_refused(self):
        at = {"at": "2026-12-01T10:00:00Z"}
        assert "before startsAt" in refusal({**at, "startsAt": "2026-12-02"})
        assert "after endsAt 2026-11-30 00:00:00 UTC" in refusal({**at, "endsAt": "2026-11-30"})
        assert resolved({**at, "startsAt": "2026-12-01T10:00:00Z", "endsAt": "2026-12-01T10:00:00Z"}).at


class TestFrequency:
    @pytest.mark.parametrize(
        ("schedule", "cron", "declared"),
        [
            ({"frequency": "daily"}, "0 0 * * *", "daily at 00:00"),
            ({"frequency": "daily", "time": "02:05:30"}, "30 5 2 * * *", "daily at 02:05:30"),
            ({"frequency": "weekly", "on": "SUN", "time": "09:45"}, "45 9 * * SUN", "weekly on SUN at 09:45"),
            ({"frequency": "weekly", "on": ["mon", "fri"]}, "0 0 * * MON,FRI", "weekly on MON, FRI at 00:00"),
            ({"frequency": "monthly"}, "0 0 1 * *", "monthly on day 1 at 00:00"),
            ({"frequency": "monthly", "day": 31}, "0 0 31 * *", "monthly on day 31 at 00:00"),
            ({"frequency": "monthly", "day": "last"}, "0 0 L * *", "monthly on the last day at 00:00"),
            ({"frequency": "monthly", "on": "MON#2"}, "0 0 * * 1#2", "monthly on MON#2 at 00:00"),
            ({"frequency": "monthly", "on": ["FRI#L", "SUN#1"]}, "0 0 * * 5L,0#1", "monthly on FRI#L, SUN#1 at 00:00"),
            ({"frequency": "quarterly"}, "0 0 1 1,4,7,10 *", "quarterly on day 1 of month 1 at 00:00"),
            ({"frequency": "quarterly", "month": 3, "day": "last"}, "0 0 L 3,6,9,12 *",
             "quarterly on the last day of month 3 at 00:00"),
            ({"frequency": "quarterly", "month": 2, "on": "FRI#L", "time": "8:00"}, "0 8 * 2,5,8,11 5L",
             "quarterly on FRI#L of month 2 at 8:00"),
            ({"frequency": "yearly"}, "0 0 1 1 *", "yearly on day 1 of month 1 at 00:00"),
            ({"frequency": "yearly", "month": 2, "day": 29}, "0 0 29 2 *", "yearly on day 29 of month 2 at 00:00"),
            ({"frequency": "yearly", "month": 11, "on": "THU#4"}, "0 0 * 11 4#4",
             "yearly on THU#4 of month 11 at 00:00"),
        ],
    )  # fmt: skip
    def test_becomes_cron_fields(self, schedule, cron, declared):
        found = resolved(schedule)
        assert (found.cron, found.declared) == (cron, declared)

    def test_on_a_day_that_its_month_never_has_is_refused_in_its_own_words(self):
        message = refusal({"frequency": "yearly", "month": 2, "day": 30})
        assert message == "yearly on day 30 of month 2 at 00:00: no year has such a day; change `day` or `month`"


class TestZoneAndBounds:
    def test_bounds_are_wall_time_in_the_zone(self):
        schedule = resolved("@daily", zone="Europe/Berlin", starts_at=wall("2026-07-01"), ends_at=wall("2026-12-31"))
        assert (schedule.starts_at, schedule.ends_at) == (utc("2026-06-30 22:00"), utc("2026-12-30 23:00"))

    def test_bounds_with_an_offset_are_taken_as_they_are(self):
        starts = datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=2)))
        assert resolved("@daily", zone="America/New_York", starts_at=starts).starts_at == utc("2026-06-30 22:00")

    def test_those_within_the_schedule_win_over_those_beside_it(self):
        inner = {"timeZone": "Asia/Tokyo", "startsAt": "2026-01-02", "endsAt": "2026-01-03"}
        schedule = resolved(
            {"every": "1h", **inner}, zone="UTC", starts_at=wall("2025-01-01"), ends_at=wall("2027-01-01")
        )
        assert schedule.zone == "Asia/Tokyo"
        assert (schedule.starts_at, schedule.ends_at) == (utc("2026-01-01 15:00"), utc("2026-01-02 15:00"))

    @pytest.mark.parametrize("schedule", ["@daily", {"every": "1h"}, {"frequency": "daily"}])
    def test_those_beside_it_hold_for_every_form(self, schedule):
        found = resolved(schedule, zone="Asia/Tokyo", starts_at=wall("2026-01-02"), ends_at=wall("2026-01-03"))
        assert (found.zone, found.starts_at, found.ends_at) == (
            "Asia/Tokyo",
            utc("2026-01-01 15:00"),
            utc("2026-01-02 15:00"),
        )

    def test_an_end_before_the_beginning_is_refused(self):
        message = refusal("@daily", starts_at=wall("2026-02-01"), ends_at=wall("2026-01-01"))
        assert message == (
            "endsAt 2026-01-01 00:00:00 UTC lies before startsAt 2026-02-01 00:00:00 UTC: there is no slot"
        )

    def test_an_end_at_the_beginning_leaves_one_slot(self):
        schedule = resolved({"every": "1h"}, starts_at=wall("2026-02-01"), ends_at=wall("2026-02-01"))
        assert Timetable.of(schedule).upcoming(utc("2000-01-01"), 5) == (utc("2026-02-01"),)

    @pytest.mark.parametrize("schedule", ["@daily", {"every": "1h"}, {"at": "2026-01-01T00:00:00Z"}])
    def test_a_zone_that_does_not_exist_is_refused(self, schedule):
        assert refusal(schedule, zone="Mars/Olympus").startswith("timeZone: there is no time zone 'Mars/Olympus'")

    @pytest.mark.parametrize("field", ["startsAt", "endsAt"])
    def test_an_instant_beyond_the_calendar_is_refused(self, field):
        message = refusal({"every": "1h", "timeZone": "America/New_York", field: "9999-12-31T23:59:59"})
        assert message == f"{field} 9999-12-31 23:59:59 is outside the years 1 to 9999 in UTC"
