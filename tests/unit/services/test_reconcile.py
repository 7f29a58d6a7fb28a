"""One sync, from a snapshot to an aligned clock: what is written, and what is not."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.inherit import digest
from reconciler.core.model import Commit, Drift, JobKey, Problem, Snapshot
from reconciler.core.redaction import Redactor
from reconciler.errors import SourceError, SourceUnavailableError, StoreUnavailableError, UnsafePlanError
from reconciler.services.reconcile import Reconciliation, SyncOptions
from tests.fakes import START, FakeClock, MemoryStore, stored_job
from tests.unit.core.test_plan import application


class FakeSource:
    """A source that says what it is told to say; with ``commits`` it is a repository."""

    name = "folder"

    def __init__(self, **files):
        self.files = files
        self.problems = ()
        self.error = None
        self.handed_over = []
        self.commits = {}
        self.notes = ()

    async def fetch(self, known):
        if self.error:
            raise self.error
        texts = {f"{name}.yaml": text.encode() for name, text in self.files.items()}
        ids = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
        new = {name: text for name, text in texts.items() if known.get(name) != ids[name]}
        self.handed_over.append(sorted(new))
        revision = hashlib.sha256(repr((sorted(ids.items()), self.problems)).encode()).hexdigest()
        tip = max(self.commits.values(), key=lambda commit: commit.date, default=None)
        return Snapshot(revision=revision, files=ids, texts=new, problems=self.problems, commit=tip, notes=self.notes)

    async def origins(self, files):
        return {name: commit for name, commit in self.commits.items() if name in files}


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
    first = Reconciliation(source, store, clock)
    await first.sync()
    source.files.clear()
    revision = (await first.sync()).revision
    options = SyncOptions(allow_prune=revision[:7], operator="operator@host")
    report = await Reconciliation(source, store, clock, options).sync()
    assert (report.result, report.removed) == ("applied", 3)
    assert report.notes == ("removals allowed by operator@host: 3",)
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


async def test_removals_of_another_revision_than_the_one_allowed_stay_stopped(source, store, clock):
    first = Reconciliation(source, store, clock)
    await first.sync()
    source.files.clear()
    await first.sync()
    report = await Reconciliation(source, store, clock, SyncOptions(allow_prune="0000000")).sync()
    assert (report.result, len(report.kept)) == ("refused", 3)
    assert len(store.stored_jobs) == 3


async def test_where_another_revision_must_be_meant_nothing_at_all_is_applied(source, store, clock):
    options = SyncOptions(allow_prune="0000000", exact=True, named="folder/")
    with pytest.raises(UnsafePlanError, match=r"folder is at [0-9a-f]{12} now; nothing was applied.* plan folder/`"):
        await Reconciliation(source, store, clock, options).sync()
    assert not store.stored_jobs
    assert not store.reports


class OtherSource(FakeSource):
    name = "elsewhere"


async def test_another_source_takes_nothing_over_unless_that_is_meant(source, store, clock):
    await Reconciliation(source, store, clock).sync()
    before = dict(store.stored_jobs)
    other = OtherSource(c=application("c", "one"), b=application("b", "one").replace("0 2", "0 3"))
    await clock.advance(timedelta(seconds=1))
    refused = Reconciliation(other, store, clock, SyncOptions(named="elsewhere/"))
    report = await refused.sync()
    assert (report.result, report.revision) == ("failed", "")
    assert "it holds what folder declares, and 3 of 3 jobs would be removed or replaced" in report.error
    assert store.stored_jobs == before
    assert not refused.has_last_good, "a process that begins with it does not go on"
    assert (await Reconciliation(source, store, clock).sync()).result == "unchanged", "the first one goes on"
    revision = (await other.fetch({})).revision
    report = await Reconciliation(other, store, clock, SyncOptions(allow_prune=revision)).sync()
    assert (report.result, set(map(str, store.stored_jobs))) == ("applied", {"b/one", "c/one"})


async def test_a_source_that_has_moved_and_declares_the_same_is_followed(source, store, clock):
    await Reconciliation(source, store, clock).sync()
    other = OtherSource(**source.files, c=application("c", "one"))
    assert (await Reconciliation(other, store, clock).sync()).added == 1


async def test_a_job_that_stays_says_why_in_the_report(source, store, clock):
    source.files["b"] = source.files["b"].replace("{name: b}", "{name: b, annotations: {reconciler/prune: never}}")
    reconciliation = Reconciliation(source, store, clock)
    await reconciliation.sync()
    del source.files["b"]
    report = await reconciliation.sync()
    assert report.kept_reasons == ("b/one stays: b is protected (reconciler/prune: never)",)
    source.files["a"] = "{"
    assert (await reconciliation.sync()).kept_reasons[0].startswith("b/one stays: a.yaml cannot be read")


def a_commit(name, *, day, author="A Developer <developer@example.com>"):
    return Commit(id=name, author=author, date=START + timedelta(days=day), subject=f"Commit {name}")


async def test_a_job_carries_the_commit_that_changed_it_and_not_the_newest_one(source, store, clock):
    source.commits = {"a.yaml": a_commit("c1", day=0), "b.yaml": a_commit("c2", day=1)}
    report = await Reconciliation(source, store, clock).sync()
    one, other = store.stored_jobs[JobKey("a", "one")], store.stored_jobs[JobKey("b", "one")]
    assert (one.commit.id, one.revision, other.commit.id) == ("c1", "c1", "c2")
    assert report.commit.id == "c2"
    assert one.applied_at == clock.now()


async def test_a_later_commit_elsewhere_leaves_a_jobs_commit_alone(source, store, clock):
    source.commits = {"a.yaml": a_commit("c1", day=0), "b.yaml": a_commit("c1", day=0)}
    reconciliation = Reconciliation(source, store, clock)
    await reconciliation.sync()
    source.files["b"] = application("b", "one", "new")
    source.commits["b.yaml"] = a_commit("c2", day=1)
    await reconciliation.sync()
    assert store.stored_jobs[JobKey("a", "one")].commit.id == "c1"
    assert store.stored_jobs[JobKey("b", "new")].commit.id == "c2"


async def test_a_note_of_the_source_stands_in_the_report_once(source, store, clock):
    reconciliation = Reconciliation(source, store, clock)
    await reconciliation.sync()
    source.files["b"] = application("b", "one", "new")
    source.notes = ("the history was rewritten",)
    assert (await reconciliation.sync()).notes == ("the history was rewritten",)
    source.notes = ()
    store.calls.clear()
    assert (await reconciliation.sync()).notes == ()
    assert store.calls["record"] == 0


def edit(store, name, **changes):
    """Change a stored job as somebody with a database's shell would."""
    key = JobKey.parse(name)
    stored = store.stored_jobs[key]
    store.stored_jobs[key] = replace(stored, job=replace(stored.job, **changes))


