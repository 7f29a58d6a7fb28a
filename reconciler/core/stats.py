"""Figures over ended runs: totals, success rate, latency percentiles, per UTC day and per UTC hour of the day.

Everything is computed from counts, so that a million runs cost as much as their distinct hours and latencies.
Forbidden here: reading runs, a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

from pydantic import Field

from reconciler.core.model import Outcome, Tally
from reconciler.core.views import Instant, View

ENDED = tuple(outcome for outcome in Outcome if outcome is not Outcome.RUNNING)

# A skipped slot was left out on purpose; every other outcome was to be a successful call.
_COUNTED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN)


class Bucket(View):
    """Runs that belong together: how many, how they ended, and the share that succeeded (0 to 1; null for none)."""

    total: int
    outcomes: Mapping[str, int]
    success_rate: float | None = None


class DayBucket(Bucket):
    """The runs of one UTC day."""

    day: date


class HourBucket(Bucket):
    """The runs of one UTC hour of the day, over all days."""

    hour: int


class LatencyView(View):
    """Latency of the last attempt in milliseconds, over runs in which a call was made; nearest-rank percentiles."""

    calls: int
    p50: int | None = None
    p90: int | None = None
    p95: int | None = None
    p99: int | None = None
    max: int | None = None


class StatsView(Bucket):
    """Figures over the runs whose slot is at or after ``from`` and before ``to``."""

    since: Instant = Field(alias="from")
    until: Instant = Field(alias="to")
    application: str | None = None
    api: str | None = None
    latency: LatencyView
    days: tuple[DayBucket, ...]
    hours: tuple[HourBucket, ...]


def success_rate(outcomes: Mapping[Outcome, int]) -> float | None:
    """Succeeded / (succeeded + failed + missed + unknown), from 0 to 1; ``None`` where there was none of these.

    A missed slot and an unknown result count against the rate: no successful call is known. A skipped slot does not
    count: it was left out by the job's own declaration.
    """
    counted = sum(outcomes.get(outcome, 0) for outcome in _COUNTED)
    return round(outcomes.get(Outcome.SUCCEEDED, 0) / counted, 6) if counted else None


def percentile(latencies: Sequence[tuple[int, int]], percent: int) -> int | None:
    """The smallest latency that at least ``percent`` of all calls did not exceed (nearest rank).

    Args:
        latencies: (milliseconds, calls), ascending by milliseconds.
        percent: from 1 to 100.
    """
    reached = list(accumulate(calls for _, calls in latencies))
    if not reached:
        return None
    wanted = reached[-1] * percent  # compared without division: no rounding
    return next(ms for (ms, _), so_far in zip(latencies, reached, strict=True) if so_far * 100 >= wanted)


def stats(
    tallies: Sequence[Tally],
    *,
    since: datetime,
    until: datetime,
    application: str | None = None,
    api: str | None = None,
) -> StatsView:
    """Figures over runs in ``[since, until)``; every UTC day that the window touches is named, also with no run.

    Args:
        tallies: what the store counted for this window.
        since: aware.
        until: aware.
        application: said in the result.
        api: said in the result.
    """
    days: dict[date, Counter[Outcome]] = {day: Counter() for day in _days(since, until)}
    hours: dict[int, Counter[Outcome]] = {hour: Counter() for hour in range(24)}
    total: Counter[Outcome] = Counter()
    for tally in tallies:
        at = tally.hour.astimezone(UTC)
        total[tally.outcome] += tally.runs
        hours[at.hour][tally.outcome] += tally.runs
        days.setdefault(at.date(), Counter())[tally.outcome] += tally.runs
    return StatsView(
        **_bucket(total).__dict__,
        since=since,
        until=until,
        application=application,
        api=api,
        latency=_latency(tallies),
        days=tuple(DayBucket(day=day, **_bucket(days[day]).__dict__) for day in sorted(days)),
        hours=tuple(HourBucket(hour=hour, **_bucket(outcomes).__dict__) for hour, outcomes in hours.items()),
    )


def _days(since: datetime, until: datetime) -> Iterable[date]:
    day = since.astimezone(UTC).date()
    while datetime(day.year, day.month, day.day, tzinfo=UTC) < until:
        yield day
        day += timedelta(days=1)


def _bucket(outcomes: Counter[Outcome]) -> Bucket:
    return Bucket(
        total=outcomes.total(),
        outcomes={outcome.value: outcomes[outcome] for outcome in ENDED},
        success_rate=success_rate(outcomes),
    )


def _latency(tallies: Iterable[Tally]) -> LatencyView:
    counts: Counter[int] = Counter()
    for tally in tallies:
        if tally.latency_ms is not None:
            counts[tally.latency_ms] += tally.runs
    latencies = sorted(counts.items())
    return LatencyView(
        calls=counts.total(),
        p50=percentile(latencies, 50),
        p90=percentile(latencies, 90),
        p95=percentile(latencies, 95),
        p99=percentile(latencies, 99),
        max=latencies[-1][0] if latencies else None,
    )
