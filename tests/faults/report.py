"""What a campaign tells: one aligned table, and the same as JSON. Forbidden here: judging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from tests.faults.campaign import Told
from tests.faults.leaders import Change
from tests.faults.oracle import Verdict

PROMISES = {
    "lost": "slots without any record",
    "duplicated": "calls made twice under atMostOnce",
    "surplus": "records or calls without a slot",
    "open": "runs without an end",
    "contradicted": "records that the target's log contradicts",
    "unexplained": "unknown or repeated with nothing that explains it",
    "early": "calls before their slot",
    "late": "calls after the starting deadline",
    "usurped": "two leaders at a time",
    "trouble": "processes that ended by themselves or logged an error",
    "audit": "disagreements with `reconciler audit`",
    "takeover": "takeovers that took too long",
    "handover": "handovers that took too long",
}
_SHOWN = 5


def table(told: Told, verdict: Verdict) -> str:
    """For people."""
    rows = [(name, str(value)) for name, value in _figures(told, verdict).items() if not isinstance(value, dict)]
    for title, key in (("faults", "faults"), ("slots that", "outcomes"), ("broken", "broken")):
        rows += [("", "")] + [(f"{title}: {name}", str(count)) for name, count in _figures(told, verdict)[key].items()]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value:>22}".rstrip() for name, value in rows]
    return "\n".join([*lines, "", *_breaches(verdict)])


def as_json(told: Told, verdict: Verdict) -> Mapping[str, Any]:
    """For machines."""
    return {
        "options": asdict(told.options),
        **_figures(told, verdict),
        "breaches": [asdict(breach) for breach in verdict.breaches],
    }


def _figures(told: Told, verdict: Verdict) -> dict[str, Any]:
    evidence = told.evidence
    kinds = Counter(f"{fault.kind} {fault.label}".strip() for fault in evidence.faults)
    return {
        "seconds": round(evidence.until - told.began),
        "jobs": len(evidence.jobs),
        "slots accounted for": verdict.slots,
        "calls": verdict.calls,
        "faults in all": len(evidence.faults),
        "traps that nobody met": told.idle,
        "jobs renamed": told.renames,
        "lost": verdict.count("lost"),
        "duplicated under atMostOnce": verdict.count("duplicated"),
        "repeated under one key (atLeastOnce)": verdict.repeated,
        "unknown": verdict.outcomes["unknown"],
        "unknown without a cause": verdict.count("unexplained"),
        **_changes("takeover after a kill", verdict.takeovers),
        **_changes("handover after a signal", verdict.handovers),
        **_lateness(verdict.lateness),
        "audit": (evidence.audit or {"verdict": "not asked"})["verdict"],
        "terms": len(evidence.tenures),
        "faults": dict(sorted(kinds.items())),
        "outcomes": dict(sorted(verdict.outcomes.items())),
        "broken": {text: verdict.count(promise) for promise, text in PROMISES.items()},
    }


def _changes(name: str, found: Sequence[Change]) -> dict[str, str]:
    """Those that nothing else disturbed."""
    clear = sorted(change.seconds for change in found if not change.disturbed)
    calls = sorted(change.to_call for change in found if not change.disturbed and change.to_call is not None)
    return {
        f"{name} ({len(clear)} undisturbed of {len(found)})": _spread(clear),
        f"{name}, to the first call": _spread(calls),
    }


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.2f} s, most {seconds[-1]:.2f} s" if seconds else "none"


def _lateness(sorted_seconds: Sequence[float]) -> dict[str, str]:
    if not sorted_seconds:
        return {}
    return {
        f"lateness p{part}": f"{sorted_seconds[min(len(sorted_seconds) - 1, len(sorted_seconds) * part // 100)]:.3f} s"
        for part in (50, 99, 100)
    }


def _breaches(verdict: Verdict) -> Sequence[str]:
    if not verdict.breaches:
        return ["Every promise was kept."]
    lines = [f"{len(verdict.breaches)} times a promise was broken:"]
    for promise, text in PROMISES.items():
        found = [breach.what for breach in verdict.breaches if breach.promise == promise]
        lines += [f"  {text}: {what}" for what in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"  {text}: {len(found) - _SHOWN} more")
    return lines
