from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import zones
from reconciler.errors import NotFoundError

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "UTC",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "shown", "instant"),
    [
        ("UTC", "2026-03-29 02:30", "2026-03-29 02:30"),
        ("Europe/Berlin", "2026-07-01 12:00", "2026-07-01 10:00"),
        ("Europe/Berlin", "2026-01-01 12:00:00.250", "2026-01-01 11:00:00.250"),
        ("Asia/Kathmandu", "2026-01-01 12:00", "2026-01-01 06:15"),
    ],
)
def test_an_ordinary_wall_time_is_the_instant_at_which_clocks_show_it(zone, shown, instant):
    assert zones.localise(wall(shown), zone) == utc(instant)


@pytest.mark.parametrize(
    ("zone", "skipped", "after_the_gap"),
    [
        ("Europe/Berlin", "2026-03-29 02:00", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 02:59:59.999", "2026-03-29 01:00"),
        ("America/New_York", "2026-03-08 02:30", "2026-03-08 07:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:00", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:29", "2026-10-03 15:30"),
        ("Pacific/Apia", "2011-12-30 00:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-30 23:59:59", "2011-12-30 10:00"),
        ("Africa/Casablanca", "2026-03-22 02:30", "2026-03-22 02:00"),
        ("America/Sao_Paulo", "2018-11-04 00:00", "2018-11-04 03:00"),
        ("America/Sao_Paulo", "2018-11-04 00:59", "2018-11-04 03:00"),
        ("Africa/Monrovia", "1972-01-07 00:30", "1972-01-07 00:44:30"),
    ],
)
def test_a_skipped_wall_time_is_the_first_instant_after_the_gap(zone, skipped, after_the_gap):
    assert zones.localise(wall(skipped), zone) == utc(after_the_gap)


@pytest.mark.parametrize(
    ("zone", "repeated", "first"),
    [
        ("Europe/Berlin", "2026-10-25 02:00", "2026-10-25 00:00"),
        ("Europe/Berlin", "2026-10-25 02:59:59", "2026-10-25 00:59:59"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45"),
        ("Africa/Casablanca", "2026-02-15 02:30", "2026-02-15 01:30"),
        ("America/Sao_Paulo", "2018-02-17 23:30", "2018-02-18 01:30"),
    ],
)
def test_a_repeated_wall_time_is_the_first_of_its_two_instants(zone, repeated, first):
    assert zones.localise(wall(repeated), zone) == utc(first)
    assert zones.localise(wall(repeated).replace(fold=1), zone) == utc(first)


@given(
    st.sampled_from(ZONES),
    st.datetimes(wall("1950-01-01"), wall("2100-01-01")).map(lambda value: value.replace(microsecond=0)),
)
def test_localised_times_are_shown_by_clocks_then_or_never(zone, shown):
    instant = zones.localise(shown, zone)
    assert instant.tzinfo is UTC
    before = instant - timedelta(seconds=1)
    if zones.wall_time(instant, zone) != shown:
        assert zones.wall_time(before, zone) < shown < zones.wall_time(instant, zone)
    else:
        assert instant.astimezone(ZoneInfo(zone)).fold == 0


@pytest.mark.parametrize(
    ("zone", "after", "change"),
    [
        ("Europe/Berlin", "2026-01-01", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 00:59:59.999", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 01:00", "2026-10-25 01:00"),
        ("Europe/Berlin", "2026-12-31", "2027-03-28 01:00"),
        ("America/New_York", "2026-01-01", "2026-03-08 07:00"),
        ("Australia/Lord_Howe", "2026-01-01", "2026-04-04 15:00"),
        ("Australia/Lord_Howe", "2026-04-04 15:00", "2026-10-03 15:30"),
        ("Pacific/Apia", "2011-12-01", "2011-12-30 10:00"),
        ("Africa/Casablanca", "2026-01-01", "2026-02-15 02:00"),
        ("Africa/Casablanca", "2026-02-15 02:00", "2026-03-22 02:00"),
        ("America/Sao_Paulo", "2018-06-01", "2018-11-04 03:00"),
    ],
)
def test_the_next_change_of_a_zones_clocks_is_found_to_the_second(zone, after, change):
    assert zones.next_change(utc(after), zone) == utc(change)


def test_a_change_on_new_year_is_found_from_both_sides():
    # Lisbon left Greenwich time as 1912 began (it had been 36:45 behind).
    change = utc("1912-01-01 00:00")
    assert zones.next_change(change - timedelta(seconds=1), "Europe/Lisbon") == change
    assert zones.steady_until(change - timedelta(seconds=1), "Europe/Lisbon")[1] == change
    assert zones.steady_until(change, "Europe/Lisbon")[0] == timedelta(0)


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "Asia/Tokyo"])
def test_a_zone_whose_clocks_are_never_set_has_no_next_change(zone):
    assert zones.next_change(utc("2026-01-01"), zone) is None


def test_changes_far_in_the_future_are_followed_to_the_calendars_end():
    assert zones.next_change(utc("9999-06-01"), "Europe/Berlin") == utc("9999-10-31 01:00")
    assert zones.next_change(utc("9999-11-01"), "Europe/Berlin") is None
    assert zones.steady_until(utc("9999-12-01"), "Europe/Berlin") == (timedelta(hours=1), zones.LAST)


@given(
    st.sampled_from(ZONES),
    st.datetimes(wall("1950-01-01"), wall("2100-01-01")).map(lambda v: v.replace(tzinfo=UTC)),
)
def test_the_offset_stays_as_long_as_it_is_said_to(zone, instant):
    offset, end = zones.steady_until(instant, zone)
    assert instant < end <= datetime(instant.year + 1, 1, 1, tzinfo=UTC)
    tz = ZoneInfo(zone)
    for part in range(8):
        assert (instant + (end - instant) * part / 8).astimezone(tz).utcoffset() == offset
    assert (end - timedelta(microseconds=1)).astimezone(tz).utcoffset() == offset
    if (end.month, end.day, end.hour) != (1, 1, 0):
        assert end.astimezone(tz).utcoffset() != offset


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_named_in_the_error(zone):
    with pytest.raises(NotFoundError, match=f"no time zone '{zone}'"):
        zones.localise(wall("2026-01-01"), zone)


@pytest.mark.parametrize(
    ("shown", "zone"), [("9999-12-31 23:00", "America/New_York"), ("0001-01-01 00:00", "Asia/Tokyo")]
)
def test_beyond_the_calendar_is_an_overflow(shown, zone):
    with pytest.raises(OverflowError):
        zones.localise(wall(shown), zone)
