"""Encrypted credentials in a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.core.model import Retention
from tests.contract.samples import credential_of
from tests.fakes import START

DAY = timedelta(days=1)


async def test_a_credential_comes_back_as_it_was_with_every_field(store):
    for full in (credential_of(), replace(credential_of("crm/2"), expires_at=None)):
        await store.keep_credential(full)
        assert await store.credential(full.id) == full


async def test_one_that_was_never_kept_is_none(store):
    assert await store.credential("billing/0a1b") is None
    assert list(await store.credentials()) == []
    await store.drop_credential("billing/0a1b")


async def test_a_credential_is_written_whole_and_dropped_alone(store):
    for name in ("b/1", "a/2", "a/1"):
        await store.keep_credential(credential_of(name))
    changed = replace(credential_of("a/2"), sealed="other", expires_at=None)
    for _ in range(2):
        await store.keep_credential(changed)
        assert list(await store.credentials()) == [credential_of("a/1"), changed, credential_of("b/1")]
    for _ in range(2):
        await store.drop_credential("a/1")
        assert list(await store.credentials()) == [changed, credential_of("b/1")]


async def test_another_process_sees_it_at_once(another):
    one, other = await another(), await another()
    await one.keep_credential(credential_of())
    assert await other.credential(credential_of().id) == credential_of()


async def test_one_that_was_given_long_ago_goes(store):
    bound = START + 10 * DAY
    old, young = credential_of("a/1", bound - timedelta(milliseconds=1)), credential_of("a/2", bound)
    for each in (old, young):
        await store.keep_credential(each)
    retention = Retention(keep_failures_for=90 * DAY)
    await store.expire(now=bound + 90 * DAY, retention=retention, applications={})
    assert list(await store.credentials()) == [young]
