"""``python -m tests.fuzz``: the long form; and ``python -m tests.fuzz manifests 17``, one case of it again.

MANIFESTS and BODIES say how many, SEED which, WORKERS over how many processes, FINDINGS into which folder the inputs
that fail are written. Exit 1 if there are any.

Forbidden here: everything but asking and telling.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from tests.fuzz.campaign import Campaign, Failure, Order
from tests.fuzz.subjects import SUBJECTS
from tests.fuzz.trial import attempt, case_of

_COUNTS = {"manifests": 1_000_000, "bodies": 100_000}


def main() -> int:
    """Run it; the exit code."""
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    if sys.argv[1:]:
        return _again(sys.argv[1], seed, int(sys.argv[2]))
    say(f"SEED={seed}")
    workers = int(os.environ.get("WORKERS") or os.cpu_count() or 1)
    failures: list[Failure] = []
    rows = [
        "| what | cases | failures | cases a second | slowest | how they went |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, count in _COUNTS.items():
        wanted = int(os.environ.get(name.upper()) or count)
        if wanted:
            campaign = Campaign(Order(subject=name, seed=seed, count=wanted), min(workers, wanted), say)
            campaign.run()
            failures += campaign.tally.failures
            rows.append(_row(name, campaign))
    for failure in failures:
        _keep(failure, Path(os.environ.get("FINDINGS") or "build/fuzz"))
    say("\n".join(rows))
    return 1 if failures else 0


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)  # noqa: T201 - progress is what is asked for


def _row(name: str, campaign: Campaign) -> str:
    tally = campaign.tally
    went = ", ".join(f"{result} {count:,}" for result, count in tally.results.most_common())
    seconds, number = tally.slowest
    rate = tally.cases / campaign.seconds
    failed = tally.results["failed"]
    return f"| {name} | {tally.cases:,} | {failed:,} | {rate:,.0f} | {1000 * seconds:.0f} ms (case {number}) | {went} |"


def _keep(failure: Failure, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{failure.subject}-{failure.number}.{SUBJECTS[failure.subject].suffix}"
    path.write_bytes(failure.content)
    say(f"FAILED {failure.subject} {failure.number}: {failure.fault}: {failure.detail}")
    say(f"  {path} ({len(failure.content)} bytes)")


def _again(name: str, seed: str, number: int) -> int:
    subject = SUBJECTS[name]()
    case = case_of(subject, seed, number)
    sys.stdout.buffer.write(subject.written(case) + b"\n")
    trial = attempt(subject, case)
    say(f"{trial.result or trial.fault} {trial.detail} {1000 * trial.seconds:.1f} ms")
    return 1 if trial.fault else 0


if __name__ == "__main__":
    sys.exit(main())
