from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.cron import normalise
from reconciler.core.model import FreezeWindow, Schedule
from reconciler.core.windows import Occurrences, Spell, concerns, matches
from tests.unit.core.timetables import (
    BERLIN,
    CHANGES,
    DAY,
    LORD_HOWE,
    MINUTE,
    NEW_YORK,
    PATTERNS,
    Pattern,
    reference,
    utc,
)

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
NOON = utc("2026-03-02 12:00")  # a Monday


def cron(expression: str, zone: str = "UTC") -> Schedule:
    return Schedule(declared=expression, cron=normalise(expression, ""), zone=zone)


def window(start: Schedule | str, duration: timedelta, **changes) -> FreezeWindow:
    start = cron(start) if isinstance(start, str) else start
    return FreezeWindow(**({"name": "quiet", "mode": "deny", "start": start, "duration": duration} | changes))


def spell(start: Schedule | str, duration: timedelta, at: datetime) -> Spell:
    return Occurrences(window(start, duration)).spell(at)


class TestSpells:
    def test_a_window_is_open_from_its_start_to_just_before_its_end(self):
        nightly = Occurrences(window("0 22 * * *", 2 * HOUR))
        opens, closes = utc("2026-03-02 22:00"), utc("2026-03-03 00:00")
        assert nightly.spell(opens - timedelta(milliseconds=1)) == Spell(utc("2026-03-02"), opens, is_open=False)
        assert nightly.spell(opens) == Spell(opens, closes, is_open=True)
        assert nightly.spell(closes - timedelta(milliseconds=1)) == Spell(opens, closes, is_open=True)
        assert nightly.spell(closes) == Spell(closes, opens + DAY, is_open=False)

    @pytest.mark.parametrize("duration", [DAY, 30 * HOUR], ids=["touching", "overlapping"])
    def test_occurrences_without_a_break_are_one_stretch(self, duration):
        weekdays = spell("0 0 * * 1-5", duration, utc("2026-03-04 12:00"))
        assert weekdays == Spell(utc("2026-03-02"), utc("2026-03-06") + duration, is_open=True)

    def test_a_start_every_second_with_a_long_duration_is_found_quickly(self):
        busy = spell("* * 9 * * *", 3 * HOUR, utc("2026-03-02 10:30"))
        assert busy == Spell(utc("2026-03-02 09:00"), utc("2026-03-02 12:59:59"), is_open=True)

    @pytest.mark.parametrize("start", ["* * * * 6,0", "* * * * * 6,0", "0-59 0-23 * * 6,0"])
    def test_a_start_every_minute_or_second_of_two_days_is_one_stretch(self, start):
        length = timedelta(minutes=1) if start.count(" ") == 4 else SECOND
        weekend = spell(cron(start, BERLIN), length, utc("2026-03-28 12:00"))
        assert weekend == Spell(utc("2026-03-27 23:00"), utc("2026-03-29 22:00"), is_open=True)  # 47 hours

    def test_occurrences_of_many_days_are_one_stretch_within_the_bounds_of_the_start(self):
        from_noon = Schedule(
            declared="", cron="* * * 3 *", zone=BERLIN,
            starts_at=utc("2026-03-02 12:30"), ends_at=utc("2026-03-29 12:30"),
        )  # fmt: skip
        for at in ("2026-03-02 12:30", "2026-03-02 23:30", "2026-03-15", "2026-03-29 01:00", "2026-03-29 12:30"):
            march = spell(from_noon, MINUTE, utc(at))
            assert march == Spell(utc("2026-03-02 12:30"), utc("2026-03-29 12:31"), is_open=True)

    @pytest.mark.parametrize("at", ["2026-10-25 00:30", "2026-10-25 02:30"])
    def test_a_wall_time_that_comes_again_is_a_gap_in_the_day(self, at):
        found = spell(cron("0-59 0-23 * * *", BERLIN), MINUTE, utc(at))
        edges = (found.end, None) if at.endswith("00:30") else (None, found.begin)
        assert edges in ((utc("2026-10-25 01:00"), None), (None, utc("2026-10-25 02:00")))

    def test_a_start_that_clocks_move_into_the_next_day_does_not_make_it_a_day_of_starts(self):
        # In 2011 Samoa left out 30 December, a Friday: its times all come as the 31st begins.
        found = spell(cron("0-59 0-23 * * 5", "Pacific/Apia"), MINUTE, utc("2011-12-30 10:00"))
        assert found == Spell(utc("2011-12-30 10:00"), utc("2011-12-30 10:01"), is_open=True)

    def test_what_never_closes_has_no_end_in_sight(self):
        assert spell("* * * * * *", MINUTE, NOON) == Spell(None, None, is_open=True)

    def test_what_never_closes_before_the_end_of_the_calendar_has_no_end_in_sight(self):
        years = 3650 * DAY
        assert spell(Schedule(declared="", every=years), years, NOON).end is None

    def test_a_window_that_opens_in_the_last_years_of_the_calendar_has_no_end_in_sight(self):
        last = datetime(9998, 1, 1, tzinfo=UTC)
        assert spell(Schedule(declared="", at=last), 3650 * DAY, last + DAY) == Spell(last, None, is_open=True)

    def test_a_window_that_has_passed_stays_closed(self):
        once = Schedule(declared="", at=NOON)
        assert spell(once, HOUR, NOON + DAY) == Spell(NOON + HOUR, None, is_open=False)

    def test_a_window_still_to_come_has_never_been_open(self):
        once = Schedule(declared="", at=NOON)
        assert spell(once, HOUR, NOON - DAY) == Spell(None, NOON, is_open=False)

    def test_a_yearly_window_remembers_last_year(self):
        assert spell("0 0 24 12 *", 9 * DAY, NOON) == Spell(utc("2026-01-02"), utc("2026-12-24"), is_open=False)

    def test_a_duration_is_real_time_when_clocks_are_set(self):
        night = spell(cron("0 1 * * *", BERLIN), 4 * HOUR, utc("2026-03-29 02:00"))
        assert night == Spell(
            utc("2026-03-29 00:00"), utc("2026-03-29 04:00"), is_open=True
        )  # 06:00 on the wall, not 05:00

    def test_answers_do_not_depend_on_the_order_of_questions(self):
        asked = Occurrences(window("30 * * * *", 10 * MINUTE))
        for minutes in (0, 35, 10, 95, 33, 0):
            at = NOON + minutes * MINUTE
            assert asked.spell(at) == spell("30 * * * *", 10 * MINUTE, at)

    @example(  # 47 hours of minutes
        pattern=Pattern(("*", set(range(60))), ("*", set(range(24))), ("*/2", {0, 2, 4, 6})),
        zone=BERLIN,
        change=0,
        duration=1,
        offsets=[0],
    )
    @settings(deadline=None, max_examples=60)
    @given(
        pattern=PATTERNS,
        zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE]),
        change=st.integers(0, 1),
        duration=st.integers(1, 600),
        offsets=st.lists(st.integers(-1440, 1440), min_size=1, max_size=8),
    )
    def test_agree_with_looking_at_every_minute(self, pattern, zone, change, duration, offsets):
        centre = CHANGES[zone][change]
        starts = reference(pattern, zone, centre - 3 * DAY, centre + 3 * DAY)
        length = duration * MINUTE
        asked = Occurrences(window(cron(pattern.text, zone), length))
        for offset in offsets:
            at = centre + offset * MINUTE
            newest = starts[bisect_right(starts, at) - 1] if starts and starts[0] <= at else None
            is_open = newest is not None and at < newest + length
            found = asked.spell(at)
            assert found.is_open == is_open
            _check_edges(found, starts, length, at, centre)