async def test_a_job_edited_by_hand_is_put_back_and_told_field_by_field(reconciliation, store):
    await reconciliation.sync()
    edit(store, "a/one", timeout=timedelta(seconds=5))
    report = await reconciliation.sync(thorough=True)
    assert report.result == "applied"
    assert [(str(one.key), one.field, one.found, one.declared, one.put_back) for one in report.drift] == [
        ("a/one", "timeout", "5s", "30s", True)
    ]
    assert store.stored_jobs[JobKey("a", "one")].job.timeout == timedelta(seconds=30)
    store.calls.clear()
    assert (await reconciliation.sync(thorough=True)).drift == ()
    assert store.calls["apply"] == store.calls["record"] == 0


async def test_an_edit_is_found_however_often_the_job_was_found_as_declared_before(source, store, clock):
    reconciliation = Reconciliation(source, store, clock, SyncOptions(self_heal=False))
    await reconciliation.sync()
    good = store.stored_jobs[JobKey("a", "one")]
    found = []
    for timeout in (30, 30, 5, 5, 6, 30):
        store.stored_jobs[good.key] = good
        if timeout != 30:
            edit(store, "a/one", timeout=timedelta(seconds=timeout))
        report = await reconciliation.sync(thorough=True)
        found.append([one.found for one in report.drift])
        assert reconciliation.job(good.key).job.timeout == timedelta(seconds=timeout)
    assert found == [[], [], ["5s"], ["5s"], ["6s"], []]


async def test_jobs_removed_and_made_by_hand_are_put_back(reconciliation, store, clock):
    await reconciliation.sync()
    del store.stored_jobs[JobKey("a", "one")]
    made = stored_job("a/made", revision="r")
    store.stored_jobs[made.key] = replace(made, job=replace(made.job, digest=digest(made.job)))
    report = await reconciliation.sync(thorough=True)
    assert {str(one.key) for one in report.drift} == {"a/one", "a/made"}
    assert {str(key) for key in store.stored_jobs} == {"a/one", "a/two", "b/one"}
    assert set(clock.aligned) == set(store.stored_jobs)


