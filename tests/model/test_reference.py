"""The model's own notion of time, by what almanacs say: a model that is wrong would prove nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.model.reference import Declared, Lived, slots

HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(cron: str, zone: str, after: str, until: str) -> list[str]:
    return [f"{one:%d %H:%M}" for one in slots(Declared(cron=cron, zone=zone), utc(after), utc(until))]


BERLIN, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"


@pytest.mark.parametrize(
    ("cron", "zone", "after", "until", "expected"),
    [
        # 29 March 2026, 02:00 becomes 03:00 in Berlin, at 01:00 UTC.
        ("30 2 * * *", BERLIN, "2026-03-28", "2026-03-30T12:00", ["28 01:30", "29 01:00", "30 00:30"]),
        ("0,30 1,2 * * *", BERLIN, "2026-03-28T23:30", "2026-03-29T06:00", ["29 00:00", "29 00:30", "29 01:00"]),
        ("*/30 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00", []),
        # 25 October 2026, 03:00 becomes 02:00 in Berlin, at 01:00 UTC.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T12:00", ["25 00:30"]),
        ("*/30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T01:00", ["25 00:00", "25 00:30", "25 01:00"]),
        # 5 April 2026, 02:00 becomes 01:30 on Lord Howe Island, at 15:00 UTC of the 4th.
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", "2026-04-05T12:00", ["04 14:45"]),
        ("15 * * * *", LORD_HOWE, "2026-04-04T13:30", "2026-04-04T17:00", ["04 14:15", "04 15:45", "04 16:45"]),
    ],
)  # fmt: skip
def test_slots_at_a_change_of_clocks(cron, zone, after, until, expected):
    assert told(cron, zone, after, until) == expected


def test_intervals_are_anchored_at_the_epoch():
    found = slots(Declared(every=90), utc("2026-03-02T09:00"), utc("2026-03-02T09:04"))
    assert [f"{one:%M:%S}" for one in found] == ["01:30", "03:00"]


def test_a_clock_that_is_set_back_lives_an_hour_twice():
    lived = Lived(utc("2026-03-02T09:00"))
    lived.until(utc("2026-03-02T12:00"))
    lived.jump(utc("2026-03-02T11:00"))
    lived.until(utc("2026-03-02T11:30"))
    assert [lived.passes(utc(f"2026-03-02T{one}")) for one in ("10:30", "11:15", "11:45")] == [1, 2, 1]
    assert [lived.last_pass(utc(f"2026-03-02T{one}")) for one in ("10:30", "11:15", "11:45")] == [0, 1, 0]


def test_one_that_is_set_forward_leaves_no_gap():
    lived = Lived(utc("2026-03-02T09:00"))
    lived.jump(utc("2026-03-02T12:00"))
    assert [(one.begin, one.end) for one in lived.segments] == [(utc("2026-03-02T09:00"), utc("2026-03-02T12:00"))]
