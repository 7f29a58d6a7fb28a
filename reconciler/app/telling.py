"""What a running reconciler says: a line for each run, sync and stop. Forbidden here: doing anything else."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from reconciler.core.acts import Act, ActKind
from reconciler.core.drift import describe
from reconciler.core.model import Lease, Outcome, Pause, Run, SyncReport
from reconciler.core.pauses import FOREVER

_SHOWN = 20  # problems, and other things of which there may be thousands

log = structlog.get_logger()


class Telling:
    """Tells runs and syncs, the same thing once."""

    def __init__(self) -> None:
        self._reported = ""
        self._log = structlog.get_logger().bind()  # bound once: a lazy logger is made anew for every line

    def run(self, run: Run) -> None:
        """One line for a run that has ended."""
        bad = run.outcome in (Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN)
        status = next((attempt.status for attempt in reversed(run.attempts) if attempt.status), None)
        (self._log.warning if bad else self._log.info)(
            "run",
            job=str(run.key),
            outcome=run.outcome.value,
            reason=run.reason,
            status=status,
            latency_ms=run.latency_ms and round(run.latency_ms, 1),
            lateness_ms=run.lateness_ms and round(run.lateness_ms, 1),
            attempts=len(run.attempts),
            cause=run.cause.value,
            slot=run.slot.isoformat(),
            run=run.id,
        )

    def sync(self, report: SyncReport) -> None:
        """One line for a sync, and one for each problem, unless the last one said the same."""
        drift = tuple(one for one in report.drift if not one.put_back)
        said = f"{report.revision} {report.error} {report.problems} {report.kept} {drift}"
        if said == self._reported and report.result in ("unchanged", "failed", "refused"):
            return
        self._reported = said
        worrying = report.result in ("failed", "refused") or bool(report.problems or report.drift)
        (log.warning if worrying else log.info)("sync", **_sync_fields(report))
        for note in report.notes:
            log.warning("note", text=note)
        _told("drift", [describe(one) for one in report.drift])
        _told("problem", report.problems)

    def leads(self, lease: Lease) -> None:
        """One line where this process begins to lead."""
        log.info("leads", term=lease.term, accounted_until=lease.accounted_until.isoformat())

    def leads_no_more(self, reason: str) -> None:
        """One line where it leads no more."""
        log.warning("leads no more", reason=reason)

    def act(self, act: Act) -> None:
        """One line for what somebody has done, or was refused."""
        worrying = act.kind in (ActKind.REFUSED, ActKind.PRUNE)
        (self._log.warning if worrying else self._log.info)("audit", **_act_fields(act))

    def pause(self, event: str, pause: Pause) -> None:
        """One line where a pause begins or ends."""
        until = pause.until if pause.until < FOREVER else "resumed"
        log.warning(event, target=pause.target, by=pause.ended_by or pause.by, until=until, reason=pause.reason)


def _act_fields(act: Act) -> dict[str, str]:
    fields = {
        "act": act.kind.value,
        "who": act.who,
        "source": act.source,
        "target": act.target,
        "result": act.result,
        "run": act.run,
        "detail": act.detail,
    }
    return {name: value for name, value in fields.items() if value}


def _sync_fields(report: SyncReport) -> dict[str, object]:
    commit = report.commit
    return {
        "result": report.result,
        "revision": report.revision[:12],
        **({"author": commit.author, "subject": commit.subject} if commit else {}),
        "jobs": report.jobs,
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "renamed": report.renamed,
        "kept": len(report.kept),
        "parsed": report.parsed,
        "held": ", ".join(report.held),
        "duration_ms": round(report.duration_ms, 1),
        "error": report.error,
    }


def _told(event: str, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        log.warning(event, text=line)
    if len(lines) > _SHOWN:
        log.warning("more of this", what=event, count=len(lines) - _SHOWN)
