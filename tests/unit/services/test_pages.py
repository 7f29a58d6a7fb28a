"""Asking for all runs, however many there are."""

from datetime import timedelta

import pytest

from reconciler.core.model import Cause, RunQuery
from reconciler.core.runs import claim_of
from reconciler.services.pages import PAGE, every_run
from tests.fakes import START, MemoryStore, stored_job


@pytest.mark.parametrize("count", [0, 1, PAGE, 2 * PAGE + 1])
async def test_every_run_is_given_once_newest_first(count):
    store, stored = MemoryStore(), stored_job()
    slots = [START + timedelta(seconds=number) for number in range(count)]
    await store.claim([claim_of(stored, slot, Cause.SCHEDULE, "owner", START) for slot in slots])
    found = [run.slot async for run in every_run(store, RunQuery(application=stored.key.application, limit=7))]
    assert found == slots[::-1]