async def test_a_record_that_cannot_be_read_is_drift_and_written_anew(reconciliation, store):
    await reconciliation.sync()
    store.damaged_jobs["a/one"] = "url is missing"
    report = await reconciliation.sync(thorough=True)
    assert ("a/one", "url is missing") in {(str(one.key), one.found) for one in report.drift}
    assert store.calls["apply"] == 2


async def test_a_record_of_a_job_that_nobody_declares_and_that_cannot_be_read_is_removed(reconciliation, store):
    await reconciliation.sync()
    store.damaged_jobs |= {"x/y": "it says that it is a/one", "rubbish": "it is not a document"}
    report = await reconciliation.sync(thorough=True)
    assert [(one.key.application, one.put_back) for one in report.drift] == [("rubbish", True), ("x", True)]
    assert store.damaged_jobs == {}
    assert (await reconciliation.sync(thorough=True)).drift == ()


async def test_without_healing_a_record_that_cannot_be_read_stays(source, store, clock):
    reconciliation = Reconciliation(source, store, clock, SyncOptions(self_heal=False))
    await reconciliation.sync()
    store.damaged_jobs["x/y"] = "it says that it is a/one"
    assert [one.put_back for one in (await reconciliation.sync(thorough=True)).drift] == [False]
    assert store.damaged_jobs


async def test_records_beside_the_jobs_that_cannot_be_read_are_written_anew_or_removed(source, store, clock):
    source.files["w"] = FREEZE
    reconciliation = Reconciliation(source, store, clock)
    await reconciliation.sync()
    store.stored_applications["gone"] = replace(store.stored_applications["a"], name="gone")
    store.damaged = {"applications": {"a": "file is missing", "gone": "bad"}, "windows": {"easter": "mode is missing"}}
    for syncing in (reconciliation, Reconciliation(source, store, clock)):
        report = await syncing.sync(thorough=True)
        assert store.damaged == {"applications": {}, "windows": {}}
        assert set(store.stored_applications) == {"a", "b"}
    assert report.drift == ()
    assert {one.name for one in reconciliation.latest.drift} == {
        "Application a",
        "Application gone",
        "freeze window easter",
    }


async def test_an_application_whose_record_is_damaged_may_have_been_protected(source, store, clock):
    reconciliation = Reconciliation(source, store, clock)
    await reconciliation.sync()
    store.damaged = {"applications": {"b": "prune is not a text"}}
    del source.files["b"]
    for _ in range(2):
        report = await reconciliation.sync(thorough=True)
        assert (report.kept, report.removed) == (("b/one",), 0)
        assert "whether it is protected; reconciler sync SOURCE --allow-prune" in report.kept_reasons[0]
        assert [(one.name, one.put_back) for one in report.drift] == [("Application b", False)]
    meant = Reconciliation(source, store, clock, SyncOptions(allow_prune=report.revision))
    assert (await meant.sync()).removed == 1
    await meant.sync(thorough=True)
    assert store.damaged == {"applications": {}}, "nothing needs it any more"


async def test_a_sync_report_that_cannot_be_read_is_told_once_and_stops_nothing(reconciliation, store, clock):
    first = await reconciliation.sync()
    store.damaged = {"syncs": {first.id: "source is missing"}}
    assert not await reconciliation.is_behind(), "nobody has synced since"
    await clock.advance(timedelta(seconds=1))
    told = await reconciliation.sync(thorough=True)
    assert told.notes == (f"the record of the sync {first.id} cannot be read and is passed over: source is missing",)
    store.calls.clear()
    for _ in range(3):
        assert not await reconciliation.is_behind()
        await reconciliation.sync(thorough=True)
    assert store.calls["record"] == 0


FREEZE = """\
apiVersion: reconciler/v1
kind: FreezeWindow
metadata: {name: easter}
spec: {start: "0 0 1 4 *", duration: 1d}
"""


async def test_windows_and_applications_edited_by_hand_are_put_back_and_told(source, store, clock):
    source.files["w"] = FREEZE
    reconciliation = Reconciliation(source, store, clock)
    await reconciliation.sync()
    window, state = store.stored_windows["easter"], store.stored_applications["a"]
    store.stored_windows["easter"] = replace(window, mode="allow")
    store.stored_applications["a"] = replace(state, suspend=True)
    report = await reconciliation.sync(thorough=True)
    assert [(one.name, one.field, one.found, one.declared, one.put_back) for one in report.drift] == [
        ("Application a", "suspend", "true", "false", True),
        ("freeze window easter", "mode", "allow", "deny", True),
    ]
    assert (store.stored_windows["easter"], store.stored_applications["a"]) == (window, state)
    assert (await reconciliation.sync(thorough=True)).drift == ()


