"""How a process is told to end."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from reconciler.app.signals import Signals


@pytest.fixture(autouse=True)
def as_before():
    """What this process does on signals is no affair of other tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, action in before.items():
        signal.signal(number, action)


async def _sent(*numbers: signal.Signals) -> Signals:
    with Signals().installed() as signals:
        for number in numbers:
            os.kill(os.getpid(), number)
            await asyncio.wait_for(signals.stop.wait(), 5)
        await asyncio.sleep(0)
    return signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_each_asks_for_an_end_in_good_order(number):
    signals = await _sent(number)
    assert signals.stop.is_set()
    assert not signals.hurry.is_set()
    assert signals.interrupted is (number is signal.SIGINT)


async def test_a_second_one_says_to_hurry():
    assert (await _sent(signal.SIGHUP, signal.SIGTERM)).hurry.is_set()


async def test_one_that_comes_after_the_end_changes_nothing():
    await _sent(signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)


async def test_a_hangup_that_is_ignored_under_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals().installed() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
            assert not signals.stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_work_is_done_unless_it_is_told_to_end():
    async def work() -> str:
        return "done"

    assert await Signals().unless_told(work()) == "done"


async def test_work_that_lasts_is_left_where_it_is_told_to_end():
    left = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.append(True)

    signals = Signals()
    asyncio.get_running_loop().call_soon(signals.stop.set)
    assert await asyncio.wait_for(signals.unless_told(work()), 5) is None
    assert left == [True]


async def test_why_work_fails_is_said():
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Signals().unless_told(work())
