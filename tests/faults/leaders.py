"""Who led when, and what that says of calls, faults and changes of the lead.

Forbidden here: I/O and time, as in the oracle whose part this is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.model import Cause, Outcome, Run
from reconciler.services.run import ABANDONED
from tests.faults.calls import Call
from tests.faults.evidence import Evidence, Fault, Tenure

# In seconds. What a process had begun when another took over may still be on its way to the target; and what it was
# about to send when it was stopped it sends when it goes on, before it can look at any clock.
_ON_ITS_WAY = 0.5
_TOUCH = 1.0

KILLS = frozenset({"kill", "trap"})
SIGNALS = frozenset({"terminate"})
STOPS = frozenset({"stop"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The lead has changed hands.

    Attributes:
        term: the new one.
        seconds: from the end of the old leader to the new one's lease.
        to_call: …to its first call; ``None`` where there was none.
        disturbed: something else was wrong meanwhile, so that nothing is promised.
    """

    term: int
    seconds: float
    to_call: float | None
    disturbed: bool


def explains(run: Run, calls: Sequence[Call], evidence: Evidence) -> bool:
    """Whether anything had happened, between a run's claim and its end, to its processes or to the database.

    A run that was taken over names its new owner; who claimed it is whoever led then, and each call names its sender.
    """
    began = run.claimed_at.timestamp() - _TOUCH
    ended = (run.finished_at or run.claimed_at).timestamp() + _TOUCH
    processes = {run.owner, *(call.sender for call in calls), _ruling(evidence, run.claimed_at.timestamp())}
    return any(
        fault.began <= ended and fault.ended >= began and (not fault.victims or fault.victims & processes)
        for fault in evidence.faults
    )


def _ruling(evidence: Evidence, at: float) -> str:
    """Who held the lease at an instant, as far as is known."""
    before = [tenure.holder for tenure in evidence.tenures if tenure.began <= at]
    return before[-1] if before else ""


def usurpations(evidence: Evidence) -> Iterator[str]:
    """Where a process acted as the leader while another one was."""
    yield from _shared_terms(evidence.runs)
    if not evidence.tenures:
        return
    starts = [tenure.began for tenure in evidence.tenures]
    scheduled = {run.id for run in evidence.runs if run.cause is Cause.SCHEDULE}
    for call in evidence.calls:
        if call.run in scheduled and call.attempt == 1 and _usurps(call, evidence, starts):
            yield f"process {call.sender} called {call.job} for {call.slot} while another one led"


def _usurps(call: Call, evidence: Evidence, starts: Sequence[float]) -> bool:
    ruling = evidence.tenures[max(0, bisect_right(starts, call.sent_at - _ON_ITS_WAY) - 1)]
    present = evidence.tenures[max(0, bisect_right(starts, call.sent_at) - 1)]
    if call.sender in (ruling.holder, present.holder):
        return False
    return not any(
        fault.kind in STOPS and call.sender in fault.victims and 0 <= call.sent_at - fault.ended < _ON_ITS_WAY
        for fault in evidence.faults
    )


def _shared_terms(runs: Sequence[Run]) -> Iterator[str]:
    """A term is one process's. A run that was taken over keeps its owner and bears its new leader's term."""
    owners: dict[int, set[str]] = defaultdict(set)
    for run in runs:
        taken_over = run.outcome is Outcome.UNKNOWN or any(ABANDONED in (one.error or "") for one in run.attempts)
        if run.term and run.cause is Cause.SCHEDULE and not taken_over:
            owners[run.term].add(run.owner)
    for term, names in owners.items():
        if len(names) > 1:
            yield f"{len(names)} processes claimed under term {term}"


def changes(evidence: Evidence) -> tuple[list[Change], list[Change]]:
    """What followed on a kill of the leader, and on a signal to it."""
    taken, handed = [], []
    for before, after in zip(evidence.tenures, evidence.tenures[1:], strict=False):
        end = _end_of(before, after, evidence.faults)
        if end is not None:
            (taken if end.kind in KILLS else handed).append(_change(end, after, evidence))
    return taken, handed


def _end_of(before: Tenure, after: Tenure, faults: Sequence[Fault]) -> Fault | None:
    """The first thing that ended a leader for good."""
    ends = (
        fault
        for fault in faults
        if fault.kind in KILLS | SIGNALS
        and before.holder in fault.victims
        and before.began <= fault.began <= after.began
    )
    return min(ends, key=lambda fault: fault.began, default=None)


def _change(end: Fault, after: Tenure, evidence: Evidence) -> Change:
    disturbed = any(
        fault is not end and fault.began <= after.began and fault.ended >= end.began for fault in evidence.faults
    )
    first = next((call for call in evidence.calls if call.sender == after.holder and call.at >= after.began), None)
    return Change(
        term=after.term,
        seconds=after.began - end.began,
        to_call=None if first is None else first.at - end.began,
        disturbed=disturbed,
    )
