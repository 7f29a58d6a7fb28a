"""What is asked about runs: pages, the newest of each job, counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Cause, JobKey, Outcome, Run, RunQuery, Tally
from tests.contract.samples import claim_of, ended
from tests.fakes import START

JOBS = ("a/x", "a/y", "b/x")
ENDS = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.RUNNING)


def _history() -> list[Run]:
    """Sixty runs of three jobs, twenty minutes of slots, every outcome with every cause; oldest first."""
    runs = []
    for minute in range(20):
        for place, job in enumerate(JOBS):
            cause = Cause.MANUAL if minute % 4 == 0 else Cause.SCHEDULE
            run = claim_of(job, START + timedelta(minutes=minute), cause=cause)
            end = ENDS[(minute + place) % 3]
            runs.append(run if end is Outcome.RUNNING else ended(run, end))
    return sorted(runs, key=lambda run: run.id)


@pytest.fixture
async def history(store) -> list[Run]:
    runs = _history()
    await store.claim(runs)
    return runs


async def test_runs_come_newest_slot_first_and_fifty_at_most_unless_said(store, history):
    assert list(await store.runs(RunQuery())) == history[::-1][:50]


async def test_no_run_is_asked_for_with_a_limit_of_zero(store, history):
    assert list(await store.runs(RunQuery(limit=0))) == []


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (RunQuery(application="a"), lambda run: run.key.application == "a"),
        (RunQuery(api="x"), lambda run: run.key.api == "x"),
        (RunQuery(application="a", api="x"), lambda run: run.key == JobKey("a", "x")),
        (RunQuery(application="$a"), lambda _run: False),
        (RunQuery(applications=("a", "c")), lambda run: run.key.application == "a"),
        (RunQuery(applications=("a", "b"), application="b", api="x"), lambda run: run.key == JobKey("b", "x")),
        (RunQuery(applications=("a",), application="b"), lambda _run: False),
        (RunQuery(applications=()), lambda _run: False),
        (RunQuery(outcomes=(Outcome.FAILED,)), lambda run: run.outcome is Outcome.FAILED),
        (
            RunQuery(outcomes=(Outcome.FAILED, Outcome.RUNNING)),
            lambda run: run.outcome in (Outcome.FAILED, Outcome.RUNNING),
        ),
        (RunQuery(cause=Cause.MANUAL), lambda run: run.cause is Cause.MANUAL),
        (RunQuery(since=START + timedelta(minutes=7)), lambda run: run.slot >= START + timedelta(minutes=7)),
        (RunQuery(until=START + timedelta(minutes=7)), lambda run: run.slot < START + timedelta(minutes=7)),
        (
            RunQuery(since=START + timedelta(minutes=7, microseconds=1)),
            lambda run: run.slot > START + timedelta(minutes=7),
        ),
        (
            RunQuery(until=START + timedelta(minutes=7, microseconds=1)),
            lambda run: run.slot <= START + timedelta(minutes=7),
        ),
        (RunQuery(since=START + timedelta(days=1)), lambda _run: False),
        (
            RunQuery(
                application="a",
                api="y",
                outcomes=(Outcome.SUCCEEDED, Outcome.FAILED),
                cause=Cause.SCHEDULE,
                since=START + timedelta(minutes=2),
                until=START + timedelta(minutes=18),
            ),
            lambda run: (
                run.key == JobKey("a", "y")
                and run.outcome is not Outcome.RUNNING
                and run.cause is Cause.SCHEDULE
                and START + timedelta(minutes=2) <= run.slot < START + timedelta(minutes=18)
            ),
        ),
    ],
)
async def test_every_filter_holds_alone_together_and_page_by_page(store, history, query, matches):
    expected = [run for run in reversed(history) if matches(run)]
    assert list(await store.runs(replace(query, limit=1000))) == expected
    paged, before = [], None
    while page := await store.runs(replace(query, before=before, limit=7)):
        paged += page
        before = page[-1].id
    assert paged == expected


async def test_a_cursor_holds_its_place_while_new_runs_come(store, history):
    first = await store.runs(RunQuery(limit=10))
    await store.claim([claim_of("a/x", START + timedelta(hours=1))])
    assert list(await store.runs(RunQuery(limit=10, before=first[-1].id))) == history[::-1][10:20]


async def test_slots_a_millisecond_apart_are_told_apart(store):
    runs = [claim_of(slot=START + timedelta(milliseconds=ms)) for ms in range(3)]
    await store.claim(runs)
    middle = RunQuery(since=START + timedelta(milliseconds=1), until=START + timedelta(milliseconds=2))
    assert list(await store.runs(middle)) == [runs[1]]


async def test_the_last_run_of_every_job(store, history):
    last = {run.key: run for run in history}
    assert len(last) == 3
    assert dict(await store.last_runs()) == last


async def test_the_last_run_of_the_jobs_that_are_asked_for(store, history):
    wanted = {JobKey("a", "y"), JobKey("a", "never-ran")}
    assert dict(await store.last_runs(wanted)) == {run.key: run for run in history if run.key in wanted}
    assert dict(await store.last_runs([])) == {}


async def test_there_is_no_last_run_before_the_first(store):
    assert dict(await store.last_runs()) == {}


async def test_jobs_with_a_common_beginning_have_last_runs_of_their_own(store):
    runs = [claim_of(name) for name in ("a/b", "a/b-c", "a-b/c", "a/bc")]
    await store.claim(runs)
    assert dict(await store.last_runs()) == {run.key: run for run in runs}


async def test_the_tally_counts_ended_runs_by_hour_outcome_and_whole_milliseconds(store):
    half_past = START + timedelta(minutes=30)
    runs = [
        ended(claim_of("a/1", half_past), latency_ms=12.4),
        ended(claim_of("a/2", half_past + timedelta(minutes=29)), latency_ms=11.6),
        ended(claim_of("a/3", half_past), Outcome.FAILED, latency_ms=12.0),
        ended(claim_of("a/4", half_past), Outcome.SKIPPED, latency_ms=None),
        ended(claim_of("a/5", half_past + timedelta(minutes=30)), latency_ms=12.0),
        claim_of("a/6", half_past),
    ]
    await store.claim(runs)
    one_later = START + timedelta(hours=1)
    assert sorted(await store.tally(RunQuery()), key=str) == sorted(
        [
            Tally(START, Outcome.SUCCEEDED, 12, 2),
            Tally(START, Outcome.FAILED, 12, 1),
            Tally(START, Outcome.SKIPPED, None, 1),
            Tally(one_later, Outcome.SUCCEEDED, 12, 1),
        ],
        key=str,
    )


async def test_the_tally_counts_what_was_claimed_first_and_finished_later(store):
    run = claim_of()
    await store.claim([run])
    assert list(await store.tally(RunQuery())) == []
    await store.finish([ended(run, latency_ms=7.5)])
    assert list(await store.tally(RunQuery())) == [Tally(START, Outcome.SUCCEEDED, 8, 1)]


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(application="a"),
        RunQuery(application="a", api="x", cause=Cause.MANUAL),
        RunQuery(outcomes=(Outcome.FAILED, Outcome.RUNNING)),
        RunQuery(since=START + timedelta(minutes=5), until=START + timedelta(minutes=12)),
        RunQuery(before="0", limit=1),
    ],
)
async def test_the_tally_obeys_the_filters_but_neither_cursor_nor_limit(store, history, query):
    everything = await store.runs(replace(query, before=None, limit=1000))
    expected: dict[Outcome, int] = {}
    for run in everything:
        if run.outcome is not Outcome.RUNNING:
            expected[run.outcome] = expected.get(run.outcome, 0) + 1
    counted: dict[Outcome, int] = {}
    for tally in await store.tally(query):
        counted[tally.outcome] = counted.get(tally.outcome, 0) + tally.runs
    assert counted == expected
    assert counted
