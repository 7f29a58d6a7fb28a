"""Records that somebody has damaged by hand: told, passed over, and mended by what is written over them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.core.acts import ActQuery
from reconciler.core.declared_records import encode_job
from reconciler.core.model import Writing
from reconciler.core.records import SALVAGED, encode_pause
from reconciler.errors import StoreError
from tests.contract.samples import act_of, credential_of, full_application, full_token, full_window, pause_of, report_of
from tests.fakes import START, stored_job


async def filled(another):
    """A store with one record of each kind."""
    store = await another()
    await store.apply(Writing(jobs=[stored_job("a/b")], applications=[full_application()]))
    await store.apply(Writing(windows=[full_window()], access_tokens=[full_token()]))
    await store.pause(pause_of("1"))
    await store.record(report_of(1))
    await store.keep_credential(credential_of())
    await store.act([act_of(1)])
    return store


def verbs(store):
    return {
        "applications": (full_application().name, store.applications),
        "windows": (full_window().name, store.windows),
        "access_tokens": (full_token().name, store.access_tokens),
        "syncs": (report_of(1).id, lambda *told: store.syncs(9, damaged=told[0] if told else None)),
        "credentials": (credential_of().id, store.credentials),
        "acts": (act_of(1).id, lambda *told: store.acts(ActQuery(), *told)),
        "pauses": ("1", lambda *told: store.pauses(damaged=told[0] if told else None)),
    }


@pytest.mark.parametrize("kind", ["applications", "windows", "access_tokens", "credentials", "syncs", "pauses", "acts"])
async def test_a_record_that_was_emptied_is_told_and_passed_over_or_else_an_error(another, write_by_hand, kind):
    store = await filled(another)
    name, read = verbs(store)[kind]
    assert len(await read()) == 1
    write_by_hand(kind, name, {"_id": name})
    told: dict[str, str] = {}
    left = await read(told.__setitem__)
    assert list(told) == [name]
    assert told[name].endswith("is missing")
    assert [one.reason for one in left] == ([SALVAGED] * len(left) if kind == "pauses" else [])
    with pytest.raises(StoreError, match=f"'{name}' cannot be read"):
        await read()


async def test_what_is_written_over_a_damaged_record_mends_it(another, write_by_hand):
    store = await filled(another)
    for kind, (name, _) in verbs(store).items():
        write_by_hand(kind, name, {"_id": name})
    await store.apply(Writing(applications=[full_application()], windows=[full_window()], access_tokens=[full_token()]))
    await store.pause(pause_of("1"))
    await store.record(report_of(1))
    await store.keep_credential(credential_of())
    assert list(await store.credentials()) == [credential_of()]
    assert list(await store.applications()) == [full_application()]
    assert list(await store.windows()) == [full_window()]
    assert list(await store.access_tokens()) == [full_token()]
    assert list(await store.pauses()) == [pause_of("1")]
    assert list(await store.syncs(9)) == [report_of(1)]


async def test_a_damaged_pause_that_still_says_what_is_paused_and_until_when_goes_on(another, write_by_hand):
    store = await filled(another)
    pause, told = pause_of("1"), {}
    write_by_hand("pauses", "1", {**encode_pause(pause), "reason": 5, "endedAt": None})
    (found,) = await store.pauses(ending_after=pause.until - timedelta(seconds=1), damaged=told.__setitem__)
    assert (found.id, found.target, found.until, found.ended_at) == ("1", pause.target, pause.until, None)
    assert (found.reason, list(told)) == (SALVAGED, ["1"])
    assert list(await store.pauses(ending_after=pause.until, damaged=told.__setitem__)) == []


async def test_a_pause_of_which_nobody_can_tell_whether_it_is_open_is_told(another, write_by_hand):
    store = await filled(another)
    for broken in ({"until": "soon"}, {"endedAt": 5}):
        told: dict[str, str] = {}
        write_by_hand("pauses", "1", encode_pause(pause_of("1")) | broken)
        found = await store.pauses(ending_after=START, damaged=told.__setitem__)
        assert [one.target for one in found] == [pause_of("1").target]
        assert list(told) == ["1"]


async def test_a_record_of_a_job_is_removed_by_the_id_that_was_told(another, write_by_hand):
    store = await another()
    await store.apply(Writing(jobs=[stored_job("a/b"), stored_job("x/y")]))
    write_by_hand("jobs", "x/y", encode_job(stored_job("a/b")) | {"_id": "x/y"})
    told: dict[str, str] = {}
    await store.jobs(told.__setitem__)
    assert list(told) == ["x/y"]
    await store.apply(Writing(removed_jobs=list(told)))
    assert list(await store.jobs()) == [stored_job("a/b")]
