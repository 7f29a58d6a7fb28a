"""The target's log as values. Forbidden here: judging them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True, kw_only=True)
class Call:
    """One request as it arrived; instants are seconds of the epoch.

    Attributes:
        run: its ``Idempotency-Key``.
        slot: its ``X-Reconciler-Scheduled-At``.
        sender: the id of the process that sent it, and ``sent_at`` when it set about it.
        answers: the statuses sent in answer, one at most; none where it was never answered.
    """

    number: int
    at: float
    method: str
    run: str
    job: str
    slot: str
    attempt: int
    sender: str = ""
    sent_at: float = 0.0
    answers: list[int] = field(default_factory=list)


def read(path: Path) -> Sequence[Call]:
    """Every call, in the order of arrival."""
    calls: dict[int, Call] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            kind, number, at, *rest = line.split("\t")
            if kind == "call":
                calls[int(number)] = _call(int(number), float(at), rest)
            else:
                calls[int(number)].answers.append(int(rest[0]))
    return list(calls.values())


def _call(number: int, at: float, fields: Sequence[str]) -> Call:
    method, run, job, slot, attempt, stamp = fields
    sender, _, sent_at = stamp.partition(" ")
    return Call(
        number=number,
        at=at,
        method=method,
        run=run,
        job=job,
        slot=slot,
        attempt=int(attempt) if attempt.isdigit() else 0,
        sender=sender,
        sent_at=float(sent_at or at),
    )
