"""One sync, from a snapshot to an aligned clock: what is written, and what is not."""

import hashlib
from datetime import timedelta

import pytest

from reconciler.core.model import JobKey, Problem, Snapshot
from reconciler.errors import SourceUnavailableError, StoreUnavailableError
from reconciler.services.reconcile import Reconciliation, SyncOptions
from tests.fakes import FakeClock, MemoryStore
from tests.unit.core.test_plan import application


class FakeSource:
    """A source that says what it is told to say."""

    name = "folder"

    def __init__(self, **files):
        self.files = files
        self.problems = ()
        self.error = None
        self.handed_over = []

    async def fetch(self, known):
        if self.error:
            raise self.error
        texts = {f"{name}.yaml": text.encode() for name, text in self.files.items()}
        ids = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
        new = {name: text for name, text in texts.items() if known.get(name) != ids[name]}
        self.handed_over.append(sorted(new))
        revision = hashlib.sha256(repr((sorted(ids.items()), self.problems)).encode()).hexdigest()
        return Snapshot(revision=revision, files=ids, texts=new, problems=self.problems)


@pytest.fixture
def source():
    return FakeSource(a=application("a", "one", "two"), b=application("b", "one"))


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def reconciliation(source, store, clock):
    return Reconciliation(source, store, clock)


async def test_declared_jobs_are_stored_and_scheduled(reconciliation, store, clock):
    report = await reconciliation.sync()
    assert (report.result, report.added, report.jobs, report.files, report.parsed) == ("applied", 3, 3, 2, 2)
    assert {str(key) for key in store.stored_jobs} == {"a/one", "a/two", "b/one"}
    assert set(clock.aligned) == set(store.stored_jobs)
    assert set(store.stored_applications) == {"a", "b"}
    assert list(store.reports.values()) == [report]
    assert store.stored_jobs[JobKey("a", "one")].revision == report.revision


async def test_the_same_revision_again_writes_nothing(reconciliation, store):
    await reconciliation.sync()
    store.calls.clear()
    for _ in range(5):
        assert (await reconciliation.sync()).result == "unchanged"
    assert store.calls["apply"] == store.calls["record"] == 0


async def test_another_process_that_finds_everything_as_declared_writes_nothing(source, store, clock, reconciliation):
    await reconciliation.sync()
    store.calls.clear()
    report = await Reconciliation(source, store, clock).sync()
    assert report.result == "unchanged"
    assert store.calls["apply"] == store.calls["record"] == 0


async def test_only_a_changed_file_is_parsed(reconciliation, source):
    await reconciliation.sync()
    source.files["b"] = application("b", "one", "new")
    report = await reconciliation.sync()
    assert (report.parsed, report.added, report.result) == (1, 1, "applied")
    assert source.handed_over[-1] == ["b.yaml"]


async def test_a_mistake_holds_back_its_application_only_and_is_told_once(reconciliation, source, store, clock):
    await reconciliation.sync()
    source.files["a"] = application("a", "one").replace("0 2", "0 99")
    source.files["b"] = application("b", "one", "new")
    report = await reconciliation.sync()
    assert report.held == ("a",)
    assert (report.added, report.removed) == (1, 0)
    assert store.stored_applications["a"].held
    assert {str(key) for key in clock.aligned} == {"a/one", "a/two", "b/one", "b/new"}
    store.calls.clear()
    assert (await reconciliation.sync()).result == "unchanged"
    assert store.calls["record"] == 0


async def test_a_mended_mistake_releases_the_application(reconciliation, source, store):
    good = source.files["a"]
    source.files["a"] = "{"
    await reconciliation.sync()
    source.files["a"] = good
    report = await reconciliation.sync()
    assert (report.held, report.problems) == ((), ())
    assert not any(state.held for state in store.stored_applications.values())
    assert len(store.stored_jobs) == 3


async def test_an_empty_source_takes_nothing_away(reconciliation, source, store, clock):
    await reconciliation.sync()
    source.files.clear()
    report = await reconciliation.sync()
    assert (report.result, report.removed, len(report.kept)) == ("refused", 0, 3)
    assert report.problems == ("folder:1:1: there are no manifests here (*.yaml, *.yml)",)
    assert len(store.stored_jobs) == len(clock.aligned) == 3
    assert len(store.stored_applications) == 2


async def test_removals_happen_where_they_are_meant(source, store, clock):
    await Reconciliation(source, store, clock).sync()
    source.files.clear()
    report = await Reconciliation(source, store, clock, SyncOptions(allow_prune=True)).sync()
    assert (report.result, report.removed) == ("applied", 3)
    assert not store.stored_jobs
    assert not store.stored_applications
    assert not clock.aligned


async def test_an_unreadable_file_stops_removals(reconciliation, source, store):
    await reconciliation.sync()
    del source.files["b"]
    source.problems = (Problem(file="b.yaml", line=1, column=1, field="", message="cannot be read: denied"),)
    report = await reconciliation.sync()
    assert (report.removed, report.kept) == (0, ("b/one",))
    assert any("denied" in problem for problem in report.problems)
    assert report.held == ("b",)


async def test_a_source_that_is_away_leaves_the_last_good_state(reconciliation, source, store, clock):
    await reconciliation.sync()
    source.error = SourceUnavailableError("gone fishing")
    report = await reconciliation.sync()
    assert (report.result, report.error, report.jobs) == ("failed", "gone fishing", 3)
    assert len(clock.aligned) == 3
    store.calls.clear()
    await reconciliation.sync()
    assert store.calls["record"] == 0, "the same failure is told once"
    source.error = None
    assert (await reconciliation.sync()).result == "unchanged"
    assert reconciliation.latest.result != "failed", "recovery is recorded"


async def test_what_somebody_else_has_synced_meanwhile_is_taken_up(reconciliation, source, store, clock):
    await reconciliation.sync()
    other = FakeSource(**source.files, c=application("c", "one"))
    await clock.advance(timedelta(seconds=1))
    await Reconciliation(other, store, clock).sync()
    await clock.advance(timedelta(seconds=1))
    report = await reconciliation.sync()
    assert report.removed == 1
    assert JobKey("c", "one") not in store.stored_jobs


async def test_a_store_that_is_away_loses_nothing(reconciliation, source, store, clock):
    store.away = True
    with pytest.raises(StoreUnavailableError):
        await reconciliation.sync()
    store.away = False
    assert (await reconciliation.sync()).added == 3
    source.files["c"] = application("c", "one")
    store.lose_answers = 1
    with pytest.raises(StoreUnavailableError):
        await reconciliation.sync()
    await reconciliation.sync()
    assert JobKey("c", "one") in store.stored_jobs
    assert JobKey("c", "one") in clock.aligned


async def test_a_job_is_known_without_asking_the_store(reconciliation, store):
    await reconciliation.sync()
    store.calls.clear()
    assert reconciliation.job(JobKey("a", "one")).job.request.url == "http://127.0.0.1:1/one"
    assert reconciliation.job(JobKey("a", "none")) is None
    assert not store.calls
