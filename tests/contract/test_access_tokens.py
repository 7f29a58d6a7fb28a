"""Access tokens in a store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.model import AccessToken, Role, Writing
from tests.contract.samples import full_token, full_window
from tests.fakes import stored_job


async def test_a_token_comes_back_as_it_was_with_every_field(store):
    await store.apply(Writing(access_tokens=[full_token()]))
    assert list(await store.access_tokens()) == [full_token()]


@pytest.mark.parametrize("role", Role)
async def test_a_token_with_every_field_at_its_default_comes_back(store, role):
    plain = AccessToken(name="t", role=role, sha256="ab" * 32)
    await store.apply(Writing(access_tokens=[plain]))
    assert list(await store.access_tokens()) == [plain]


async def test_tokens_are_ordered_by_name_and_written_whole(store):
    await store.apply(Writing(access_tokens=[full_token("b"), full_token("a"), full_token("c")]))
    changed = replace(full_token("b"), role=Role.ADMIN, expires_at=None, closed="")
    await store.apply(Writing(access_tokens=[changed], removed_access_tokens=["c", "never-was"]))
    assert list(await store.access_tokens()) == [full_token("a"), changed]


async def test_tokens_and_what_else_is_declared_do_not_touch_each_other(store):
    await store.apply(Writing(jobs=[stored_job()], windows=[full_window("x")], access_tokens=[full_token("x")]))
    await store.apply(Writing(removed_access_tokens=["x"]))
    assert (len(await store.jobs()), len(await store.windows())) == (1, 1)
    await store.apply(Writing(access_tokens=[full_token("x")]))
    await store.apply(Writing(removed_windows=["x"]))
    assert list(await store.access_tokens()) == [full_token("x")]


async def test_a_fresh_store_holds_no_tokens(store):
    assert list(await store.access_tokens()) == []
