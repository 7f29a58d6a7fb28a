"""Very many cases over all cores: progress, what failed, and the slowest; a process that dies is a finding too.

Forbidden here: knowing what is fuzzed.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, cast

from tests.fuzz.subjects import SUBJECTS
from tests.fuzz.trial import attempt, case_of, shrunk

EVERY: Final = 10.0  # seconds between two lines of progress
_TOLD: Final = 0.5  # seconds between two reports of a worker
_MOST: Final = 20  # different failures of a worker: beyond that, what is broken is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What failed first in its way; ``content`` is the case, made small."""

    subject: str
    number: int
    fault: str
    detail: str
    content: bytes


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many went how, and which was the slowest."""

    results: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)  # seconds, and the case's number
    failures: list[Failure] = field(default_factory=list)
    done: bool = False

    @property
    def cases(self) -> int:
        """All of them."""
        return self.results.total()

    def add(self, other: Tally) -> None:
        """Count these, too; a failure that is known already is not kept twice."""
        self.results += other.results
        self.slowest = max(self.slowest, other.slowest)
        known = {each.fault for each in self.failures}
        self.failures += [each for each in other.failures if each.fault not in known]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which cases: every ``step``-th of those from ``first`` up to ``count``."""

    subject: str
    seed: str
    count: int
    first: int = 0
    step: int = 1


def work(order: Order, tell: Callable[[Tally], None], reach: Callable[[int], None] = lambda _: None) -> None:
    """Try the cases of an order; ``reach`` is told the number of each before it is tried."""
    subject = SUBJECTS[order.subject]()
    tally, told, seen = Tally(), time.monotonic(), set[str]()
    for number in range(order.first, order.count, order.step):
        reach(number)
        case = case_of(subject, order.seed, number)
        trial = attempt(subject, case)
        tally.results[trial.result or "failed"] += 1
        tally.slowest = max(tally.slowest, (trial.seconds, number))
        if trial.fault and trial.fault not in seen and len(seen) < _MOST:
            seen.add(trial.fault)
            content = subject.written(shrunk(subject, case, trial.fault))
            failure = Failure(
                subject=order.subject, number=number, fault=trial.fault, detail=trial.detail, content=content
            )
            tally.failures.append(failure)
        if time.monotonic() - told > _TOLD:
            tell(tally)
            tally, told = Tally(), time.monotonic()
    tally.done = True
    tell(tally)
    if hasattr(subject, "close"):
        subject.close()


class Campaign:
    """One subject over several processes."""

    def __init__(self, order: Order, workers: int, say: Callable[[str], None], start: str = "spawn") -> None:
        """Carry out the whole order with so many workers; ``say`` prints a line, ``start`` is how processes begin."""
        self._order = order
        self._workers = workers
        self._say = say
        self._context = multiprocessing.get_context(start)
        self._running: dict[Connection, _Worker] = {}
        self.tally = Tally()
        self.seconds = 0.0

    def run(self) -> None:
        """Until every case was tried."""
        begun = said = time.monotonic()
        for index in range(self._workers):
            self._start(self._order.first + index)
        while self._running:
            for each in wait([*self._running], timeout=1.0):
                self._hear(cast("Connection", each))
            self.seconds = time.monotonic() - begun
            if time.monotonic() - said > EVERY:
                said = time.monotonic()
                self._say(self._progress())

    def _start(self, first: int) -> None:
        order = replace(self._order, first=first, step=self._workers)
        reached = self._context.RawValue("q", first)
        ear, mouth = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_in_process, args=(order, mouth, reached), daemon=True)
        process.start()
        mouth.close()
        self._running[ear] = _Worker(process=process, first=first, reached=reached)

    def _hear(self, ear: Connection) -> None:
        """What a worker tells; one that says nothing more and has not said that it is done has died."""
        worker = self._running[ear]
        try:
            tally = ear.recv()
        except (EOFError, OSError):
            self._running.pop(ear)
            worker.process.join()
            self._bury(worker)
            return
        worker.told += tally.cases
        self.tally.add(tally)
        if tally.done:
            self._running.pop(ear)
            worker.process.join()

    def _bury(self, worker: _Worker) -> None:
        """The case that ended a process is a failure; the cases behind it are tried by another one."""
        number = worker.reached.value
        subject = SUBJECTS[self._order.subject]()
        failure = Failure(
            subject=self._order.subject,
            number=number,
            fault=f"the process ended with {worker.process.exitcode}",
            detail="",
            content=subject.written(case_of(subject, self._order.seed, number)),
        )
        untold = (number - worker.first) // self._workers - worker.told
        self.tally.add(Tally(results=Counter(failed=1, untold=untold), failures=[failure]))
        self._start(number + self._workers)

    def _progress(self) -> str:
        tally = self.tally
        slowest = f"slowest {1000 * tally.slowest[0]:.0f} ms (case {tally.slowest[1]})"
        rate = tally.cases / self.seconds
        tried = f"{self._order.subject}: {tally.cases:,} of {self._order.count:,}, {rate:,.0f}/s"
        return f"{tried}, {slowest}, {len(tally.failures)} failures"


@dataclass(slots=True, kw_only=True)
class _Worker:
    process: BaseProcess
    first: int
    reached: Any  # the number of the case that is being tried, in memory that outlives the process
    told: int = 0


def _in_process(order: Order, mouth: Connection, reached: Any) -> None:
    def reach(number: int) -> None:
        reached.value = number

    work(order, mouth.send, reach)
