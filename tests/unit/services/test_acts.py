"""Acts on their way to the store: nobody waits for it, and nothing is lost in silence."""

import asyncio
import itertools
import logging
from contextlib import suppress
from datetime import timedelta

import pytest

from reconciler.core.acts import Act, ActKind, ActQuery
from reconciler.core.redaction import Redactor
from reconciler.errors import StoreError
from reconciler.services.acts import EVERY, MOST_WAITING, Acts, keep
from tests.fakes import START, FakeClock, MemoryStore


class House:
    """Acts over a store in memory."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.redactor = Redactor()
        self.told = []
        nonces = itertools.count()
        self.acts = Acts(self.store, self.clock, self.redactor, tell=self.told.append, nonce=lambda: str(next(nonces)))

    def note(self, kind=ActKind.TRIGGER, **said):
        facts = {"at": self.clock.now(), "who": "access token oncall", "source": "192.0.2.7"}
        self.acts.note(Act(kind=kind, **(facts | said)))

    async def kept(self, *kinds):
        return list(await self.store.acts(ActQuery(kinds=kinds, limit=10_000)))


@pytest.fixture
def house():
    return House()


async def test_what_is_noted_is_told_at_once_and_kept_soon(house):
    keeping = asyncio.ensure_future(house.acts.keep())
    house.note(application="billing")
    assert [act.application for act in house.told] == ["billing"]
    await house.clock.advance(EVERY)
    (act,) = await house.kept()
    assert (act.application, act.who, act.source, act.at) == ("billing", "access token oncall", "192.0.2.7", START)
    keeping.cancel()


async def test_several_are_written_together_and_nothing_is_written_where_nothing_was_done(house):
    for _ in range(5):
        house.note()
    assert await house.acts.write()
    assert await house.acts.write()
    assert house.store.batches == [("act", 5)]


async def test_noting_waits_for_nothing_and_what_was_done_is_kept_when_the_store_is_back(house, caplog):
    house.store.away = True
    house.note()
    assert not await house.acts.write()
    house.note()
    assert not await house.acts.write()
    assert len(house.told) == 2
    assert caplog.text.count("is kept when the store is back") == 1
    house.store.away = False
    assert await house.acts.write()
    assert len(await house.kept()) == 2


async def test_an_answer_that_was_lost_makes_no_second_record(house):
    house.note()
    house.store.lose_answers = 1
    assert not await house.acts.write()
    assert await house.acts.write()
    assert len(await house.kept()) == 1


async def test_what_did_not_fit_is_counted_in_an_act_of_its_own(house):
    house.store.away = True
    for _ in range(MOST_WAITING + 7):
        house.note()
    await house.acts.write()
    house.store.away = False
    assert await house.acts.write()
    (lost,) = await house.kept(ActKind.LOST)
    assert (lost.count, lost.result) == (7, "not kept")
    assert len(await house.kept(ActKind.TRIGGER)) == MOST_WAITING
    assert await house.acts.write()
    assert len(await house.kept(ActKind.LOST)) == 1


async def test_what_the_store_refuses_for_good_does_not_stop_what_comes_after_it(house, caplog):
    good = house.store.act

    async def refuses(_acts):
        raise StoreError("it cannot hold this")

    house.store.act = refuses
    house.note()
    assert not await house.acts.write()
    assert "what was done cannot be kept: it cannot hold this" in caplog.text
    house.store.act = good
    house.note(application="later")
    assert await house.acts.write()
    assert [(act.kind, act.count) for act in await house.kept(ActKind.LOST)] == [("lost", 1)]
    assert [act.application for act in await house.kept(ActKind.TRIGGER)] == ["later"]


async def test_refused_attempts_are_told_one_by_one_and_kept_once_a_minute(house):
    for _ in range(3):
        for _ in range(10):
            house.note(ActKind.REFUSED)
        await house.acts.write()
        await house.clock.advance(timedelta(seconds=20))
    assert len(house.told) == 30
    assert [act.count for act in await house.kept(ActKind.REFUSED)] == [10]
    await house.clock.advance(timedelta(minutes=1))
    await house.acts.write()
    assert [act.count for act in await house.kept(ActKind.REFUSED)] == [20, 10]


async def test_refused_attempts_while_the_store_is_away_take_no_more_room_the_longer_it_is(house):
    house.store.away = True
    for _ in range(200):
        house.note(ActKind.REFUSED)
        await house.acts.write()
        await house.clock.advance(timedelta(minutes=2))
    house.store.away = False
    await house.acts.end()
    assert [act.count for act in await house.kept(ActKind.REFUSED)] == [199, 1]


async def test_at_the_end_everything_is_written(house):
    house.note(ActKind.REFUSED)
    await house.acts.write()
    house.note(ActKind.REFUSED)
    house.note()
    await house.acts.end()
    assert len(await house.kept()) == 3


async def test_the_end_waits_for_no_store_that_is_away(house):
    house.store.away = True
    house.note()
    await house.acts.end()
    assert house.store.calls["act"] == 1


async def test_no_secret_is_told_or_kept(house):
    house.redactor.learn("correct-horse")
    house.note(detail="because of correct-horse", subject="/x/rct_abc")
    await house.acts.write()
    for act in (*house.told, *await house.kept()):
        assert (act.detail, act.subject) == ("because of ***", "/x/***")


async def test_a_bug_is_logged_and_the_next_act_is_kept(house, caplog):
    calls, good = [], house.store.act

    async def breaks_once(acts):
        calls.append(acts)
        if len(calls) == 1:
            raise ZeroDivisionError
        await good(acts)

    house.store.act = breaks_once
    keeping = asyncio.ensure_future(house.acts.keep())
    house.note()
    await house.clock.advance(3 * EVERY)
    assert "a bug in keeping acts" in caplog.text
    assert len(await house.kept()) == 1
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


async def test_what_a_command_has_done_is_kept_at_once_or_else_told(house, caplog):
    act = Act(kind=ActKind.PAUSE, at=START, who="ops@desk", source="command line")
    await keep(house.store, [act, act], house.redactor)
    assert len(await house.kept()) == 2
    house.store.away = True
    with caplog.at_level(logging.WARNING):
        await keep(house.store, [act], house.redactor)
    assert "it is done, but cannot be kept for `reconciler acts`: the store is away" in caplog.text
