from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import After, Attempt, Cause, JobKey, Lease, Outcome, Schedule
from reconciler.core.runs import claim_of, ended
from reconciler.errors import StoreUnavailableError
from reconciler.services.chains import BEAT, Chains
from reconciler.services.run import ABANDONED
from tests.fakes import START, FakeClock, MemoryStore, settle, stored_job

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
EXTRACT, LOAD, ALARM = (JobKey.parse(f"billing/{name}") for name in ("extract", "load", "alarm"))
BEGAN = START - DAY


def following(name, after="billing/extract", on="success", since=BEGAN, **changes):
    schedule = Schedule(declared=f"after {after}", after=After(key=JobKey.parse(after), on=on))
    return stored_job(name, since=since, schedule=schedule, **changes)


class Starting:
    """A runner that claims what it is asked for, unless its claims are lost on the way."""

    def __init__(self, store, clock):
        self.store = store
        self.clock = clock
        self.asked = []
        self.loses = False
        self.known = set()

    def chained(self, stored, upstream):
        self.asked.append((str(stored.key), upstream.id))
        if not self.loses:
            now = self.clock.now()
            self.store.seed(claim_of(stored, upstream.finished_at, Cause.AFTER, "me", now, upstream=upstream))

    def knows(self, run_id):
        return run_id in self.known


class House:
    """Chains among fakes, as the process that leads under term 7 has them."""

    def __init__(self, *jobs, term=7):
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.store.stored_lease = Lease(
            holder="me",
            term=term or 0,
            since=START,
            expires_at=START + SECOND,
            accounted_from=BEGAN,
            accounted_until=START,
        )
        self.jobs = [stored_job("billing/extract", since=BEGAN), *(jobs or [following("billing/load")])]
        self.term = term
        self.runner = Starting(self.store, self.clock)
        self.chains = Chains(self.store, self.clock, self.runner, lambda: self.jobs, lambda: self.term)

    def end(self, outcome=Outcome.SUCCEEDED, at=None, name="billing/extract", cause=Cause.SCHEDULE, slot=None):
        """A run that has ended, by itself a second after its slot."""
        at = at or self.clock.now()
        run = claim_of(stored_job(name), slot or at - SECOND, cause, "other", at - SECOND)
        return ended(run, outcome, "", at)

    def stored(self, *args, **options):
        """The same, made by somebody else and in the store."""
        run = self.end(*args, **options)
        self.store.seed(run)
        return run

    @property
    def asked(self):
        asked, self.runner.asked = self.runner.asked, []
        return asked


class TestAnEndThatIsTold:
    async def test_starts_every_job_that_follows_on_such_an_end(self):
        house = House(
            following("billing/load"),
            following("billing/alarm", on="failure"),
            following("billing/log", on="completion"),
        )
        good, bad = house.end(), house.end(Outcome.FAILED, at=START + MINUTE)
        house.chains.ended(good)
        house.chains.ended(bad)
        assert house.asked == [
            ("billing/load", good.id),
            ("billing/log", good.id),
            ("billing/alarm", bad.id),
            ("billing/log", bad.id),
        ]

    async def test_starts_nothing_where_nobody_follows_or_it_was_skipped(self):
        house = House()
        house.chains.ended(house.end(name="billing/other"))
        house.chains.ended(house.end(Outcome.SKIPPED))
        house.chains.ended(house.end(at=BEGAN))
        assert house.asked == []
        assert not house.store.calls

    async def test_starts_nothing_in_a_process_that_does_not_lead(self):
        house = House(term=None)
        house.chains.ended(house.end())
        assert house.asked == []

    async def test_starts_one_run_however_often_it_is_told(self):
        house = House()
        run = house.end()
        house.chains.ended(run)
        house.chains.ended(run)
        assert len(house.asked) == 1

    async def test_follows_an_edit_as_soon_as_that_is_told(self):
        house = House()
        house.chains.ended(house.end())
        house.jobs = [following("billing/alarm", on="failure")]
        house.chains.jobs_changed()
        bad = house.end(Outcome.MISSED)
        house.chains.ended(bad)
        assert house.asked[1:] == [("billing/alarm", bad.id)]

    async def test_of_a_run_that_was_sent_again_is_looked_up_first(self):
        house = House()
        first = house.stored()
        house.store.seed(claim_of(house.jobs[1], first.finished_at, Cause.AFTER, "other", START, upstream=first))
        lost = Attempt(number=1, started_at=START, latency_ms=0.0, error=ABANDONED)
        again = replace(first, finished_at=START + MINUTE, attempts=(lost,))
        house.chains.ended(again)
        await house.clock.advance(MINUTE)
        await house.chains.look()
        assert house.asked == []


