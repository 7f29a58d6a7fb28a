"""The history of schedules: what a job's slots were, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Era, JobKey, Retention, Writing
from reconciler.errors import DeposedError
from tests.contract.samples import era_of
from tests.fakes import START, stored_job

DAY = timedelta(days=1)
LONG_AGO, FAR_AWAY = START - 10_000 * DAY, START + 10_000 * DAY


def _days(*days: int, job: str = "billing/nightly") -> list[Era]:
    return [era_of(job, START + day * DAY) for day in days]


async def _all(store, **asked) -> list[Era]:
    return list(await store.eras(since=LONG_AGO, until=FAR_AWAY, **asked))


async def test_an_era_comes_back_as_it_was_with_every_field_and_without_a_schedule(store):
    full, over = era_of(), era_of(begin=START + DAY, schedule=None)
    await store.apply(Writing(eras=[over, full]))
    assert await _all(store) == [full, over]


async def test_an_era_that_is_there_stays_as_it_is(store):
    await store.apply(Writing(eras=[era_of()]))
    await store.apply(Writing(eras=[era_of(revision="another"), era_of(begin=START + DAY)]))
    assert await _all(store) == [era_of(), era_of(begin=START + DAY)]


async def test_eras_come_by_application_then_api_then_begin_and_of_the_jobs_asked_for(store):
    eras = [era for job in ("a-b/c", "a/x", "a/b") for era in _days(1, 0, job=job)]
    await store.apply(Writing(eras=eras))
    expected = sorted(eras, key=lambda era: (era.key, era.begin))
    assert await _all(store) == expected
    keys = [JobKey("a", "x"), JobKey("a", "none")]
    assert await _all(store, keys=keys) == [era for era in expected if era.key in keys]
    assert await _all(store, keys=[]) == []


@pytest.mark.parametrize(
    ("since", "until", "held"),
    [
        (-1, 0, []),  # an era's slots come after its begin
        (-1, 0.5, [0]),
        (0, 1, [0]),
        (0.5, 0.6, [0]),
        (0.5, 4, [0, 2]),
        (0, 5, [0, 2, 4]),
        (2, 4, [2]),
        (2, 4.5, [2, 4]),
        (9, 10, [4]),
        (3, 3, []),
        (9, 3, []),
    ],
)
async def test_an_era_holds_after_its_begin_until_the_next_one_begins(store, since, until, held):
    await store.apply(Writing(eras=_days(0, 2, 4)))
    found = await store.eras(since=START + since * DAY, until=START + until * DAY)
    assert list(found) == _days(*held)


async def test_of_what_has_changed_since_only_those_jobs_are_told(store):
    await store.apply(Writing(eras=[*_days(0, 2, 4), *_days(0, job="a/quiet"), *_days(0, 3, job="a/edited")]))
    since = START + 2 * DAY
    found = await store.eras(since=since, until=START + 9 * DAY, changed=True)
    assert found == [*_days(0, 3, job="a/edited"), *_days(2, 4)]
    asked = {"since": since, "until": START + 9 * DAY, "changed": True}
    assert await store.eras(**asked, keys=[JobKey("a", "edited"), JobKey("a", "quiet")]) == found[:2]
    assert await store.eras(**asked, keys=[JobKey("a", "quiet")]) == []
    assert await store.eras(since=START + 4 * DAY, until=FAR_AWAY, changed=True) == []
    assert await store.eras(since=since, until=START + 3 * DAY, changed=True) == []


async def test_eras_are_carried_over_to_a_jobs_new_name_also_when_repeated(store):
    old, new, other = JobKey("billing", "nightly"), JobKey("accounts", "nightly"), JobKey("a", "b")
    await store.apply(Writing(eras=[*_days(0, 1), *_days(0, job="a/b")]))
    begun = era_of("accounts/nightly", START + 5 * DAY)
    for _ in range(2):
        await store.apply(Writing(renamed={old: new}, eras=[begun], jobs=[stored_job(str(new))]))
        assert await _all(store) == [
            *_days(0, job="a/b"),
            *(replace(era, key=new) for era in _days(0, 1)),
            begun,
        ]
    assert await _all(store, keys=[old]) == []
    assert await _all(store, keys=[other]) == _days(0, job="a/b")


async def test_names_that_are_exchanged_keep_their_eras_apart_also_when_repeated(store):
    one, two = JobKey("a", "one"), JobKey("a", "two")
    await store.apply(Writing(eras=[*_days(0, job="a/one"), *_days(1, job="a/two")]))
    renamed = {one: two, two: one}
    begun = _days(5, job="a/one") + _days(6, job="a/two")
    for _ in range(3):
        await store.apply(Writing(renamed=renamed, eras=begun, jobs=[stored_job(str(key)) for key in renamed]))
        assert await _all(store, keys=[one]) == [*_days(1, job="a/one"), begun[0]]
        assert await _all(store, keys=[two]) == [*_days(0, job="a/two"), begun[1]]


async def test_eras_of_an_older_term_are_refused(store):
    await store.lead("old", timedelta(0), START)
    await store.lead("new", DAY, START)
    with pytest.raises(DeposedError):
        await store.apply(Writing(eras=[era_of()]), term=1)
    assert await _all(store) == []


async def test_an_era_goes_once_another_has_followed_it_for_long_enough(store):
    await store.apply(Writing(eras=[*_days(0, 2, 4, 6), *_days(0, job="a/quiet"), *_days(3, 9, job="a/edited")]))
    retention = Retention(keep_failures_for=90 * DAY)
    for _ in range(2):
        assert await store.expire(now=START + 95 * DAY, retention=retention, applications={}) == 0
        assert await _all(store) == [*_days(3, 9, job="a/edited"), *_days(0, job="a/quiet"), *_days(4, 6)]
