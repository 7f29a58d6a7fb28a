"""Secret values at a call: had just before it, masked ever after; without them nothing is sent."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.core.model import HttpRequest, JobKey, Outcome, Reply, RetryPolicy, SecretRef, SecretUse
from reconciler.core.redaction import Redactor
from reconciler.errors import ReconcilerError, SecretError
from reconciler.services.run import Runner
from reconciler.services.secrets import Readability, SecretValues
from tests.fakes import FakeClock, MemoryStore, ScriptedCaller, settle, stored_job

VALUE = "sw0rdfish-sw0rdfish"
KEY = JobKey("billing", "nightly")
NO_HEADER = "it cannot be sent as a header: a header is one line without control characters"
SECOND = timedelta(seconds=1)


class FakeSecrets:
    """Values by name; notes who asked for what."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.asked: list[tuple[str, str, str]] = []

    async def value(self, ref: SecretRef, *, application: str, field: str) -> str:
        self.asked.append((ref.name, application, field))
        if ref.name not in self.values:
            raise SecretError(ref, "not set")
        return self.values[ref.name]


def uses(**places: str) -> tuple[SecretUse, ...]:
    """Variables by place: ``header_X="KEY"``."""
    return tuple(
        SecretUse(place=place.replace("_", ":", 1), ref=SecretRef(kind="env", name=name))
        for place, name in places.items()
    )


def job(*secrets: SecretUse, name: str = "billing/nightly", **fields):
    return stored_job(name, request=HttpRequest(method="GET", url="http://x.example/", secrets=secrets), **fields)


class House:
    def __init__(self, *jobs, script=(), prepare=None, **values):
        self.clock, self.store, self.caller = FakeClock(), MemoryStore(), ScriptedCaller(*script)
        self.secrets, self.redactor = FakeSecrets(**values), Redactor()
        self.values = SecretValues(self.secrets, self.redactor)
        self.jobs = {each.key: each for each in jobs}
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner="me",
            jobs=self.jobs.get,
            observer=lambda _job, _run: None,
            prepare=prepare or (lambda underway: self.values.filled(underway.request, underway.job.key)),
            redactor=self.redactor,
        )
        self.clock.start(self.runner.on_due)

    async def ran(self, *names: str, seconds: float = 0.1):
        self.clock.due(*(names or ("billing/nightly",)))
        await settle()
        await self.clock.advance(seconds)
        return sorted(self.store.stored_runs.values(), key=lambda run: str(run.key))


async def test_the_value_goes_out_and_is_asked_for_in_the_name_of_its_field():
    house = House(job(*uses(header_X="KEY", query_t="KEY")), KEY=VALUE)
    (run,) = await house.ran()
    (sent,) = house.caller.requests
    assert (sent.headers["X"], sent.url) == (VALUE, f"http://x.example/?t={VALUE}")
    assert run.outcome is Outcome.SUCCEEDED
    assert house.secrets.asked == [
        ("KEY", "billing", "api/nightly/header:x"),
        ("KEY", "billing", "api/nightly/query:t"),
    ]


async def test_what_cannot_be_had_fails_that_run_alone_and_nothing_is_sent():
    house = House(
        job(*uses(header_X="KEY"), retry=RetryPolicy(limit=3)), job(name="billing/other"), script=[Reply(status=200)]
    )
    other, failed = reversed(await house.ran("billing/nightly", "billing/other", seconds=60))
    assert (failed.outcome, failed.reason, failed.attempts) == (Outcome.FAILED, "secret env KEY: not set", ())
    assert other.outcome is Outcome.SUCCEEDED
    assert len(house.caller.requests) == 1
    assert len(house.secrets.asked) == 1


async def test_the_next_slot_tries_again():
    house = House(job(*uses(header_X="KEY")))
    await house.ran()
    house.secrets.values["KEY"] = VALUE
    await house.clock.advance(SECOND)
    runs = await house.ran()
    assert {run.outcome for run in runs} == {Outcome.FAILED, Outcome.SUCCEEDED}


async def test_a_value_that_is_lost_between_attempts_ends_the_run_with_what_was_tried():
    house = House(job(*uses(header_X="KEY"), retry=RetryPolicy(limit=3)), script=[Reply(status=503)], KEY=VALUE)
    house.clock.due("billing/nightly")
    await settle()
    del house.secrets.values["KEY"]
    await house.clock.advance(10)
    (run,) = house.store.stored_runs.values()
    assert (run.outcome, run.reason, len(run.attempts)) == (Outcome.FAILED, "secret env KEY: not set", 1)


