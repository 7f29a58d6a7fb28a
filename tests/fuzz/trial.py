"""One case tried against the clock, and a case that fails made as small as it gets.

Time is the processor's, of this thread: what another process takes of the machine is nobody's fault here.
Forbidden here: many cases.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.fuzz.subjects import Subject

LONGEST: Final = 1.0  # seconds of one case
ENDLESS: Final = 20.0  # seconds after which a case is ended
ATTEMPTS: Final = 2_000  # smaller cases that are tried at most
PATIENCE: Final = 10.0  # seconds that they may take together


class EndlessError(BaseException):
    """Raised within a case that does not end; no ``except Exception`` on the way holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a case went.

    Attributes:
        seconds: what it took.
        result: in one word; empty where it failed.
        fault: what is wrong, the same for cases that fail alike; empty where nothing is.
        detail: the rest of it.
    """

    seconds: float
    result: str = ""
    fault: str = ""
    detail: str = ""


def case_of(subject: Subject, seed: str, number: int) -> Any:
    """The case of that number: the same wherever and whenever it is made."""
    return subject.make(Random(f"{seed}/{subject.name}/{number}"))  # noqa: S311 - what a seed decides


def attempt(subject: Subject, case: Any) -> Trial:
    """Try it. What is too slow is tried a second time, so that a pause of the collector's accuses nobody."""
    trial = _once(subject, case)
    if trial.seconds > LONGEST and not trial.fault:
        trial = _once(subject, case)
    if trial.seconds > LONGEST and not trial.fault:
        return Trial(seconds=trial.seconds, fault="too slow", detail=f"{trial.seconds:.1f} s")
    return trial


def shrunk(subject: Subject, case: Any, fault: str) -> Any:
    """The smallest case found that fails alike."""
    deadline = time.thread_time() + PATIENCE
    left = ATTEMPTS
    while left > 0:
        for smaller in subject.smaller(case):
            left -= 1
            if left <= 0 or time.thread_time() > deadline:
                return case
            if attempt(subject, smaller).fault == fault:
                case = smaller
                break
        else:
            return case
    return case


def _once(subject: Subject, case: Any) -> Trial:
    begin = time.thread_time()
    try:
        with _ended_after(ENDLESS):
            result = subject.check(case)
    except AssertionError as error:
        said = str(error).partition(": ")
        return Trial(seconds=time.thread_time() - begin, fault=said[0] or "AssertionError", detail=said[2])
    except EndlessError:
        return Trial(seconds=time.thread_time() - begin, fault="endless", detail=f"no end after {ENDLESS:g} s")
    except Exception as error:  # noqa: BLE001 - to find it is what this is for
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {where.name}:{where.lineno}"
        return Trial(seconds=time.thread_time() - begin, fault=place, detail=f"{where.filename}: {error}")
    return Trial(seconds=time.thread_time() - begin, result=result)


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise EndlessError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