def _check_edges(found: Spell, starts: list[datetime], length: timedelta, at: datetime, centre: datetime) -> None:
    """Walk minute by minute from ``at`` to where the state changes, as far as the reference reaches."""

    def is_open(instant: datetime) -> bool:
        place = bisect_right(starts, instant)
        return place > 0 and instant < starts[place - 1] + length

    end = at
    while end < centre + 2 * DAY and is_open(end) == found.is_open:
        end += MINUTE
    begin = at
    while begin > centre - 2 * DAY and is_open(begin - MINUTE) == found.is_open:
        begin -= MINUTE
    if end < centre + 2 * DAY:
        assert found.end == end
    else:
        assert found.end is None or found.end >= end
    if begin > centre - 2 * DAY:
        assert found.begin == begin
    else:
        assert found.begin is None or found.begin <= begin


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "name", "fits"),
        [
            ("billing", "billing", True),
            ("billing", "billing-eu", False),
            ("*", "billing", True),
            ("billing-*", "billing-eu", True),
            ("billing-*", "billing", False),
            ("*-eu", "billing-eu", True),
            ("a*b*c", "axxbyyc", True),
            ("a*b*c", "axxc", False),
            ("ab*ba", "aba", False),
            ("a*a", "a", False),
            ("a*aa", "aaa", True),
            ("[ab]*", "a", False),
            ("?", "a", False),
        ],
    )
    def test_a_star_stands_for_any_text_and_all_else_for_itself(self, pattern, name, fits):
        assert matches(pattern, name) is fits

    @example("*" + "a*" * 30, "a" * 63)
    @given(st.text("ab*", max_size=70), st.text("ab", max_size=63))
    def test_agree_with_a_table_of_all_splits(self, pattern, name):
        row = [True] + [False] * len(name)  # row[i]: what has been read of the pattern fits name[:i]
        for sign in pattern:
            if sign == "*":
                row = [any(row[: i + 1]) for i in range(len(row))]
            else:
                row = [False] + [row[i] and name[i] == sign for i in range(len(name))]
        assert matches(pattern, name) is row[-1]

    def test_a_window_concerns_whom_any_of_its_patterns_names(self):
        one = window("0 0 * * *", HOUR, applications=("billing", "shop-*"))
        assert [name for name in ("billing", "shop-eu", "shop", "mail") if concerns(one, name)] == [
            "billing",
            "shop-eu",
        ]