class TestEndsThatNobodyTold:
    async def test_what_the_last_leader_left_is_started(self):
        house = House()
        run = house.stored(at=START - MINUTE)
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]

    async def test_what_has_been_started_is_not_started_again(self):
        house = House()
        run = house.stored(at=START - MINUTE)
        house.store.seed(claim_of(house.jobs[1], run.finished_at, Cause.AFTER, "other", START, upstream=run))
        await house.chains.look()
        await house.chains.look()
        assert house.asked == []

    async def test_nor_under_another_name(self):
        house = House()
        run = house.stored(at=START - MINUTE)
        under_old_name = claim_of(
            following("billing/unload"), run.finished_at, Cause.AFTER, "other", START, upstream=run
        )
        house.store.seed(replace(under_old_name, key=LOAD))
        await house.chains.look()
        assert house.asked == []

    async def test_it_is_looked_back_to_the_mark_however_long_ago_that_was(self):
        house = House()
        house.store.stored_lease = replace(house.store.stored_lease, accounted_until=START - 5 * HOUR)
        before, since = house.stored(at=START - 5 * HOUR - SECOND), house.stored(at=START - 5 * HOUR + SECOND)
        assert before.id != since.id
        await house.chains.look()
        assert house.asked == [("billing/load", since.id)]

    async def test_or_to_where_it_is_told_that_the_last_leader_left_off(self):
        house = House()
        run = house.stored(at=START - 5 * HOUR)
        await house.chains.look(START - 6 * HOUR)
        assert house.asked == [("billing/load", run.id)]

    async def test_at_least_as_far_as_a_run_may_still_start(self):
        house = House(following("billing/load", starting_deadline=3 * HOUR))
        run = house.stored(at=START - 2 * HOUR)
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]

    async def test_where_nobody_has_led_yet_too(self):
        house = House()
        house.store.stored_lease = None
        run = house.stored(at=START - 50 * MINUTE)
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]

    async def test_an_end_long_after_its_slot_counts_by_its_instant(self):
        house = House(following("billing/load", starting_deadline=MINUTE))
        run = house.stored(at=START - SECOND, slot=START - 50 * MINUTE)
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]

    async def test_ends_from_before_the_chain_was_applied_start_nothing(self):
        house = House(following("billing/load", since=START - MINUTE))
        house.stored(at=START - 2 * MINUTE)
        await house.chains.look()
        assert house.asked == []

    async def test_a_chain_that_is_new_is_looked_at_from_its_beginning(self):
        house = House()
        await house.chains.look()
        await house.clock.advance(MINUTE)
        house.jobs.append(following("billing/log", since=START + 55 * SECOND))
        run = house.stored()  # it was told before anybody knew of the new chain
        await house.chains.look()
        assert ("billing/log", run.id) in house.asked

    async def test_what_a_command_has_triggered_is_found(self):
        house = House()
        await house.chains.look()
        await house.clock.advance(MINUTE)
        run = house.stored(cause=Cause.MANUAL)
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]
        await house.chains.look()
        assert house.asked == []

    async def test_what_was_still_running_is_waited_for(self):
        house = House()
        claim = claim_of(stored_job("billing/extract"), START - MINUTE, Cause.SCHEDULE, "other", START - MINUTE)
        house.store.seed(claim)
        await house.chains.look()
        await house.clock.advance(HOUR)
        await house.chains.look()
        assert house.asked == []
        house.store.seed(ended(claim, Outcome.SUCCEEDED, "", house.clock.now()))
        await house.chains.look()
        assert house.asked == [("billing/load", claim.id)]
        await house.chains.look()
        assert house.store.calls["run"] == 2

    async def test_but_not_where_its_end_will_be_told(self):
        house = House()
        claim = claim_of(stored_job("billing/extract"), START - MINUTE, Cause.SCHEDULE, "me", START - MINUTE)
        house.store.seed(claim)
        house.runner.known.add(claim.id)
        await house.chains.look()
        await house.chains.look()
        assert house.store.calls["run"] == 0

    async def test_a_run_that_is_removed_is_waited_for_no_more(self):
        house = House()
        claim = claim_of(stored_job("billing/extract"), START - MINUTE, Cause.SCHEDULE, "other", START - MINUTE)
        house.store.seed(claim)
        await house.chains.look()
        house.store.stored_runs.clear()
        await house.chains.look()
        await house.chains.look()
        assert house.store.calls["run"] == 1

    async def test_pages_are_read_to_the_end(self):
        house = House(following("billing/load", starting_deadline=2 * HOUR))
        for number in range(1, 1500):
            house.stored(at=START - number * SECOND)
        await house.chains.look()
        assert len(house.asked) == 1499