async def test_without_healing_windows_and_applications_stay_edited_until_they_are_declared_anew(source, store, clock):
    source.files["w"] = FREEZE
    options = SyncOptions(self_heal=False)
    reconciliation = Reconciliation(source, store, clock, options)
    await reconciliation.sync()
    window = replace(store.stored_windows["easter"], mode="allow")
    state = replace(store.stored_applications["a"], suspend=True)
    store.stored_windows["easter"], store.stored_applications["a"] = window, state
    for change in ({}, {"b": application("b", "one", "new")}, {"c": application("c", "one")}):
        source.files |= change
        for syncing in (reconciliation, Reconciliation(source, store, clock, options)):
            await clock.advance(timedelta(seconds=1))
            report = await syncing.sync(thorough=not change)
            assert [one.put_back for one in report.drift] == [False, False]
            assert (store.stored_windows["easter"], store.stored_applications["a"]) == (window, state)
    source.files["w"] = FREEZE.replace("1d", "2d")
    await reconciliation.sync()
    assert (store.stored_windows["easter"].mode, store.stored_windows["easter"].duration) == ("deny", timedelta(days=2))


async def test_without_healing_drift_is_only_reported_and_what_is_stored_stays(source, store, clock):
    reconciliation = Reconciliation(source, store, clock, SyncOptions(self_heal=False))
    await reconciliation.sync()
    edit(store, "a/one", timeout=timedelta(seconds=5))
    store.calls.clear()
    report = await reconciliation.sync(thorough=True)
    assert [one.put_back for one in report.drift] == [False]
    assert store.stored_jobs[JobKey("a", "one")].job.timeout == timedelta(seconds=5)
    assert store.calls["apply"] == 0
    assert (await reconciliation.sync()).drift == report.drift


async def test_without_healing_a_new_declaration_still_goes_through(source, store, clock):
    reconciliation = Reconciliation(source, store, clock, SyncOptions(self_heal=False))
    await reconciliation.sync()
    edit(store, "a/one", timeout=timedelta(seconds=5))
    await reconciliation.sync(thorough=True)
    source.files["a"] = application("a", "one", "two").replace("0 2", "0 3")
    await reconciliation.sync()
    assert store.stored_jobs[JobKey("a", "one")].job.timeout == timedelta(seconds=30)


async def test_what_is_scheduled_otherwise_is_put_back(reconciliation, clock):
    await reconciliation.sync()
    clock.drifted = [Drift(key=JobKey("a", "one"), where="scheduler")]
    before = clock.realigned
    report = await reconciliation.sync(thorough=True)
    assert [one.where for one in report.drift] == ["scheduler"]
    assert clock.realigned == before + 1


async def test_while_the_source_is_away_what_is_stored_stays_scheduled_from_the_start(source, store, clock):
    await Reconciliation(source, store, clock).sync()
    clock.aligned.clear()
    source.error = SourceUnavailableError("away")
    second = Reconciliation(source, store, clock)
    report = await second.sync()
    assert (report.result, report.error) == ("failed", "away")
    assert second.has_last_good
    assert len(clock.aligned) == 3


async def test_another_processs_sync_is_noticed(source, store, clock, reconciliation):
    await reconciliation.sync()
    assert not await reconciliation.is_behind()
    await clock.advance(1)
    source.files["b"] = application("b", "one", "new")
    await Reconciliation(source, store, clock).sync()
    assert await reconciliation.is_behind()
    await reconciliation.sync()
    assert reconciliation.job(JobKey("b", "new")) is not None


async def test_values_of_secrets_are_masked_in_what_is_stored_of_problems(store, clock):
    redactor = Redactor()
    redactor.learn("sentinel-0123456789")
    source = FakeSource(a=application("a", "one"), b="kind: sentinel-0123456789\nmetadata: {name: b}\n")
    source.notes = ("told by a server: sentinel-0123456789",)
    report = await Reconciliation(source, store, clock, redactor=redactor).sync()
    assert any("***" in problem for problem in report.problems)
    assert any("***" in note for note in report.notes)
    stored = f"{store.reports} {store.stored_applications} {store.stored_jobs}"
    assert "sentinel-0123456789" not in f"{report} {stored}"


async def test_values_of_secrets_are_masked_where_a_source_cannot_be_read(source, store, clock):
    redactor = Redactor()
    redactor.learn("sentinel-0123456789")
    source.error = SourceError("https://me:sentinel-0123456789@git.example.com said no")
    report = await Reconciliation(source, store, clock, redactor=redactor).sync()
    assert report.error == "https://me:***@git.example.com said no"
