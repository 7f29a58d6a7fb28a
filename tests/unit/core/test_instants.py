from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.instants import absolute, read_instant, relative, span, stamp
from reconciler.core.plural import plural
from reconciler.errors import SettingsError

NOW = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)


def test_an_instant_is_written_in_its_zone_with_the_zone_named():
    assert absolute(NOW, "Europe/Berlin") == "2026-03-29 01:00:00 CET"
    assert absolute(NOW + timedelta(hours=1), "Europe/Berlin") == "2026-03-29 03:00:00 CEST"


def test_milliseconds_are_written_only_where_there_are_any():
    late = NOW + timedelta(milliseconds=250)
    assert absolute(late) == "2026-03-29 00:00:00.250 UTC"
    assert stamp(late) == "2026-03-29T00:00:00.250Z"
    assert stamp(NOW) == "2026-03-29T00:00:00Z"


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(seconds=40), "40s"),
        (timedelta(minutes=2, seconds=5), "2m 5s"),
        (timedelta(hours=3), "3h"),
        (timedelta(days=3, hours=4, minutes=59), "3d 4h"),
        (timedelta(days=2, minutes=5), "2d"),
        (timedelta(0), "0ms"),
    ],
)
def test_a_span_names_its_two_largest_units(duration, text):
    assert span(duration) == text


def test_relative_says_which_way_it_lies():
    assert relative(NOW + timedelta(hours=2, minutes=5), NOW) == "in 2h 5m"
    assert relative(NOW - timedelta(seconds=5), NOW) == "5s ago"
    assert relative(NOW, NOW) == "now"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-28", datetime(2026, 3, 27, 23, tzinfo=UTC)),
        ("2026-07-01T10:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("2026-07-01 10:00:30", datetime(2026, 7, 1, 8, 0, 30, tzinfo=UTC)),
        ("2026-07-01T10:00:00Z", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-07-01T10:00:00-05:00", datetime(2026, 7, 1, 15, tzinfo=UTC)),
    ],
)
def test_what_people_type_is_wall_time_in_the_zone_unless_it_has_an_offset(text, instant):
    assert read_instant(text, zone="Europe/Berlin") == instant


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "", "2026-13-01", "10:00", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_instant_is_refused_with_what_was_typed(text):
    with pytest.raises(SettingsError, match=r"does not exist|not an instant|out of range"):
        read_instant(text)


@pytest.mark.parametrize(("count", "text"), [(0, "0 jobs"), (1, "1 job"), (10_000, "10,000 jobs")])
def test_one_is_singular(count, text):
    assert plural(count, "job") == text
