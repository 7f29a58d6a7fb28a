"""How it stands with an Application, from what is stored and the newest reports."""

from datetime import timedelta

from reconciler.core.brake import FOREIGN
from reconciler.core.conditions import conditions, source_condition
from reconciler.core.model import ApplicationState, Drift, JobKey, SyncReport
from tests.fakes import START


def report(minute, **fields):
    given = {"source": "m", "revision": "r1", "result": "applied", "duration_ms": 1.0}
    return SyncReport(id=f"s{minute}", started_at=START + timedelta(minutes=minute), **(given | fields))


def state(**fields):
    return ApplicationState(name="a", since=START, revision="r0", **fields)


def by_type(found):
    return {one.type: one for one in found}


def test_an_application_without_faults_is_ready_and_nothing_else():
    found = conditions(state(), [report(1)])
    assert [one.type for one in found if one.status] == ["Ready"]
    assert (by_type(found)["Ready"].since, by_type(found)["Ready"].revision) == (START, "r0")


def test_a_held_application_says_how_many_problems_and_the_first():
    found = by_type(conditions(state(held=True, problems=("a.yaml:1:1: wrong", "more")), []))
    assert (found["Ready"].status, found["Held"].status) == (False, True)
    assert found["Held"].reason == "2 problems: a.yaml:1:1: wrong"
    assert found["Degraded"].since is None


def test_a_source_that_is_away_degrades_since_the_first_report_of_it():
    syncs = [report(m, revision="", result="failed", error=f"away {m}") for m in (3, 2)] + [report(1)]
    found = by_type(conditions(state(), syncs))["Degraded"]
    assert (found.status, found.since, found.revision) == (True, START + timedelta(minutes=2, milliseconds=1), "r1")
    assert found.reason == "the source cannot be read: away 3"
    assert source_condition(syncs).status


def test_removals_that_are_stopped_degrade_their_application_only():
    syncs = [report(1, kept=("a/one", "a/two", "b/one"))]
    assert by_type(conditions(state(), syncs))["Degraded"].reason.startswith("2 jobs would be removed and stay")
    one = [report(1, kept=("a/one",))]
    assert by_type(conditions(state(), one))["Degraded"].reason.startswith("1 job would be removed and stays")
    assert not by_type(conditions(state(), [report(1, kept=("b/one",))]))["Degraded"].status
    assert not source_condition(syncs).status


def test_what_was_found_out_late_is_known_only_since_then():
    syncs = [report(1, revision="", result="failed", error="away", duration_ms=600_000.0)]
    assert source_condition(syncs).since == START + timedelta(minutes=11)


def test_a_removal_that_is_stopped_says_why():
    why = "a is protected (reconciler/prune: never)"
    syncs = [report(1, kept=("a/one", "ab/two"), kept_reasons=(f"a/one stays: {why}", "ab/two stays: of another"))]
    assert by_type(conditions(state(), syncs))["Degraded"].reason == f"1 job would be removed and stays: {why}"


def test_a_source_that_may_not_take_over_is_not_said_to_be_unreadable():
    syncs = [report(1, revision="", result="failed", error=f"{FOREIGN}: it holds what others declare")]
    assert source_condition(syncs).reason == f"{FOREIGN}: it holds what others declare"


def test_what_a_held_application_keeps_is_no_degradation():
    assert not by_type(conditions(state(), [report(1, kept=("a/one",), held=("a",))]))["Degraded"].status


def test_drift_that_is_left_is_out_of_sync_and_drift_put_back_is_not():
    left = Drift(key=JobKey("a", "one"), where="store", field="timeout", put_back=False)
    back = Drift(key=JobKey("a", "two"), where="store", field="timeout")
    assert by_type(conditions(state(), [report(1, drift=(left, back))]))["OutOfSync"].reason == "not as declared: a/one"
    assert not by_type(conditions(state(), [report(1, drift=(back,))]))["OutOfSync"].status


def test_drift_of_the_application_itself_counts_and_that_of_a_window_of_its_name_does_not():
    whole = Drift(key=JobKey("a", ""), kind="Application", where="store", field="suspend", put_back=False)
    found = by_type(conditions(state(), [report(1, drift=(whole,))]))["OutOfSync"]
    assert found.reason == "not as declared: Application a"
    window = Drift(key=JobKey("a", ""), kind="freeze window", where="store", field="mode", put_back=False)
    assert not by_type(conditions(state(), [report(1, drift=(window,))]))["OutOfSync"].status
