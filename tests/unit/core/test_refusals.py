"""Refused attempts: how they are counted, and that nobody fills the record."""

from datetime import timedelta

from reconciler.core.acts import Act, ActKind
from reconciler.core.refusals import MOST_SOURCES, OTHERS, Refusals
from tests.fakes import START

SECOND = timedelta(seconds=1)


def attempt(source="192.0.2.7", second=0, detail="wrong"):
    at = START + second * SECOND
    return Act(kind=ActKind.REFUSED, at=at, who="unknown", source=source, subject="/x", detail=detail)


def test_the_first_attempt_is_an_act_at_once_as_it_came():
    refusals = Refusals()
    refusals.add(attempt())
    assert list(refusals.due(SECOND)) == [attempt()]
    assert list(refusals.due(2 * SECOND)) == []


def test_one_source_makes_one_act_a_minute_with_a_count():
    refusals, told = Refusals(), []
    for second in range(600):
        for _ in range(7):
            refusals.add(attempt(second=second))
        told += refusals.due(second * SECOND)
    assert len(told) == 10
    assert sum(act.count for act in told[1:]) == 9 * 60 * 7
    assert (told[1].count, told[1].at) == (420, START + 60 * SECOND)
    assert told[1].detail == "420 since 2026-03-02T09:00:01Z, the last one: wrong"


def test_a_crowd_of_sources_is_counted_together():
    refusals = Refusals()
    for number in range(500):
        refusals.add(attempt(f"198.51.{number // 250}.{number % 250}"))
    told = list(refusals.due(SECOND))
    assert len(told) == MOST_SOURCES + 1
    assert (told[-1].source, told[-1].count) == (OTHERS, 500 - MOST_SOURCES)
    for number in range(500):
        refusals.add(attempt(f"203.0.113.{number % 250}"))
    assert list(refusals.due(30 * SECOND)) == []
    assert [(act.source, act.count) for act in refusals.due(61 * SECOND)] == [(OTHERS, 500)]


def test_a_source_that_rests_is_forgotten_and_makes_room_for_another():
    refusals = Refusals()
    for number in range(MOST_SOURCES):
        refusals.add(attempt(f"198.51.100.{number}"))
    assert len(list(refusals.due(SECOND))) == MOST_SOURCES
    assert list(refusals.due(61 * SECOND)) == []
    refusals.add(attempt("203.0.113.1"))
    assert [act.source for act in refusals.due(62 * SECOND)] == ["203.0.113.1"]


def test_addresses_of_one_ipv6_subscriber_are_one_source():
    refusals = Refusals()
    for number in range(9):
        refusals.add(attempt(f"2001:db8::{number}"))
    assert [(act.source, act.count) for act in refusals.due(SECOND)] == [("2001:db8::8", 9)]


def test_at_the_end_also_what_would_wait_is_told():
    refusals = Refusals()
    refusals.add(attempt())
    list(refusals.due(SECOND))
    refusals.add(attempt(second=2))
    assert list(refusals.due(3 * SECOND)) == []
    assert list(refusals.due(3 * SECOND, every=True)) == [attempt(second=2)]