async def test_a_rotated_value_is_used_by_the_next_attempt():
    house = House(
        job(*uses(header_X="KEY"), retry=RetryPolicy(limit=1)), script=[Reply(status=503), Reply(status=200)], KEY=VALUE
    )
    house.clock.due("billing/nightly")
    await settle()
    house.secrets.values["KEY"] = "another-value"
    await house.clock.advance(10)
    assert [sent.headers["X"] for sent in house.caller.requests] == [VALUE, "another-value"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, body=f"your key is {VALUE}".encode()),
        Reply(status=302, location=f"http://y.example/{VALUE}"),
        Reply(error=f"redirect to http://y.example/{VALUE} is not followed: it would leave https"),
        Reply(status=200, body=(f"x{VALUE}" * 1000).encode()),
    ],
)
async def test_what_the_target_echoes_is_masked_before_it_is_recorded(reply):
    house = House(job(*uses(header_X="KEY")), script=[reply], KEY=VALUE)
    (run,) = await house.ran()
    assert "***" in f"{run}"
    assert VALUE[:8] not in f"{run}"


async def test_whatever_cannot_be_prepared_fails_and_is_masked():
    async def prepare(underway):
        raise ReconcilerError(f"the token endpoint said {VALUE}")

    house = House(job(), prepare=prepare)
    house.redactor.learn(VALUE)
    (run,) = await house.ran()
    assert (run.outcome, run.reason, run.attempts) == (Outcome.FAILED, "the token endpoint said ***", ())
    assert house.caller.requests == []


async def test_what_is_unreadable_is_listed_once_for_each_reference():
    sealed = SecretUse(place="header:X", ref=SecretRef(kind="sealed", name=f"v1.0a1b2c3d.{'A' * 64}"))
    house = House(KEY=VALUE, BAD="a\nb")
    jobs = [
        job(*uses(header_X="KEY", query_t="AWAY")),
        job(*uses(header_X="AWAY", query_t="BAD"), name="billing/other"),
        job(*uses(header_X="BAD"), sealed, name="billing/third"),
        job(sealed, name="billing/fourth"),
    ]
    assert await house.values.unreadable([each.job for each in jobs]) == [
        "billing/nightly query t: secret env AWAY: not set",
        "billing/other header X: secret env AWAY: not set",
        f"billing/third header X: secret env BAD: {NO_HEADER}",
        "billing/third header X: secret sealed, key 0a1b2c3d: not set",
        "billing/fourth header X: secret sealed, key 0a1b2c3d: not set",
    ]
    assert await house.values.unreadable([job().job]) == []


async def test_a_suspended_job_is_not_told_of_for_it_needs_nothing():
    assert await House().values.unreadable([job(*uses(header_X="AWAY"), suspend=True).job]) == []


class TestReadability:
    async def test_it_is_looked_again_after_a_minute_and_when_jobs_change(self, caplog):
        house = House()
        jobs = [job(*uses(header_X="KEY"))]
        change = ["first"]
        readability = Readability(house.values, house.clock, lambda: (change[0], jobs))
        await readability.step()
        await readability.step()
        told = "billing/nightly header X: secret env KEY: not set"
        assert readability.unreadable == (told,)
        assert caplog.messages == [f"cannot be read now: {told}"]
        assert len(house.secrets.asked) == 1
        await house.clock.advance(61)
        house.secrets.values["KEY"] = VALUE
        await readability.step()
        assert readability.unreadable == ()
        change[0], jobs[:] = "second", [job(*uses(header_X="OTHER"))]
        await readability.step()
        assert readability.unreadable == ("billing/nightly header X: secret env OTHER: not set",)

    async def test_it_goes_on_after_a_bug(self, caplog):
        house = House()
        answers = [(1, []), None]  # and nothing can be unpacked of the first one given
        readability = Readability(house.values, house.clock, answers.pop)
        keeping = asyncio.create_task(readability.keep())
        await house.clock.advance(3)
        keeping.cancel()
        assert answers == []
        assert "a bug in looking for secrets" in caplog.messages
