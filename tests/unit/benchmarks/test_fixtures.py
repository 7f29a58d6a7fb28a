from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.fixtures import keys, write_hostile, write_manifests, write_spread
from reconciler.core.desired import build
from reconciler.core.manifests import parse

BASE = "http://127.0.0.1:9"


def jobs_in(folder):
    files = {str(path): parse(str(path), path.read_bytes()) for path in folder.rglob("*.yaml")}
    desired = build(files)
    assert desired.problems == ()
    return desired.jobs


@pytest.mark.parametrize("of_one", [100, 250])
def test_what_is_written_are_the_jobs_that_are_named(tmp_path, of_one):
    write_manifests(tmp_path, 250, "*/5 * * * * *", BASE, "UTC", of_one)
    assert sorted(map(str, jobs_in(tmp_path))) == sorted(keys(250, of_one))


def test_hostile_jobs_are_those_of_one_application_and_give_up_after_their_timeout(tmp_path):
    write_hostile(tmp_path, 20, "*/5 * * * * *", BASE, 7)
    jobs = jobs_in(tmp_path)
    assert sorted(map(str, jobs)) == sorted(f"hostile/api-{number}" for number in range(20))
    assert {job.timeout for job in jobs.values()} == {timedelta(seconds=7)}


def test_jobs_that_are_spread_are_due_in_every_period_from_the_beginning_on(tmp_path):
    begin = datetime(2026, 1, 5, 10, 0, 7, tzinfo=UTC)
    write_spread(tmp_path, 150, 100, begin, BASE)
    jobs = jobs_in(tmp_path)
    assert sorted(map(str, jobs)) == sorted(keys(150))
    told = {(job.schedule.every, job.schedule.starts_at, job.jitter) for job in jobs.values()}
    assert told == {(timedelta(seconds=100), begin, timedelta(seconds=100))}
