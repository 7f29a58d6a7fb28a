from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from reconciler.core.model import ApplicationState, Attempt, Cause, Outcome, SyncReport
from reconciler.web.metrics import Metrics
from tests.fakes import START, FakeClock, stored_job
from tests.unit.web.conftest import a_run


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def metrics(clock):
    return Metrics(version="1.2.3", now=clock.now)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def a_report(result="applied", **changes):
    fields = {"id": "s", "source": "m", "revision": "r", "result": result, "started_at": START, "duration_ms": 250.0}
    return SyncReport(**(fields | changes))


def test_runs_are_counted_by_application_and_outcome_and_not_by_job(metrics):
    metrics.observe_run(a_run(1))
    metrics.observe_run(a_run(2, "billing/weekly"))
    metrics.observe_run(a_run(3, outcome=Outcome.MISSED, started_at=None, attempts=()))
    assert value(metrics, "reconciler_runs_total", application="billing", outcome="succeeded") == 2
    assert value(metrics, "reconciler_runs_total", application="billing", outcome="missed") == 1
    assert "nightly" not in metrics.render()[0].decode()


def test_a_run_that_has_not_ended_is_not_counted(metrics):
    metrics.observe_run(a_run(1, outcome=Outcome.RUNNING))
    assert "reconciler_runs_total{" not in metrics.render()[0].decode()


def test_every_call_of_a_run_is_observed_in_seconds(metrics):
    attempts = tuple(Attempt(number=n, started_at=START, latency_ms=ms) for n, ms in ((1, 40.0), (2, 2000.0)))
    metrics.observe_run(a_run(1, attempts=attempts))
    assert value(metrics, "reconciler_call_duration_seconds_sum", application="billing") == 2.04
    assert value(metrics, "reconciler_call_duration_seconds_bucket", application="billing", le="0.05") == 1


def test_lateness_is_that_of_runs_on_schedule(metrics):
    run = a_run(1)
    metrics.observe_run(replace(run, started_at=run.slot + timedelta(seconds=3)))
    metrics.observe_run(replace(run, started_at=run.slot - timedelta(seconds=1)))
    metrics.observe_run(replace(run, cause=Cause.MANUAL, started_at=run.slot + timedelta(hours=1)))
    metrics.observe_run(replace(run, started_at=None, attempts=()))
    assert value(metrics, "reconciler_run_lateness_seconds_count") == 2
    assert value(metrics, "reconciler_run_lateness_seconds_sum") == 3


def test_jobs_are_counted_by_state_and_held_applications_too(metrics):
    applications = [ApplicationState(name="a", since=START, held=True), ApplicationState(name="b", since=START)]
    metrics.observe_jobs([stored_job("a/x"), stored_job("a/y"), stored_job("a/z", suspend=True)], applications)
    assert value(metrics, "reconciler_jobs", state="active") == 2
    assert value(metrics, "reconciler_jobs", state="suspended") == 1
    assert value(metrics, "reconciler_applications_held") == 1
    metrics.observe_jobs([], [])
    assert value(metrics, "reconciler_jobs", state="active") == 0
    assert value(metrics, "reconciler_applications_held") == 0


async def test_a_sync_is_counted_and_grows_old(metrics, clock):
    assert value(metrics, "reconciler_syncs_total", result="failed") == 0
    assert str(value(metrics, "reconciler_last_sync_age_seconds")) == "nan"
    metrics.observe_sync(a_report())
    await clock.advance(90)
    assert value(metrics, "reconciler_syncs_total", result="applied") == 1
    assert value(metrics, "reconciler_last_sync_duration_seconds") == 0.25
    assert value(metrics, "reconciler_last_sync_timestamp_seconds") == START.timestamp()
    assert value(metrics, "reconciler_last_sync_age_seconds") == 90


async def test_a_sync_that_could_not_read_the_source_makes_nothing_younger(metrics, clock):
    metrics.observe_sync(a_report())
    await clock.advance(60)
    metrics.observe_sync(a_report("failed", started_at=clock.now()))
    assert value(metrics, "reconciler_syncs_total", result="failed") == 1
    assert value(metrics, "reconciler_last_sync_age_seconds") == 60


def test_calls_in_flight_are_asked_for_at_each_scrape(metrics):
    flying = [1, 2, 3]
    metrics.watch_calls(lambda: len(flying))
    assert value(metrics, "reconciler_calls_in_flight") == 3
    flying.clear()
    assert value(metrics, "reconciler_calls_in_flight") == 0


@pytest.mark.parametrize("up", [True, False])
def test_the_store_is_up_or_away(metrics, up):
    metrics.observe_store(up=not up)
    metrics.observe_store(up=up)
    assert value(metrics, "reconciler_store_up") == float(up)


def test_the_version_is_told(metrics):
    assert value(metrics, "reconciler_build_info", version="1.2.3") == 1


def test_two_processes_in_one_share_nothing(metrics):
    metrics.observe_run(a_run(1))
    assert value(Metrics(), "reconciler_runs_total", application="billing", outcome="succeeded") is None
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("reconciler_")]


def test_every_name_of_ours_has_our_prefix_and_a_description(metrics):
    for family in metrics.registry.collect():
        assert family.name.startswith(("reconciler_", "process_", "python_"))
        assert family.documentation
