"""Acts in a store: who did what, kept in the order of time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.acts import KEEP_ACTS, KEPT_REFUSED, ActKind, ActQuery, act_id
from reconciler.core.model import JobKey, Retention, Writing
from tests.contract.samples import ODD, act_of
from tests.fakes import START

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


async def _ids(store, **question) -> list[str]:
    return [act.id for act in await store.acts(ActQuery(**question))]


async def _expire(store, now, **changes) -> None:
    await store.expire(now=now, retention=Retention(), applications={}, **changes)


async def test_an_act_comes_back_as_it_was_with_every_field(store):
    await store.act([act_of(1)])
    assert list(await store.acts(ActQuery())) == [act_of(1)]


async def test_an_act_on_no_job_in_odd_words_comes_back(store):
    odd = replace(act_of(1), application="", api=None, subject=ODD, who=ODD, result=ODD, detail=ODD, run="")
    await store.act([odd])
    assert list(await store.acts(ActQuery())) == [odd]


async def test_nothing_is_there_before_the_first_and_nothing_may_be_added(store):
    await store.act([])
    assert list(await store.acts(ActQuery())) == []


async def test_acts_come_newest_first_a_page_at_a_time(store):
    await store.act([act_of(number) for number in (3, 1, 5)])
    await store.act([act_of(number) for number in (4, 2)])
    assert await _ids(store, limit=2) == [act_of(5).id, act_of(4).id]
    assert await _ids(store, limit=2, before=act_of(4).id) == [act_of(3).id, act_of(2).id]
    assert await _ids(store, limit=2, before=act_of(2).id) == [act_of(1).id]
    assert await _ids(store, limit=0) == []


async def test_an_act_is_kept_once_and_never_changed(store):
    await store.act([act_of(1)])
    await store.act([replace(act_of(1), who="somebody else"), act_of(2), act_of(2)])
    assert list(await store.acts(ActQuery())) == [act_of(2), act_of(1)]


async def test_acts_are_asked_for_by_kind(store):
    kinds = (ActKind.TRIGGER, ActKind.PAUSE, ActKind.PRUNE)
    await store.act([act_of(number, kind=kind) for number, kind in enumerate(kinds)])
    assert await _ids(store, kinds=(ActKind.PAUSE,)) == [act_of(1).id]
    assert await _ids(store, kinds=(ActKind.PRUNE, ActKind.TRIGGER)) == [act_of(2).id, act_of(0).id]
    assert await _ids(store, kinds=(ActKind.LOST,)) == []


async def test_acts_are_asked_for_by_time_from_the_first_instant_up_to_before_the_last(store):
    await store.act([act_of(number) for number in range(5)])
    found = await _ids(store, since=START + MINUTE, until=START + 3 * MINUTE)
    assert found == [act_of(2).id, act_of(1).id]
    assert await _ids(store, since=START + 3 * MINUTE, before=act_of(4).id) == [act_of(3).id]


async def test_acts_are_asked_for_by_application_and_by_job_with_what_was_done_to_the_whole_of_it(store):
    acts = [
        act_of(1, application="billing", api="nightly"),
        act_of(2, application="billing", api="weekly"),
        act_of(3, application="billing", api=None),
        act_of(4, application="crm", api="nightly"),
        act_of(5, application="", api=None),
    ]
    await store.act(acts)
    assert await _ids(store, application="billing") == [acts[2].id, acts[1].id, acts[0].id]
    assert await _ids(store, application="billing", api="nightly") == [acts[2].id, acts[0].id]
    assert await _ids(store, application="nobody") == []
    assert await _ids(store, application="billing", kinds=(ActKind.PAUSE,)) == []


async def test_a_rename_leaves_acts_as_they_were_done(store):
    await store.act([act_of(1)])
    await store.apply(Writing(renamed={JobKey("billing", "nightly"): JobKey("billing", "new")}))
    assert list(await store.acts(ActQuery())) == [act_of(1)]


async def test_acts_of_several_processes_are_all_kept(another):
    stores = [await another() for _ in range(3)]
    await asyncio.gather(*(store.act([act_of(10 * n + i) for i in range(10)]) for n, store in enumerate(stores)))
    assert await _ids(stores[0]) == [act_of(number).id for number in reversed(range(30))]


async def test_acts_go_when_they_are_old_and_no_sooner(store):
    acts = [act_of(number, at=START + number * DAY) for number in range(4)]
    await store.act(acts)
    await _expire(store, START + 2 * DAY + KEEP_ACTS)
    assert await _ids(store) == [acts[3].id, acts[2].id]
    await _expire(store, START + 10 * DAY, keep_acts=7 * DAY)
    assert await _ids(store) == [acts[3].id]


async def test_a_great_many_old_acts_go_at_once(store):
    await store.act([act_of(number) for number in range(2500)])
    await _expire(store, START + 2400 * MINUTE + DAY, keep_acts=DAY)
    assert len(await _ids(store, limit=5000)) == 100


async def test_of_refused_attempts_only_the_newest_stay_and_they_push_nothing_else_out(store):
    many = KEPT_REFUSED + 700
    person = act_of(0, at=START - DAY)
    refused = [
        act_of(number, kind=ActKind.REFUSED, at=START + number * timedelta(milliseconds=1)) for number in range(many)
    ]
    await store.act([person, *refused])
    await _expire(store, START + DAY)
    found = await _ids(store, limit=2 * many)
    assert len(found) == KEPT_REFUSED + 1
    assert found[0] == refused[-1].id
    assert found[-2:] == [refused[700].id, person.id]


@pytest.mark.parametrize("nonce", ["a", "b"])
async def test_acts_of_one_instant_are_told_apart_by_their_nonce(store, nonce):
    acts = [replace(act_of(1), id=act_id(START, each)) for each in ("a", "b")]
    await store.act(acts)
    assert act_id(START, nonce) in await _ids(store)
    assert len(await _ids(store)) == 2
