"""What Prometheus scrapes, on a registry of its own.

Labels are bounded by what is declared: ``application``, never the single job, whose figures `stats` gives exactly.
Names and units follow Prometheus' conventions: seconds, ``_total`` for counters.
Forbidden here: reading the store; a scrape costs the same whatever the store does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from reconciler.core.model import ApplicationState, Outcome, Run, StoredJob, SyncReport

_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LATENESS_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_SYNC_RESULTS = ("applied", "unchanged", "refused", "failed")


class Metrics:
    """Counts what the process does; ``observe_…`` are called where it happens."""

    def __init__(self, *, version: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.registry = CollectorRegistry()
        self._now = now
        self._synced_at: datetime | None = None
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._build = self._gauge("reconciler_build_info", "The version that runs; always 1.", "version")
        self._build.labels(version).set(1)
        self._make_run_metrics()
        self._make_state_metrics()

    def _make_run_metrics(self) -> None:
        self._runs = Counter(
            "reconciler_runs_total", "Runs that ended.", ("application", "outcome"), registry=self.registry
        )
        self._calls = Histogram(
            "reconciler_call_duration_seconds",
            "One HTTP call, from sending to the last byte or the failure.",
            ("application",),
            buckets=_CALL_BUCKETS,
            registry=self.registry,
        )
        self._lateness = Histogram(
            "reconciler_run_lateness_seconds",
            "From the slot to the first call of a run on schedule; a declared jitter is part of it.",
            buckets=_LATENESS_BUCKETS,
            registry=self.registry,
        )
        self._in_flight = self._gauge("reconciler_calls_in_flight", "HTTP calls being made right now.")

    def _make_state_metrics(self) -> None:
        self._jobs = self._gauge("reconciler_jobs", "Jobs in the store.", "state")
        self._held = self._gauge("reconciler_applications_held", "Applications whose manifests have problems.")
        self._syncs = Counter("reconciler_syncs_total", "Syncs that ended.", ("result",), registry=self.registry)
        for result in _SYNC_RESULTS:
            self._syncs.labels(result)  # a rate needs the zero before the first
        self._sync_seconds = self._gauge("reconciler_last_sync_duration_seconds", "How long the last sync took.")
        self._last_sync = self._gauge(
            "reconciler_last_sync_timestamp_seconds", "When the last sync that read the source began; 0 before it."
        )
        self._sync_age = self._gauge(
            "reconciler_last_sync_age_seconds", "Since the last sync that read the source began; NaN before it."
        )
        self._sync_age.set_function(self._age)
        self._store_up = self._gauge("reconciler_store_up", "1 while the store answers, 0 while it is away.")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _age(self) -> float:
        if self._synced_at is None:
            return float("nan")
        return max(0.0, (self._now() - self._synced_at).total_seconds())

    def observe_run(self, run: Run) -> None:
        """Count a run that has ended, and each of its calls. A run that has not ended counts nothing."""
        if run.outcome is Outcome.RUNNING:
            return
        self._runs.labels(run.key.application, run.outcome.value).inc()
        for attempt in run.attempts:
            self._calls.labels(run.key.application).observe(attempt.latency_ms / 1000)
        if run.cause.value == "schedule" and run.lateness_ms is not None:
            self._lateness.observe(max(0.0, run.lateness_ms / 1000))

    def observe_sync(self, report: SyncReport) -> None:
        """Count a sync; one that could not read the source does not make the state any fresher."""
        self._syncs.labels(report.result).inc()
        self._sync_seconds.set(report.duration_ms / 1000)
        if report.result != "failed":
            self._synced_at = report.started_at
            self._last_sync.set(report.started_at.timestamp())

    def observe_jobs(self, jobs: Iterable[StoredJob], applications: Iterable[ApplicationState]) -> None:
        """Take down how many jobs there are, and how many Applications are held."""
        suspended = [stored.job.suspend for stored in jobs]
        self._jobs.labels("suspended").set(sum(suspended))
        self._jobs.labels("active").set(len(suspended) - sum(suspended))
        self._held.set(sum(state.held for state in applications))

    def observe_store(self, *, up: bool) -> None:
        """Take down whether the store answers."""
        self._store_up.set(up)

    def watch_calls(self, in_flight: Callable[[], int]) -> None:
        """Ask ``in_flight`` at each scrape for the number of calls being made."""
        self._in_flight.set_function(in_flight)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type: Prometheus' text, or OpenMetrics where ``Accept`` asks for it."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # the library trips over a version that is no number
            encode, content_type = choose_encoder("")
        return encode(self.registry), content_type
