"""Jobs, Applications and sync reports in a store."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from reconciler.core.declared_records import encode_application, encode_job
from reconciler.core.model import ApplicationState, JobKey, Writing
from reconciler.core.records import encode_report
from reconciler.errors import StoreError
from tests.contract.samples import claim_of, full_application, full_job, report_of
from tests.fakes import START, stored_job


async def test_a_fresh_store_holds_nothing(store):
    assert list(await store.jobs()) == []
    assert list(await store.applications()) == []
    assert list(await store.syncs(10)) == []
    assert await store.job(JobKey("billing", "nightly")) is None


async def test_a_job_comes_back_as_it_was_with_every_field_and_odd_characters(store):
    stored = full_job()
    await store.apply(Writing(jobs=[stored]))
    assert await store.job(stored.key) == stored
    assert list(await store.jobs()) == [stored]


async def test_a_job_with_every_field_at_its_default_comes_back(store):
    stored = stored_job()
    await store.apply(Writing(jobs=[stored]))
    assert await store.job(stored.key) == stored


async def test_an_application_comes_back_as_it_was(store):
    full, plain = full_application("billing"), ApplicationState(name="crm", since=START)
    await store.apply(Writing(applications=[plain, full]))
    assert list(await store.applications()) == [full, plain]


async def test_instants_come_back_in_utc_to_the_millisecond(store):
    await store.apply(Writing(jobs=[full_job()]))
    since = (await store.job(full_job().key)).since
    assert since.tzinfo is UTC
    assert since.microsecond == 789_000


async def test_jobs_are_ordered_by_application_then_api(store):
    names = ["a/x", "a-b/c", "b/a", "a/b", "a0/z"]
    await store.apply(Writing(jobs=[stored_job(name) for name in names]))
    assert [str(stored.key) for stored in await store.jobs()] == ["a/b", "a/x", "a-b/c", "a0/z", "b/a"]


async def test_applying_replaces_a_job_whole(store):
    await store.apply(Writing(jobs=[full_job()]))
    await store.apply(Writing(jobs=[stored_job("billing/nightly", labels={})]))
    assert await store.job(full_job().key) == stored_job("billing/nightly", labels={})


async def test_applying_leaves_other_jobs_and_applications_alone(store):
    await store.apply(Writing(jobs=[stored_job("a/a"), stored_job("a/b")], applications=[full_application("a")]))
    await store.apply(Writing(jobs=[stored_job("a/b", line=99)]))
    assert await store.job(JobKey("a", "a")) == stored_job("a/a")
    assert list(await store.applications()) == [full_application("a")]


async def test_applying_the_same_twice_is_applying_it_once(store):
    change = {
        "jobs": [stored_job("a/new")],
        "removed_jobs": [JobKey("a", "old"), JobKey("a", "never-was")],
        "applications": [full_application("a")],
        "removed_applications": ["b", "never-was"],
    }
    await store.apply(Writing(jobs=[stored_job("a/old")], applications=[full_application("b")]))
    for _ in range(2):
        await store.apply(Writing(**change))
        assert list(await store.jobs()) == [stored_job("a/new")]
        assert list(await store.applications()) == [full_application("a")]


async def test_applying_nothing_is_allowed(store):
    await store.apply(Writing())
    assert list(await store.jobs()) == []


async def test_the_runs_of_a_removed_job_stay(store):
    await store.apply(Writing(jobs=[stored_job()]))
    run = claim_of()
    await store.claim([run])
    await store.apply(Writing(removed_jobs=[run.key]))
    assert await store.job(run.key) is None
    assert await store.run(run.id) == run


async def test_ten_thousand_jobs_are_written_and_read_in_seconds(store):
    jobs = [replace(full_job(f"app-{i % 50:02}/api-{i:05}"), revision=str(i)) for i in range(10_000)]
    began = time.perf_counter()
    await store.apply(Writing(jobs=jobs))
    found = await store.jobs()
    assert time.perf_counter() - began < 60  # by far less, but on a machine that does much else
    assert list(found) == sorted(jobs, key=lambda stored: stored.key)


async def test_reading_again_sees_what_was_changed_added_and_removed_meanwhile(another):
    here, there = await another(), await another()
    await here.apply(Writing(jobs=[stored_job("a/changed"), stored_job("a/gone"), stored_job("a/same")]))
    before = await here.jobs()
    change = {"jobs": [stored_job("a/changed", line=8), stored_job("a/new")], "removed_jobs": [JobKey("a", "gone")]}
    await there.apply(Writing(**change))
    after = await here.jobs()
    assert list(after) == [stored_job("a/changed", line=8), stored_job("a/new"), stored_job("a/same")]
    assert after[2] is before[2]  # not decoded again
    assert list(await there.jobs()) == list(after)


async def test_jobs_that_cannot_be_read_are_told_and_left_out(store, damage):
    await store.apply(Writing(jobs=[stored_job(f"a/{name}") for name in "bcd"]))
    await damage(store, "a/c")
    for _ in range(2):
        told: dict[str, str] = {}
        assert list(await store.jobs(told.__setitem__)) == [stored_job("a/b"), stored_job("a/d")]
        assert told == {"a/c": "url is missing"}


async def test_without_anybody_to_tell_a_job_that_cannot_be_read_is_an_error(store, damage):
    await store.apply(Writing(jobs=[stored_job("a/b"), stored_job("a/c")]))
    await damage(store, "a/c")
    with pytest.raises(StoreError, match="job 'a/c' cannot be read: url is missing"):
        await store.jobs()
    with pytest.raises(StoreError, match="job 'a/c' cannot be read: url is missing"):
        await store.job(JobKey("a", "c"))
    assert await store.job(JobKey("a", "b")) == stored_job("a/b")


@pytest.mark.parametrize("mended", ["written anew", "removed"])
async def test_a_job_that_cannot_be_read_is_mended_by_applying(store, damage, mended):
    await store.apply(Writing(jobs=[stored_job("a/c")]))
    await damage(store, "a/c")
    anew = [stored_job("a/c")] if mended == "written anew" else []
    await store.apply(Writing(jobs=anew, removed_jobs=[] if anew else [JobKey("a", "c")]))
    assert list(await store.jobs()) == anew


async def test_a_job_that_was_put_under_the_name_of_another_is_told(another, write_by_hand):
    store = await another()
    await store.apply(Writing(jobs=[stored_job("a/b"), stored_job("a/c")]))
    write_by_hand("jobs", "a/c", encode_job(stored_job("a/b")))
    told: dict[str, str] = {}
    assert list(await store.jobs(told.__setitem__)) == [stored_job("a/b")]
    assert told == {"a/c": "it says that it is a/b"}


async def test_a_job_written_by_an_older_version_is_read_and_its_newer_fields_are_not_known(another, write_by_hand):
    store = await another()
    await store.apply(Writing(jobs=[full_job()], applications=[full_application()]))
    await store.record(report_of(1))
    older = [
        (
            "jobs",
            "billing/nightly",
            encode_job(full_job()),
            ("derivedFrom", "appliedAt", "commit", "maxRate", "stopAfterFailures"),
        ),
        ("applications", "billing", encode_application(full_application()), ("revision", "prune", "history")),
        (
            "syncs",
            report_of(1).id,
            encode_report(report_of(1)),
            ("renamed", "commit", "notes", "drift", "environment"),
        ),
    ]
    for kind, name, document, newer in older:
        write_by_hand(kind, name, {field: value for field, value in document.items() if field not in newer})
    assert list(await store.jobs()) == [
        replace(
            full_job(),
            job=replace(full_job().job, derived_from="", max_rate=None, stop_after_failures=None),
            applied_at=None,
            commit=None,
        )
    ]
    assert list(await store.applications()) == [replace(full_application(), revision="", prune="", history=None)]
    plain = replace(report_of(1), renamed=0, commit=None, notes=(), drift=(), environment="")
    assert list(await store.syncs(1)) == [plain]


async def test_a_sync_report_comes_back_as_it_was(store):
    await store.record(report_of(1))
    assert list(await store.syncs(5)) == [report_of(1)]


async def test_recording_a_report_again_replaces_it(store):
    await store.record(report_of(1))
    again = replace(report_of(1), result="failed", duration_ms=0.5)
    await store.record(again)
    assert list(await store.syncs(5)) == [again]


async def test_syncs_come_newest_first_by_pages(store):
    for number in (2, 5, 1, 4, 3):
        await store.record(report_of(number))
    first = await store.syncs(2)
    assert list(first) == [report_of(5), report_of(4)]
    assert list(await store.syncs(2, before=first[-1].id)) == [report_of(3), report_of(2)]
    assert list(await store.syncs(9, before=report_of(2).id)) == [report_of(1)]
    assert list(await store.syncs(9, before=report_of(1).id)) == []
    assert list(await store.syncs(0)) == []


async def test_only_the_newest_thousand_syncs_stay(store):
    reports = [
        replace(report_of(number), problems=(), started_at=START + timedelta(seconds=number)) for number in range(1003)
    ]
    for report in reports:
        await store.record(report)
    kept = await store.syncs(2000)
    assert len(kept) == 1000
    assert (kept[0], kept[-1]) == (reports[-1], reports[3])
