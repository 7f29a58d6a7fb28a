"""Who leads, on a clock that is moved by hand and a store that answers as told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Lease
from reconciler.errors import StoreUnavailableError
from reconciler.services.leading import Leadership
from tests.fakes import START

SPAN = timedelta(seconds=5)


class Time:
    """Two clocks: the wall's and the steady one."""

    def __init__(self):
        self.wall, self.since = START, timedelta(0)

    def now(self):
        return self.wall

    def steady(self):
        return self.since

    def advance(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.since += timedelta(seconds=seconds)


class LeaseStore:
    """Only the lease, by the rules of the port; ``away`` and ``lost`` (the answer, after the write) are switches."""

    def __init__(self, time):
        self.time, self.standing = time, None
        self.away = self.lost = False
        self.delay = 0

    def _answer(self):
        if self.away or self.lost:
            raise StoreUnavailableError("away")

    async def lease(self):
        if self.away:
            raise StoreUnavailableError("away")
        if self.standing is None:
            return None
        return replace(self.standing, expired=self.standing.expires_at <= self.time.now())

    async def lead(self, process_id, span, accounted_until):
        if self.away:
            raise StoreUnavailableError("away")
        now, old = self.time.now(), self.standing
        if old is None:
            self.standing = Lease(
                holder=process_id, term=1, since=now, expires_at=now + span, accounted_from=accounted_until,
                accounted_until=accounted_until,
            )  # fmt: skip
        elif old.holder == process_id:
            self.standing = replace(old, expires_at=now + span, accounted_until=accounted_until)
        elif not old.holder or old.expires_at <= now:
            self.standing = replace(old, holder=process_id, term=old.term + 1, since=now, expires_at=now + span)
        self.time.advance(self.delay)
        self._answer()
        return self.standing

    async def resign(self, process_id, accounted_until):
        self._answer()
        if self.standing.holder == process_id:
            self.standing = replace(self.standing, holder="", accounted_until=accounted_until)


class Side:
    """One process, and what it was told."""

    def __init__(self, store, time, name):
        self.told, self.mark, self.nudged = [], None, 0
        self.leadership = Leadership(
            store=store, clock=time, process_id=name, span=SPAN,
            accounted_until=lambda: self.mark or time.now(),
            on_lead=lambda lease: self.told.append(("leads", lease.term, lease.accounted_until)),
            on_lost=lambda reason: self.told.append(("lost", reason)),
            on_nudge=self.nudge,
        )  # fmt: skip

    def nudge(self):
        self.nudged += 1

    @property
    def term(self):
        return self.leadership.term

    async def step(self):
        await self.leadership.step()


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def store(time):
    return LeaseStore(time)


@pytest.fixture
def one(store, time):
    return Side(store, time, "one")


@pytest.fixture
def two(store, time):
    return Side(store, time, "two")


async def test_the_first_to_come_leads_and_owes_nothing_from_before(one):
    assert one.term is None
    await one.step()
    assert one.term == 1
    assert one.told == [("leads", 1, START)]


async def test_another_stands_by_while_the_first_renews(one, two, time):
    for _ in range(20):
        await one.step()
        await two.step()
        time.advance(1)
    assert (one.term, two.term) == (1, None)
    assert two.told == []
    assert two.leadership.lease.holder == "one"


async def test_a_leader_that_cannot_renew_stops_before_another_takes_over(one, two, time, store):
    await one.step()
    store.away = True
    time.advance(2.9)
    await one.step()
    assert one.term == 1
    time.advance(0.1)
    assert one.term is None, "after three fifths of the lease"
    await one.step()
    assert one.told[1:] == [("lost", "no renewal was answered within 3 s")]
    store.away = False
    time.advance(1.9)
    await two.step()
    assert two.term is None, "the lease has not expired yet"
    time.advance(0.1)
    await two.step()
    assert two.term == 2


async def test_time_is_counted_from_the_sending_of_a_renewal_not_from_its_answer(one, time, store):
    store.delay = 2
    await one.step()
    time.advance(0.9)
    assert one.term == 1
    time.advance(0.1)
    assert one.term is None


async def test_an_answer_that_comes_too_late_makes_no_leader(one, store):
    store.delay = 3
    await one.step()
    assert one.term is None
    assert one.told == []


async def test_a_wall_clock_that_is_set_changes_nothing_for_the_holder(one, time):
    await one.step()
    time.wall += timedelta(days=365)
    assert one.term == 1
    time.wall -= timedelta(days=730)
    assert one.term == 1


async def test_the_successor_is_told_from_where_on_slots_may_lack_their_record(one, two, time):
    await one.step()
    time.advance(1)
    one.mark = START + timedelta(milliseconds=700)
    await one.step()
    time.advance(6)
    await two.step()
    assert two.told == [("leads", 2, one.mark)]


async def test_a_takeover_whose_answer_was_lost_forgets_nothing_of_what_is_owed(one, two, time, store):
    await one.step()
    time.advance(60)
    store.lost = True
    await two.step()
    assert two.term is None
    store.lost = False
    time.advance(1)
    await two.step()
    assert two.told == [("leads", 2, START)]


async def test_a_lead_that_lapsed_and_was_taken_by_nobody_goes_on_under_the_same_term(one, time, store):
    await one.step()
    one.mark = START
    store.away = True
    time.advance(60)
    await one.step()
    store.away = False
    one.mark = None
    await one.step()
    assert one.term == 1
    assert one.told[-1] == ("leads", 1, START), "what came meanwhile is owed"


async def test_a_frozen_leader_finds_out_before_it_does_anything(one, two, time):
    await one.step()
    time.advance(15)
    await two.step()
    assert one.term is None, "nothing had to run for it"
    await one.step()
    assert one.term is None
    assert two.term == 2
    assert one.told[-1][0] == "lost"


async def test_who_resigns_hands_over_at_once_with_its_mark_and_comes_back_no_more(one, two, time):
    await one.step()
    time.advance(1)
    one.mark = START + timedelta(milliseconds=900)
    await one.leadership.resign()
    assert one.term is None
    await two.step()
    assert two.told == [("leads", 2, one.mark)]
    time.advance(30)
    await one.step()
    assert one.term is None


async def test_who_cannot_say_that_it_resigns_leaves_the_lease_to_expire(one, store):
    await one.step()
    store.away = True
    await one.leadership.resign()
    assert one.term is None
    assert store.standing.holder == "one"


async def test_who_never_led_resigns_nothing(one, two, store):
    await one.step()
    await two.step()
    await two.leadership.resign()
    assert store.standing.holder == "one"


async def test_the_leader_is_told_of_each_nudge_once(one, two, store):
    await one.step()
    await two.step()
    store.standing = replace(store.standing, nudges=3)
    await one.step()
    await one.step()
    await two.step()
    assert (one.nudged, two.nudged) == (1, 0)


async def test_resigning_twice_is_resigning_once(one, two):
    await one.step()
    await one.leadership.resign()
    await two.step()
    await one.leadership.resign()
    assert two.term == 2


async def test_who_is_the_holder_again_under_another_term_is_told_that_somebody_led_in_between(one, time, store):
    await one.step()
    store.standing = replace(store.standing, term=3)  # as after two leads of one name that it did not see
    time.advance(1)
    one.mark = START + timedelta(milliseconds=500)
    await one.step()
    assert one.told[1:] == [("lost", "another process has led in between"), ("leads", 3, one.mark)]
    assert one.term == 3


async def test_it_is_known_since_when_the_store_is_away(one, time, store):
    await one.step()
    assert one.leadership.away_since is None
    store.away = True
    for _ in range(3):
        time.advance(1)
        await one.step()
    assert one.leadership.away_since == START + timedelta(seconds=1)
    store.away = False
    await one.step()
    assert one.leadership.away_since is None
