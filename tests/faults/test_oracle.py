"""The oracle on evidence made by hand: each promise that can be broken, broken once, and what is no breach."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.model import Attempt, Cause, JobKey, Outcome, Run
from reconciler.core.runs import run_id
from reconciler.services.run import ABANDONED
from tests.faults.calls import Call
from tests.faults.evidence import Evidence, Fault, Tenure
from tests.faults.jobs import Declared, mixed
from tests.faults.oracle import judge

BEGIN = 1_800_000_000
ONCE = Declared(application="app", api="once", every=10, method="POST", deadline=60)
AGAIN = Declared(application="app", api="again", every=10, deadline=60, limit=2)


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def run_of(job: Declared, slot: float, outcome: Outcome = Outcome.SUCCEEDED, **more) -> Run:
    key = JobKey.parse(job.key)
    usual = {
        "owner": "a", "term": 1, "claimed_at": instant(slot), "finished_at": instant(slot + 1),
        "reason": "" if outcome is Outcome.SUCCEEDED else "a reason",
    }  # fmt: skip
    identifier = run_id(key, instant(slot), Cause.SCHEDULE)
    return Run(id=identifier, key=key, slot=instant(slot), cause=Cause.SCHEDULE, outcome=outcome, **usual | more)


def call_of(run: Run, after: float = 0.1, attempt: int = 1, sender: str = "a", status: int | None = 200) -> Call:
    at = run.slot.timestamp() + after
    answers = [] if status is None else [status]
    slot = run.slot.isoformat()
    return Call(
        number=1, at=at, method="GET", run=run.id, job=str(run.key), slot=slot, attempt=attempt,
        sender=sender, sent_at=at, answers=answers,
    )  # fmt: skip


def evidence(job: Declared, runs, calls, **more) -> Evidence:
    """Of two slots, ten and twenty seconds after the beginning."""
    usual = {"since": {job.key: float(BEGIN)}, "until": BEGIN + 29.0, "tenures": [Tenure(term=1, holder="a", began=0)]}
    return Evidence(jobs=[job], runs=runs, calls=calls, **usual | more)


def first(job: Declared = ONCE, outcome: Outcome = Outcome.SUCCEEDED, **more) -> Run:
    return run_of(job, BEGIN + 10, outcome, **more)


def second(job: Declared = ONCE, **more) -> Run:
    return run_of(job, BEGIN + 20, **more)


def promises(found: Evidence) -> list[str]:
    return [breach.promise for breach in judge(found).breaches]


def test_a_call_for_each_slot_and_a_record_of_each_call_is_what_was_promised():
    runs = [first(), second()]
    verdict = judge(evidence(ONCE, runs, [call_of(run) for run in runs]))
    assert verdict.breaches == []
    assert (verdict.slots, verdict.calls, verdict.outcomes) == (2, 2, {"succeeded": 2})
    assert verdict.lateness == pytest.approx([0.1, 0.1])


def test_a_slot_without_a_record_is_lost():
    assert promises(evidence(ONCE, [first()], [call_of(first())])) == ["lost"]


def test_a_job_that_was_never_stored_has_lost_its_slots():
    assert promises(evidence(ONCE, [], [], since={})) == ["lost"]


def test_a_reason_stands_for_a_call():
    assert promises(evidence(ONCE, [first(outcome=Outcome.SKIPPED), second(outcome=Outcome.MISSED)], [])) == []


def test_a_record_without_a_reason_explains_nothing():
    runs = [first(outcome=Outcome.SKIPPED, reason=""), second()]
    assert promises(evidence(ONCE, runs, [call_of(second())])) == ["unexplained"]


def test_a_counted_record_stands_for_all_its_slots():
    counted = first(outcome=Outcome.MISSED, slots=2, through=instant(BEGIN + 20))
    verdict = judge(evidence(ONCE, [counted], []))
    assert (verdict.breaches, verdict.outcomes) == ([], {"missed": 2})


def test_two_calls_of_what_is_made_once_are_a_duplicate():
    runs = [first(), second()]
    calls = [call_of(runs[0]), call_of(runs[1]), call_of(runs[1], attempt=2, after=3)]
    assert promises(evidence(ONCE, runs, calls)) == ["duplicated"]


def repeated() -> tuple[list[Run], list[Call]]:
    lost = Attempt(number=1, started_at=instant(BEGIN + 10), latency_ms=0, error=ABANDONED)
    runs = [first(AGAIN, attempts=(lost,)), second(AGAIN)]
    return runs, [call_of(runs[0], status=None), call_of(runs[0], attempt=2, after=0.9), call_of(runs[1])]


def test_what_may_be_repeated_is_counted_apart_where_a_fault_explains_it():
    fault = Fault(kind="kill", victims=frozenset({"a"}), began=BEGIN + 10.2, ended=BEGIN + 12)
    verdict = judge(evidence(AGAIN, *repeated(), faults=[fault]))
    assert (verdict.breaches, verdict.repeated) == ([], 1)


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [Fault(kind="kill", victims=frozenset({"b"}), began=BEGIN + 10.2, ended=BEGIN + 12)],
        [Fault(kind="kill", victims=frozenset({"a"}), began=BEGIN + 13, ended=BEGIN + 14)],
    ],
    ids=["nothing happened", "to another process", "later"],
)
def test_a_repetition_that_no_fault_explains_is_a_breach(faults):
    assert promises(evidence(AGAIN, *repeated(), faults=faults)) == ["unexplained"]


def test_retries_are_no_repetition():
    runs = [first(AGAIN), second(AGAIN)]
    calls = [call_of(runs[0], status=500), call_of(runs[0], attempt=2, after=0.5), call_of(runs[1])]
    verdict = judge(evidence(AGAIN, runs, calls))
    assert (verdict.breaches, verdict.repeated) == ([], 0)


def test_an_unknown_end_needs_a_fault_of_its_process_or_of_the_database():
    runs = [first(outcome=Outcome.UNKNOWN), second()]
    calls = [call_of(runs[0], status=None), call_of(runs[1])]
    assert promises(evidence(ONCE, runs, calls)) == ["unexplained"]
    fault = Fault(kind="database", began=BEGIN + 10.5, ended=BEGIN + 11)
    assert promises(evidence(ONCE, runs, calls, faults=[fault])) == []


def test_a_run_without_an_end_is_open():
    runs = [first(outcome=Outcome.RUNNING), second()]
    assert promises(evidence(ONCE, runs, [call_of(run) for run in runs])) == ["open"]


@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.MISSED])
def test_what_is_said_not_to_have_been_called_was_not(outcome):
    runs = [first(outcome=outcome), second()]
    assert promises(evidence(ONCE, runs, [call_of(run) for run in runs])) == ["contradicted"]


def test_a_success_was_answered_by_the_target():
    runs = [first(), second()]
    assert promises(evidence(ONCE, runs, [call_of(runs[0]), call_of(runs[1], status=None)])) == ["contradicted"]


def test_a_call_without_a_record_is_surplus():
    runs = [first(), second()]
    ghost = replace(call_of(runs[0]), run="nobody's")
    assert promises(evidence(ONCE, runs, [*(call_of(run) for run in runs), ghost])) == ["surplus"]


def test_a_record_without_a_slot_is_surplus():
    runs = [first(), second(), run_of(ONCE, BEGIN + 15, Outcome.SKIPPED)]
    assert promises(evidence(ONCE, runs, [call_of(run) for run in runs[:2]])) == ["surplus"]


def test_a_second_record_of_one_slot_is_surplus():
    runs = [first(), second(), replace(second(outcome=Outcome.SKIPPED), id="another")]
    assert promises(evidence(ONCE, runs, [call_of(run) for run in runs[:2]])) == ["surplus"]


@pytest.mark.parametrize(("after", "promise"), [(-0.5, "early"), (66.0, "late")])
def test_a_call_comes_between_its_slot_and_its_deadline(after, promise):
    runs = [first(), second()]
    assert promises(evidence(ONCE, runs, [call_of(runs[0], after), call_of(runs[1])])) == [promise]


def led_by_two(**more) -> Evidence:
    runs = [first(), second(owner="b", term=2)]
    tenures = [Tenure(term=1, holder="a", began=0), Tenure(term=2, holder="b", began=BEGIN + 15.0)]
    return evidence(ONCE, runs, [call_of(runs[0]), call_of(runs[1], sender="b")], **{"tenures": tenures} | more)


def test_the_lead_may_change_hands():
    assert promises(led_by_two()) == []


def test_who_led_before_makes_no_first_call_any_more():
    found = led_by_two()
    usurped = [found.calls[0], replace(found.calls[1], sender="a")]
    assert promises(replace(found, calls=usurped)) == ["usurped"]


def test_what_was_begun_by_the_old_leader_may_be_tried_again_by_it():
    found = led_by_two()
    assert promises(replace(found, calls=[found.calls[0], replace(found.calls[1], sender="a", attempt=2)])) == []


def test_a_process_that_goes_on_after_a_stop_may_send_what_it_was_about_to_send():
    found = led_by_two()
    calls = [found.calls[0], replace(found.calls[1], sender="a")]
    stop = Fault(kind="stop", victims=frozenset({"a"}), began=BEGIN + 5, ended=BEGIN + 20)
    assert promises(replace(found, calls=calls, faults=[stop])) == []


def test_a_term_is_one_process_s():
    runs = [first(), second(owner="b")]
    assert promises(evidence(ONCE, runs, [call_of(run) for run in runs])) == ["usurped"]


def test_a_run_that_was_taken_over_bears_the_new_term_and_its_old_owner():
    runs = [first(outcome=Outcome.UNKNOWN, owner="b"), second()]
    fault = Fault(kind="kill", victims=frozenset({"b"}), began=BEGIN + 10.0, ended=BEGIN + 11)
    assert promises(evidence(ONCE, runs, [call_of(runs[1])], faults=[fault])) == []


@pytest.mark.parametrize(("kind", "promise"), [("kill", "takeover"), ("trap", "takeover"), ("terminate", "handover")])
def test_the_lead_is_taken_over_in_time(kind, promise):
    fault = Fault(kind=kind, victims=frozenset({"a"}), began=BEGIN + 11.0, ended=BEGIN + 12.0)
    bounds = {"takeover": 3.0, "handover": 3.0}
    assert promises(led_by_two(faults=[fault], **bounds)) == [promise]
    assert promises(led_by_two(faults=[replace(fault, began=BEGIN + 13.0)], **bounds)) == []


def test_a_takeover_that_something_else_disturbs_is_told_and_not_judged():
    faults = [
        Fault(kind="kill", victims=frozenset({"a"}), began=BEGIN + 11.0, ended=BEGIN + 12.0),
        Fault(kind="database", began=BEGIN + 12.0, ended=BEGIN + 14.0),
    ]
    verdict = judge(led_by_two(faults=faults, takeover=3.0))
    assert verdict.breaches == []
    assert [(change.term, change.seconds, change.disturbed) for change in verdict.takeovers] == [(2, 4.0, True)]


def test_a_process_that_ends_by_itself_is_a_breach():
    runs = [first(), second()]
    found = evidence(ONCE, runs, [call_of(run) for run in runs], troubles=["replica 0 ended by itself"])
    assert promises(found) == ["trouble"]


MISSING = {"kind": "missing", "job": ONCE.key, "slot": "2027", "reason": "there is no record"}
SOUND = {"complete": True, "until": instant(BEGIN + 29).isoformat(), "differences": []}


def test_the_audit_finds_what_is_lost():
    wrong = SOUND | {"complete": False, "differences": [MISSING]}
    lost = evidence(ONCE, [first()], [call_of(first())])
    assert promises(replace(lost, audit=wrong)) == ["lost"]
    assert promises(replace(lost, audit=SOUND)) == ["lost", "audit"]
    assert promises(replace(lost, audit=SOUND | {"until": instant(BEGIN + 9).isoformat()})) == ["lost"]


def test_the_audit_finds_nothing_where_nothing_is_wrong():
    runs = [first(), second()]
    whole = evidence(ONCE, runs, [call_of(run) for run in runs])
    assert promises(replace(whole, audit=SOUND)) == []
    assert promises(replace(whole, audit=SOUND | {"complete": False, "differences": [MISSING]})) == ["audit"]


def test_slots_are_the_multiples_of_the_interval_after_one_instant_and_up_to_another():
    assert list(ONCE.slots(BEGIN, BEGIN + 30)) == [BEGIN + 10, BEGIN + 20, BEGIN + 30]
    assert list(ONCE.slots(BEGIN - 0.5, BEGIN + 0.5)) == [BEGIN]


def test_the_jobs_of_a_campaign_have_as_many_slots_as_are_asked_for():
    jobs = mixed(80)
    assert sum(len(job.slots(BEGIN, BEGIN + 300)) for job in jobs) / 300 == pytest.approx(80, rel=0.03)
    assert len({job.key for job in jobs}) == len(jobs)
    assert timedelta(seconds=min(job.every for job in jobs)) >= timedelta(seconds=1)
