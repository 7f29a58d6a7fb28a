"""The lease, and what is refused to those who lead no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import JobKey, Outcome, Writing
from reconciler.errors import DeposedError
from tests.contract.samples import claim_of, ended, full_application, full_token, full_window
from tests.fakes import START, FakeClock, MemoryStore, stored_job

LONG = timedelta(hours=1)
OVER = timedelta(0)  # a lease that has expired as soon as it is taken
MARK, LATER = START + timedelta(minutes=1), START + timedelta(minutes=2)


async def _takeover(store) -> None:
    """Let ``old`` lead with term 1, then ``new`` with term 2."""
    await store.lead("old", OVER, START)
    assert (await store.lead("new", LONG, START)).term == 2


async def test_nobody_leads_on_a_fresh_store(store):
    assert await store.lease() is None
    await store.resign("somebody", START)
    assert await store.lease() is None


async def test_the_first_to_ask_leads_and_slots_are_accounted_for_from_then_on(store):
    lease = await store.lead("a", LONG, MARK)
    assert (lease.holder, lease.term, lease.expired) == ("a", 1, False)
    assert (lease.accounted_from, lease.accounted_until) == (MARK, MARK)
    assert lease.expires_at - lease.since == LONG
    assert await store.lease() == lease


async def test_the_holder_renews_and_moves_the_mark(store):
    first = await store.lead("a", LONG, START)
    second = await store.lead("a", 2 * LONG, MARK)
    assert (second.holder, second.term, second.since) == ("a", 1, first.since)
    assert (second.accounted_from, second.accounted_until) == (START, MARK)
    assert second.expires_at >= first.expires_at + LONG
    assert await store.lease() == second


async def test_a_mark_may_be_taken_back_by_its_holder(store):
    await store.lead("a", LONG, LATER)
    assert (await store.lead("a", LONG, MARK)).accounted_until == MARK


async def test_another_is_refused_and_changes_nothing(store):
    held = await store.lead("a", LONG, START)
    for _ in range(2):
        assert await store.lead("b", LONG, LATER) == held
    assert await store.lease() == held


async def test_a_lease_that_has_expired_is_taken_over_with_the_next_term_and_the_mark_that_was_left(store):
    await store.lead("a", OVER, START)
    left = await store.lead("a", OVER, MARK)
    assert (await store.lease()).expired
    taken = await store.lead("b", LONG, LATER)
    assert (taken.holder, taken.term, taken.expired) == ("b", 2, False)
    assert (taken.accounted_from, taken.accounted_until) == (START, MARK)
    assert taken.since >= left.since
    assert await store.lease() == taken
    assert (await store.lead("a", LONG, LATER)).holder == "b"


async def test_a_lease_expires_by_the_stores_own_clock_and_not_before(store):
    await store.lead("a", timedelta(milliseconds=80), START)
    refused = await store.lead("b", LONG, START)
    for _ in range(1000):
        if (await store.lease()).expired:
            break
        await (store.clock.advance(0.02) if isinstance(store, MemoryStore) else asyncio.sleep(0.02))
    assert (refused.holder, (await store.lead("b", LONG, START)).holder) == ("a", "b")


async def test_one_that_has_expired_and_was_not_taken_goes_on_when_it_is_renewed(store):
    await store.lead("a", OVER, START)
    again = await store.lead("a", LONG, MARK)
    assert (again.holder, again.term, again.accounted_until) == ("a", 1, MARK)
    assert not (await store.lease()).expired


async def test_taking_it_again_after_a_lost_answer_is_taking_it_once(store):
    await store.lead("a", OVER, MARK)
    first = await store.lead("b", LONG, MARK)
    again = await store.lead("b", LONG, MARK)
    assert replace(again, expires_at=first.expires_at) == first


async def test_who_resigns_hands_over_at_once_and_leaves_a_mark(store):
    await store.lead("a", LONG, START)
    for _ in range(2):
        await store.resign("a", MARK)
    given_up = await store.lease()
    assert (given_up.holder, given_up.term, given_up.expired, given_up.accounted_until) == ("", 1, True, MARK)
    taken = await store.lead("b", LONG, LATER)
    assert (taken.holder, taken.term, taken.accounted_until) == ("b", 2, MARK)


async def test_who_has_resigned_may_lead_again_with_a_new_term(store):
    await store.lead("a", LONG, START)
    await store.resign("a", MARK)
    assert (await store.lead("a", LONG, LATER)).term == 2


async def test_only_the_holder_can_resign_and_move_the_mark(store):
    held = await store.lead("a", LONG, START)
    await store.resign("b", LATER)
    assert await store.lease() == held
    await _expire(store)
    await store.lead("b", LONG, START)
    await store.resign("a", LATER)
    assert ((await store.lease()).holder, (await store.lease()).accounted_until) == ("b", START)


async def _expire(store) -> None:
    lease = await store.lease()
    await store.lead(lease.holder, OVER, lease.accounted_until)


async def test_names_of_processes_are_words_and_nothing_else(store):
    for name in ("$holder", "a'b\"", "$$NOW"):
        assert (await store.lead(name, OVER, START)).holder == name
        await _expire(store)


async def test_the_lease_stays_through_closing(another):
    here = await another()
    held = await here.lead("a", LONG, START)
    await here.close()
    assert await (await another()).lease() == held


@pytest.mark.parametrize("standing", ["none", "expired", "resigned"])
async def test_of_many_that_race_for_the_lease_exactly_one_wins(another, standing):
    stores = [await another() for _ in range(4)]
    if standing != "none":
        await stores[0].lead("before", OVER if standing == "expired" else LONG, START)
    if standing == "resigned":
        await stores[0].resign("before", START)
    answers = await asyncio.gather(
        *(store.lead(f"p{number}-{turn}", LONG, START) for number, store in enumerate(stores) for turn in range(5))
    )
    assert len({answer.holder for answer in answers}) == 1
    assert {answer.term for answer in answers} == {1 if standing == "none" else 2}


async def test_a_store_in_memory_is_judged_by_the_clock_that_it_is_given():
    clock = FakeClock()
    store = MemoryStore(clock)
    await store.lead("a", timedelta(seconds=5), START)
    clock.jump(timedelta(days=365))
    assert not (await store.lease()).expired
    await clock.advance(4.9)
    assert not (await store.lease()).expired
    await clock.advance(0.1)
    assert (await store.lease()).expired


# --- what carries a term


async def test_the_leader_claims_and_its_term_stands_in_the_run(store):
    await store.lead("old", LONG, START)
    run = claim_of(term=1)
    assert await store.claim([run], term=1) == {run.id}
    assert await store.run(run.id) == run


async def test_a_claim_of_an_older_term_is_refused_and_inserts_nothing(store):
    await _takeover(store)
    with pytest.raises(DeposedError):
        await store.claim([claim_of("a/b", term=1), claim_of("a/c", term=1)], term=1)
    assert list(await store.unfinished()) == []
    assert await store.claim([claim_of("a/b", term=2)], term=2) == {claim_of("a/b").id}


async def test_who_has_resigned_may_still_settle_claims_until_another_leads(store):
    await store.lead("old", LONG, START)
    await store.resign("old", START)
    assert await store.claim([claim_of("a/b", term=1)], term=1) == {claim_of("a/b").id}
    await store.lead("new", LONG, START)
    with pytest.raises(DeposedError):
        await store.claim([claim_of("a/c", term=1)], term=1)


async def test_a_deposed_leaders_claim_of_what_its_successor_has_claimed_is_never_its_own(store):
    await _takeover(store)
    theirs = claim_of(owner="new", term=2)
    await store.claim([theirs], term=2)
    with pytest.raises(DeposedError):
        await store.claim([claim_of(owner="old", term=1)], term=1)
    assert await store.run(theirs.id) == theirs


async def test_a_claim_that_was_made_in_time_is_not_confirmed_to_who_was_deposed_since(store):
    await store.lead("old", OVER, START)
    mine = claim_of(owner="old", term=1)
    await store.claim([mine], term=1)
    await store.lead("new", LONG, START)
    with pytest.raises(DeposedError):
        await store.claim([mine], term=1)
    assert await store.run(mine.id) == mine, "it is still to be ended"


async def test_a_claim_without_a_term_is_anybodys(store):
    await _takeover(store)
    assert await store.claim([claim_of()]) == {claim_of().id}


async def test_a_fenced_claim_of_nothing_is_allowed(store):
    await _takeover(store)
    assert await store.claim([], term=1) == frozenset()


async def test_in_a_fenced_batch_exactly_the_free_slots_are_ours_and_repeated_it_says_the_same(store):
    await store.lead("here", LONG, START)
    mine = [claim_of(f"app/job-{number}", term=1) for number in range(10)]
    await store.claim([replace(run, owner="there") for run in mine[::3]])
    expected = {run.id for place, run in enumerate(mine) if place % 3}
    for _ in range(2):  # as after a lost answer
        assert await store.claim([*mine, mine[1], mine[0]], term=1) == expected
    assert len(await store.unfinished()) == 10


async def test_a_fenced_claim_keeps_odd_characters_and_records_what_has_ended(store):
    await store.lead("here", LONG, START)
    missed = ended(claim_of(term=1), Outcome.MISSED)
    assert await store.claim([missed], term=1) == {missed.id}
    assert await store.run(missed.id) == missed


async def test_thousands_of_runs_are_claimed_under_a_term(store):
    await store.lead("here", LONG, START)
    runs = [claim_of(f"app/job-{number}", term=1) for number in range(12_000)]
    assert await store.claim(runs, term=1) == {run.id for run in runs}


async def test_fenced_and_plain_claims_at_once_give_each_run_to_exactly_one(another):
    here, there = await another(), await another()
    await here.lead("here", LONG, START)
    mine = [claim_of(f"app/job-{number:03}", owner="here", term=1) for number in range(200)]
    theirs = [claim_of(f"app/job-{number:03}", owner="there") for number in range(200)]
    batches = [slice(start, start + 20) for start in range(0, 200, 20)]
    answers = await asyncio.gather(
        *(here.claim(mine[batch], term=1) for batch in batches),
        *(there.claim(theirs[batch]) for batch in reversed(batches)),
        *(here.claim(mine[batch], term=1) for batch in batches),
    )
    won_here = frozenset().union(*answers[:10], *answers[20:])
    won_there = frozenset().union(*answers[10:20])
    assert won_here.isdisjoint(won_there)
    assert won_here | won_there == {run.id for run in mine}
    owners = {run.id: run.owner for run in await here.unfinished()}
    assert owners == dict.fromkeys(won_here, "here") | dict.fromkeys(won_there, "there")


async def test_a_run_that_a_higher_term_has_taken_over_is_the_older_ones_no_more(store):
    run = claim_of(owner="old", term=1)
    await store.claim([run])
    adopted = replace(run, owner="new", term=2, claimed_at=MARK)
    await store.finish([adopted])
    assert list(await store.unfinished()) == [adopted]
    await store.finish([ended(run)])
    assert await store.run(run.id) == adopted
    await store.finish([ended(adopted)])
    assert await store.run(run.id) == ended(adopted)


async def test_an_older_leaders_result_for_a_run_that_nobody_has_settled_is_welcome(store):
    run = claim_of(owner="old", term=1)
    await store.claim([run])
    await _takeover(store)
    await store.finish([ended(run)])
    assert await store.run(run.id) == ended(run)


async def test_a_run_that_was_claimed_without_a_term_is_settled_by_a_leader(store):
    run = claim_of(owner="a command")
    await store.claim([run])
    unknown = replace(ended(run, Outcome.UNKNOWN), term=2)
    await store.finish([unknown])
    await store.finish([ended(run)])
    assert await store.run(run.id) == unknown


@pytest.mark.parametrize("turned", [False, True], ids=["in turn", "the higher term first"])
async def test_of_two_writes_of_one_run_in_a_batch_the_one_that_ends_it_under_the_higher_term_stands(store, turned):
    run = claim_of(term=1)
    await store.claim([run])
    adopted, done = replace(run, term=2, owner="new"), replace(ended(run), term=2, owner="new")
    batch = [adopted, done, ended(run)]
    await store.finish([done, adopted, ended(run)] if turned else batch)
    assert await store.run(run.id) == done


async def test_what_is_applied_under_an_older_term_is_refused_and_nothing_is_written(store):
    await store.apply(Writing(jobs=[stored_job("a/old")]))
    await store.claim([claim_of("a/old")])
    await _takeover(store)
    change = {
        "jobs": [stored_job("a/new")],
        "removed_jobs": [JobKey("a", "old")],
        "applications": [full_application()],
        "windows": [full_window()],
        "access_tokens": [full_token()],
        "renamed": {JobKey("a", "old"): JobKey("a", "new")},
    }
    with pytest.raises(DeposedError):
        await store.apply(Writing(**change), term=1)
    assert list(await store.jobs()) == [stored_job("a/old")]
    assert list(await store.applications()) == list(await store.windows()) == list(await store.access_tokens()) == []
    assert (await store.unfinished())[0].key == JobKey("a", "old")
    await store.apply(Writing(**change), term=2)
    assert list(await store.jobs()) == [stored_job("a/new")]
    await store.apply(Writing(jobs=[stored_job("a/newer")]))  # without a term, anybody's
    assert len(await store.jobs()) == 2


async def test_the_lease_is_the_same_after_what_was_applied_and_claimed_under_it(store):
    held = await store.lead("a", LONG, START)
    await store.apply(Writing(jobs=[stored_job("a/b")]), term=1)
    await store.claim([claim_of(term=1)], term=1)
    assert await store.lease() == held


async def test_the_ids_of_runs_from_an_instant_on_whatever_became_of_them(store):
    runs = [claim_of(slot=START + timedelta(seconds=second)) for second in range(5)]
    await store.claim([*runs[:3], ended(runs[3]), ended(runs[4], Outcome.SKIPPED)])
    since = START + timedelta(seconds=2)
    assert await store.run_ids(since) == {run.id for run in runs[2:]}
    assert await store.run_ids(since + timedelta(milliseconds=1)) == {run.id for run in runs[3:]}
    assert await store.run_ids(START + LONG) == frozenset()


async def test_a_nudge_is_seen_with_the_next_renewal_and_changes_nothing_else(store):
    await store.nudge()
    assert await store.lease() is None
    first = await store.lead("a", LONG, START)
    await store.nudge()
    await store.nudge()
    nudged = await store.lease()
    assert nudged == replace(first, nudges=2)
    renewed = await store.lead("a", LONG, MARK)
    assert (renewed.nudges, renewed.accounted_until) == (2, MARK)
