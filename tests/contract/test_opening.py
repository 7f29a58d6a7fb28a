"""Opening, closing and sharing a store, whichever it is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta

import pytest

from reconciler.adapters.mongo import MongoStore
from reconciler.core.model import JobKey, Retention, RunQuery, Writing
from reconciler.errors import StoreError
from tests.contract.samples import (
    claim_of,
    credential_of,
    ended,
    era_of,
    full_application,
    full_job,
    full_window,
    pause_of,
    process_of,
    report_of,
)
from tests.fakes import START, stored_job

HOUR = timedelta(hours=1)

VERBS = [
    lambda store: store.check(),
    lambda store: store.jobs(),
    lambda store: store.job(JobKey("a", "b")),
    lambda store: store.applications(),
    lambda store: store.apply(Writing(jobs=[stored_job()])),
    lambda store: store.apply(Writing(renamed={JobKey("a", "b"): JobKey("a", "c")})),
    lambda store: store.jobs(lambda name, why: None),
    lambda store: store.windows(),
    lambda store: store.access_tokens(),
    lambda store: store.pause(pause_of("1")),
    lambda store: store.pauses(),
    lambda store: store.pauses(ending_after=START),
    lambda store: store.record(report_of(1)),
    lambda store: store.syncs(1),
    lambda store: store.claim([claim_of()]),
    lambda store: store.finish([ended(claim_of())]),
    lambda store: store.run("x"),
    lambda store: store.runs(RunQuery()),
    lambda store: store.unfinished(),
    lambda store: store.last_runs(),
    lambda store: store.tally(RunQuery()),
    lambda store: store.remember("t", "f", "r", START),
    lambda store: store.beat(process_of("p")),
    lambda store: store.processes(),
    lambda store: store.farewell("p"),
    lambda store: store.expire(now=START, retention=Retention(), applications={"a": Retention()}),
    lambda store: store.lead("p", HOUR, START),
    lambda store: store.lease(),
    lambda store: store.claim([claim_of("a/b")], term=1),
    lambda store: store.apply(Writing(jobs=[stored_job()]), term=1),
    lambda store: store.apply(Writing(eras=[era_of()])),
    lambda store: store.eras(since=START - HOUR, until=START + HOUR),
    lambda store: store.run_ids(START),
    lambda store: store.resign("p", START),
    lambda store: store.credential("a/1"),
    lambda store: store.credentials(),
    lambda store: store.keep_credential(credential_of()),
    lambda store: store.drop_credential("a/1"),
]

# A second process: reads the store over and over, and says at the end what it saw.
READER = """
import asyncio, json, sys
from reconciler.app.wiring import store_at
from reconciler.core.model import RunQuery

async def main():
    store = store_at(sys.argv[1])
    await store.open()
    print("reading", flush=True)
    seen = []
    while not seen or seen[-1] < 200:
        seen.append(len(await store.runs(RunQuery(limit=1000))))
    await store.close()
    print(json.dumps(seen))

asyncio.run(main())
"""


async def test_what_was_written_is_there_after_opening_again(another):
    first = await another()
    await first.apply(Writing(jobs=[full_job()], applications=[full_application()], windows=[full_window()]))
    await first.pause(pause_of("1"))
    await first.claim([claim_of()])
    await first.record(report_of(1))
    await first.beat(process_of("p"))
    await first.remember("t", "f", "r", START)
    await first.close()
    again = await another()
    assert list(await again.jobs()) == [full_job()]
    assert list(await again.applications()) == [full_application()]
    assert list(await again.windows()) == [full_window()]
    assert list(await again.pauses()) == [pause_of("1")]
    assert list(await again.unfinished()) == [claim_of()]
    assert list(await again.syncs(1)) == [report_of(1)]
    assert list(await again.processes()) == [process_of("p")]
    assert await again.remember("t", "g", "q", START) == ("f", "r")


async def test_closing_twice_and_opening_twice_is_allowed(make):
    store = make()
    await store.close()
    await store.open()
    await store.open()
    await store.close()
    await store.close()
    await store.open()
    assert list(await store.jobs()) == []
    await store.close()


async def test_many_may_open_a_fresh_store_at_once(make):
    stores = [make() for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.apply(Writing(jobs=[stored_job(f"a/{i}")])) for i, store in enumerate(stores)))
    for store in stores:
        assert len(await store.jobs()) == 6
        await store.close()


@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_says_that_the_store_is_not_open(make, verb):
    with pytest.raises(StoreError, match="not open"):
        await verb(make())


async def test_every_verb_answers_on_an_open_store(real_store):
    for verb in VERBS:
        await verb(real_store)


async def test_a_second_process_reads_while_the_first_writes(make, another, tmp_path):
    store = await another()
    url = store._address.url if isinstance(store, MongoStore) else f"sqlite:///{tmp_path}/state.db"
    reader = await asyncio.create_subprocess_exec(sys.executable, "-c", READER, url, stdout=subprocess.PIPE)
    try:
        assert await reader.stdout.readline() == b"reading\n"
        for batch in range(20):
            await store.claim([claim_of(f"a/{batch}-{i}") for i in range(10)])
        seen = json.loads(await reader.stdout.readline())
    finally:
        with suppress(ProcessLookupError):
            reader.kill()
        await reader.wait()
    assert seen == sorted(seen)
    assert seen[-1] == 200


async def test_a_cancelled_verb_leaves_the_store_usable(real_store):
    for turns in range(8):  # at whichever step it is met, it is heard
        task = asyncio.ensure_future(real_store.apply(Writing(jobs=[stored_job(f"a/{i}") for i in range(500)])))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await real_store.apply(Writing(jobs=[stored_job("b/after")]))
    assert await real_store.job(JobKey("b", "after")) == stored_job("b/after")


async def test_what_no_store_can_hold_is_refused_and_the_store_stays_usable(real_store):
    with pytest.raises(StoreError):
        await real_store.apply(Writing(jobs=[stored_job("a/b", description="\udc80")]))
    await real_store.apply(Writing(jobs=[stored_job("a/b")]))
    assert list(await real_store.jobs()) == [stored_job("a/b")]