class TestWhatIsLost:
    async def test_a_run_that_is_not_in_the_store_after_a_while_is_asked_for_again(self):
        house = House()
        await house.chains.look()
        house.runner.loses = True
        run = house.end()
        house.chains.ended(run)
        assert house.chains.oldest() == run.finished_at
        await house.clock.advance(9)
        await house.chains.look()
        assert len(house.asked) == 1
        await house.clock.advance(1)
        house.runner.loses = False
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]
        await house.chains.look()
        assert house.chains.oldest() is None

    async def test_one_with_jitter_is_given_that_time(self):
        house = House(following("billing/load", jitter=MINUTE))
        house.runner.loses = True
        house.chains.ended(house.end())
        for seconds, asked in ((69, 1), (1, 1)):
            await house.clock.advance(seconds)
            await house.chains.look()
            assert len(house.asked) == asked

    async def test_what_waits_for_its_jitter_is_not_looked_for(self):
        house = House(following("billing/load", jitter=HOUR))
        await house.chains.look()
        house.chains.ended(house.end())
        asked = house.store.calls["runs"]
        await house.chains.look()
        assert house.store.calls["runs"] == asked + 1  # what others have triggered
        assert house.chains.oldest() == START
        await house.clock.advance(HOUR)
        await house.chains.look()
        assert house.chains.oldest() is None

    async def test_one_whose_job_was_edited_is_owed_no_more(self):
        house = House()
        house.runner.loses = True
        house.chains.ended(house.end())
        house.jobs = [following("billing/load", since=START + SECOND)]
        await house.clock.advance(MINUTE)
        await house.chains.look()
        assert len(house.asked) == 1
        assert house.chains.oldest() is None

    async def test_while_the_store_is_away_it_is_looked_again_and_again(self, caplog):
        house = House()
        house.stored(at=START - MINUTE)
        house.store.away = True
        with pytest.raises(StoreUnavailableError):
            await house.chains.look()
        with caplog.at_level(logging.WARNING):
            keeping = asyncio.create_task(house.chains.keep())
            await settle()
            await house.clock.advance(3 * BEAT)
            assert [record.getMessage() for record in caplog.records] == [
                "chains wait for the store: the store is away"
            ]
            house.store.away = False
            await house.clock.advance(BEAT)
        assert len(house.asked) == 1
        keeping.cancel()

    async def test_a_bug_is_logged_and_ends_nothing(self, caplog):
        house = House()
        house.jobs = None
        keeping = asyncio.create_task(house.chains.keep())
        await settle()
        assert "a bug in chains" in caplog.text
        assert not keeping.done()
        keeping.cancel()


class TestLeading:
    async def test_a_process_that_leads_no_more_forgets_what_it_owed(self):
        house = House()
        house.runner.loses = True
        house.chains.ended(house.end())
        assert house.chains.oldest() == START
        house.term = None
        await house.chains.look()
        assert (house.chains.oldest(), sum(house.store.calls.values())) == (None, 0)

    async def test_a_process_that_leads_again_looks_at_the_past_again(self):
        house = House()
        await house.chains.look()
        house.term = 9
        run = house.stored(at=START - MINUTE)
        await house.chains.look()
        assert house.asked == [("billing/load", run.id)]


class TestQuestions:
    async def test_without_a_chain_nothing_is_read(self):
        house = House(stored_job("billing/load"))
        await house.chains.look()
        house.chains.ended(house.end())
        assert not house.store.calls

    async def test_a_quiet_look_asks_one_question_however_many_jobs_there_are(self):
        house = House(*(following(f"app{n}/load", f"app{n}/extract") for n in range(60)))
        await house.chains.look()
        assert house.store.calls["runs"] == 2  # the past of all, and what others have triggered
        await house.chains.look()
        assert house.store.calls["runs"] == 3

    async def test_the_past_of_a_few_is_read_job_by_job(self):
        house = House(*(following(f"app{n}/load", f"app{n}/extract") for n in range(3)))
        run = house.stored(at=START - MINUTE, name="app1/extract")
        house.stored(at=START - MINUTE, name="other/extract")
        await house.chains.look()
        assert house.asked == [("app1/load", run.id)]
