"""Runs whose calls authenticate: what goes out, and what a 401 leads to."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from reconciler.core.model import (
    Auth,
    Expectation,
    HttpRequest,
    JobKey,
    Outcome,
    Overrides,
    Rate,
    Reply,
    RetryPolicy,
    SecretRef,
    SecretUse,
)
from reconciler.core.redaction import Redactor
from reconciler.services.authentication import Authentication
from reconciler.services.credentials import Credentials
from reconciler.services.run import Runner
from reconciler.services.secrets import SecretValues
from tests.fakes import FakeClock, MemoryStore, ScriptedCaller, finished, settle, stored_job

KEY = JobKey("billing", "nightly")
HANDSHAKE = Auth(kind="handshake", request=HttpRequest(method="POST", url="http://127.0.0.1:1/auth/handshake"))
PASSWORD = SecretUse(place="auth:password", ref=SecretRef(kind="env", name="PASSWORD"))
BASIC = Auth(kind="basic", username="me", secrets=(PASSWORD,))


class Environment:
    async def value(self, ref, *, application, field):
        return "made-up-password"


class House:
    """A runner among fakes, whose target gives out tokens with numbers and answers as its script says."""

    def __init__(self, *answers, auth=HANDSHAKE, takes=timedelta(0), **job):
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.answers = list(answers)
        self.given = 0
        self.on_call = None
        self.takes = takes
        self.caller = ScriptedCaller(self._answer)
        self.job = stored_job(auth=auth, **job)
        redactor = Redactor()
        values = SecretValues(Environment(), redactor)
        credentials = Credentials(
            store=self.store, clock=self.clock, caller=self.caller, values=values, redactor=redactor, encryption=None
        )
        authentication = Authentication(values, credentials, self.clock, redactor)
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner="me",
            jobs={KEY: self.job}.get,
            observer=lambda _job, _run: None,
            prepare=authentication.prepare,
            answered=authentication.answered,
            redactor=redactor,
        )

    async def _answer(self, request):
        if request.url.endswith("handshake"):
            await self.clock.sleep(self.takes)
            self.given += 1
            body = {"authType": "BearerToken", "token": f"made-up-token-{self.given}"}
            return Reply(status=200, body=json.dumps(body).encode())
        if self.on_call is not None:
            await self.on_call()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def run(self, overrides=None):
        async def to_its_end():
            run = await self.runner.trigger(KEY, overrides or Overrides())
            return await self.runner.wait(run.id)

        return await finished(self.clock, to_its_end())

    @property
    def sent(self):
        return [request for request in self.caller.requests if not request.url.endswith("handshake")]


GOOD, REFUSED = Reply(status=200), Reply(status=401)


async def test_a_refused_call_is_made_once_more_whatever_retry_and_delivery_say():
    house = House(REFUSED, GOOD, delivery="atMostOnce")
    run = await house.run()
    assert (run.outcome, [attempt.status for attempt in run.attempts]) == (Outcome.SUCCEEDED, [401, 200])
    assert [call.headers["Authorization"] for call in house.sent] == [
        "Bearer made-up-token-1",
        "Bearer made-up-token-2",
    ]
    assert [call.headers["X-Reconciler-Attempt"] for call in house.sent] == ["1", "2"]
    assert len({call.headers["Idempotency-Key"] for call in house.sent}) == 1


async def test_it_takes_nothing_from_the_retries():
    house = House(REFUSED, Reply(status=503), GOOD, retry=RetryPolicy(limit=1))
    run = await house.run()
    assert [attempt.status for attempt in run.attempts] == [401, 503, 200]


async def test_a_second_refusal_ends_the_run():
    run = await House(REFUSED, retry=RetryPolicy(limit=3)).run()
    assert (run.outcome, run.reason, len(run.attempts)) == (Outcome.FAILED, "status 401, expected 2xx", 2)


async def test_a_401_that_is_expected_is_an_answer_like_any_other():
    house = House(REFUSED, expect=Expectation(status=("401",)))
    run = await house.run()
    assert (run.outcome, len(run.attempts), house.given) == (Outcome.SUCCEEDED, 1, 1)


@pytest.mark.parametrize("auth", [None, BASIC])
async def test_a_401_without_anything_fetched_is_final(auth):
    run = await House(REFUSED, GOOD, auth=auth).run()
    assert (run.outcome, len(run.attempts)) == (Outcome.FAILED, 1)


async def test_a_header_of_whoever_triggers_takes_its_place():
    house = House(REFUSED, GOOD)
    run = await house.run(Overrides(headers={"authorization": "Bearer by-hand"}))
    assert (len(run.attempts), house.given, house.sent[0].headers["authorization"]) == (1, 0, "Bearer by-hand")


async def test_the_repeated_call_counts_for_the_applications_rate():
    house = House(REFUSED, GOOD, max_rate=Rate(1, timedelta(seconds=30)))
    run = await house.run()
    first, second = run.attempts
    assert second.started_at - first.started_at >= timedelta(seconds=30)


async def test_what_the_handshake_takes_is_not_left_for_the_call():
    house = House(GOOD, takes=timedelta(seconds=4), timeout=timedelta(seconds=10))
    await house.run()
    assert house.caller.timeouts == [timedelta(seconds=30), timedelta(seconds=6)]


async def test_at_a_shutdown_it_is_not_repeated():
    house = House(REFUSED, GOOD)
    draining = []

    async def begin_to_end():
        draining.append(asyncio.create_task(house.runner.drain(timedelta(seconds=5))))
        await settle()

    house.on_call = begin_to_end
    run = await house.run()
    assert (run.outcome, len(run.attempts)) == (Outcome.FAILED, 1)
    assert "not tried again: interrupted by shutdown" in run.reason
    assert len(draining) == 1


async def test_every_attempt_of_basic_is_the_same():
    house = House(Reply(status=503), GOOD, auth=BASIC, retry=RetryPolicy(limit=1))
    run = await house.run()
    assert run.outcome is Outcome.SUCCEEDED
    assert {call.headers["Authorization"] for call in house.sent} == {"Basic bWU6bWFkZS11cC1wYXNzd29yZA=="}
