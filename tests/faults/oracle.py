"""Whether every promise was kept: each due slot against the target's own log.

Jepsen's criterion for schedulers: every target instant matches a distinct run that began within [slot, slot + epsilon],
where epsilon is the job's starting deadline; whatever is left over on either side is reported. Beyond it, this product
must leave a record of each slot that did not run, with a reason. Forbidden here: I/O, time, and trust in any
computation of the product's; its records are what is judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.model import Cause, Outcome, Run
from tests.faults.calls import Call
from tests.faults.evidence import Evidence
from tests.faults.jobs import Declared
from tests.faults.leaders import Change, changes, explains, usurpations

SLACK = 5.0  # seconds beyond a deadline: a claim is written first, and a machine under load takes its time


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was broken, and how."""

    promise: str
    what: str


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What has become of all slots.

    Attributes:
        outcomes: how many slots ended how; ``lost`` for those without a record.
        repeated: calls sent again under the same key, where the job allows that.
        lateness: seconds from each slot to its first call, sorted.
        takeovers: after a kill of the leader, and ``handovers``: after a signal to it.
    """

    slots: int = 0
    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    lateness: list[float] = field(default_factory=list)
    takeovers: list[Change] = field(default_factory=list)
    handovers: list[Change] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)

    def count(self, promise: str) -> int:
        """How often one promise was broken."""
        return sum(breach.promise == promise for breach in self.breaches)


def judge(evidence: Evidence) -> Verdict:
    """Compare everything with everything."""
    verdict = Verdict(calls=len(evidence.calls))
    calls = _by_run(evidence.calls)
    jobs = {job.key: job for job in evidence.jobs}
    verdict.breaches += _slots(evidence, jobs, verdict)
    for run in evidence.runs:
        job = jobs.get(str(run.key))
        if job is not None and run.slot.timestamp() <= evidence.until:
            verdict.breaches += _run(run, job, calls.get(run.id, ()), evidence)
            _measure(run, calls.get(run.id, ()), verdict)
    known = {run.id for run in evidence.runs}
    verdict.breaches += (
        Breach("surplus", f"{call.job} was called for {call.slot}, and there is no record of {call.run}")
        for call in evidence.calls
        if call.run not in known
    )
    verdict.breaches += (Breach("usurped", text) for text in usurpations(evidence))
    verdict.breaches += (Breach("trouble", text) for text in evidence.troubles)
    verdict.breaches += _disagreements(evidence, verdict)
    verdict.takeovers, verdict.handovers = changes(evidence)
    verdict.breaches += _slow(verdict.takeovers, evidence.takeover, "takeover")
    verdict.breaches += _slow(verdict.handovers, evidence.handover, "handover")
    verdict.lateness.sort()
    return verdict


def _by_run(calls: Iterable[Call]) -> Mapping[str, Sequence[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        found[call.run].append(call)
    return found


def _slots(evidence: Evidence, jobs: Mapping[str, Declared], verdict: Verdict) -> Iterator[Breach]:
    """Every slot has one record, and every record a slot."""
    recorded = _recorded(evidence.runs, jobs)
    for key, job in jobs.items():
        if key not in evidence.since:
            yield Breach("lost", f"{key} was never stored")
            continue
        for slot in job.slots(evidence.since[key], evidence.until):
            runs = recorded.pop((key, slot * 1000), [])
            verdict.slots += 1
            verdict.outcomes[runs[0].outcome.value if runs else "lost"] += 1
            if not runs:
                yield Breach("lost", f"{key} at {slot} has no record")
            for run in runs[1:]:
                yield Breach("surplus", f"{key} at {slot} has another record: {run.id}")
    for (key, slot), runs in recorded.items():
        if slot <= evidence.until * 1000:
            yield Breach("surplus", f"{key} was not due at {slot / 1000}: {runs[0].id}, {runs[0].outcome.value}")


def _recorded(runs: Iterable[Run], jobs: Mapping[str, Declared]) -> dict[tuple[str, int], list[Run]]:
    """The records by job and slot in milliseconds; one that is counted stands for each of its slots."""
    found: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in runs:
        if run.cause is not Cause.SCHEDULE:
            continue
        key, slot = str(run.key), round(run.slot.timestamp() * 1000)
        covered = [slot]
        if run.through is not None and key in jobs:
            covered = [at * 1000 for at in jobs[key].slots(slot / 1000 - 0.001, run.through.timestamp())]
        for at in covered:
            found[key, at].append(run)
    return found


def _run(run: Run, job: Declared, calls: Sequence[Call], evidence: Evidence) -> Iterator[Breach]:
    """One record against the calls that bear its id."""
    name = f"{job.key} at {run.slot.timestamp():.3f} ({run.id}, {run.outcome.value})"
    excused = explains(run, calls, evidence)
    if run.outcome is Outcome.RUNNING:
        yield Breach("open", f"{name} has no end")
    if run.outcome in (Outcome.SKIPPED, Outcome.MISSED) and calls:
        yield Breach("contradicted", f"{name} was called {len(calls)} times; {run.reason}")
    if run.outcome in (Outcome.SKIPPED, Outcome.MISSED, Outcome.UNKNOWN) and not run.reason:
        yield Breach("unexplained", f"{name} has no reason")
    if run.outcome is Outcome.SUCCEEDED and not any(200 in call.answers for call in calls):
        yield Breach("contradicted", f"{name} is said to have succeeded, and the target has answered nothing")
    if run.outcome is Outcome.UNKNOWN and not excused:
        yield Breach("unexplained", f"{name}: nothing had happened to process {run.owner}; {run.reason}")
    if job.at_most_once and len(calls) > 1:
        yield Breach("duplicated", f"{name} was called {len(calls)} times")
    if not job.at_most_once and _repeats(calls) and not excused:
        yield Breach("unexplained", f"{name} was called {len(calls)} times, and nothing had happened")
    late = calls[0].at - run.slot.timestamp() if calls else 0
    if late > job.deadline + job.jitter + SLACK and not excused:  # what was claimed in time may have been held up
        yield Breach("late", f"{name} was called after {late:.1f} s")
    if calls and calls[0].at < run.slot.timestamp():
        yield Breach("early", f"{name} was called {run.slot.timestamp() - calls[0].at:.3f} s before")


def _repeats(calls: Sequence[Call]) -> int:
    """How many calls no retry explains: each retry answers a 500."""
    return max(0, len(calls) - 1 - sum(500 in call.answers for call in calls))


def _disagreements(evidence: Evidence, verdict: Verdict) -> Iterator[Breach]:
    """The product's own audit names what is wrong with the records, and nothing else."""
    if evidence.audit is None:
        return
    wrong = [breach for breach in verdict.breaches if breach.promise in ("lost", "open")]
    looked = datetime.fromisoformat(evidence.audit["until"]).timestamp() >= evidence.until
    if wrong and looked and evidence.audit["complete"]:
        yield Breach("audit", f"it finds everything in order, and {len(wrong)} slots are lost or open")
    if not wrong:
        for found in evidence.audit["differences"]:
            yield Breach("audit", f"{found['kind']}: {found['job']} at {found['slot']}: {found['reason']}")


def _measure(run: Run, calls: Sequence[Call], verdict: Verdict) -> None:
    verdict.repeated += _repeats(calls)
    if calls:
        verdict.lateness.append(calls[0].at - run.slot.timestamp())


def _slow(found: Sequence[Change], bound: float | None, promise: str) -> Iterator[Breach]:
    for change in found:
        if bound is not None and not change.disturbed and change.seconds > bound:
            yield Breach(promise, f"term {change.term} began after {change.seconds:.2f} s")
