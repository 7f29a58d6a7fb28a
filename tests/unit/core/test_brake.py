"""Which removals are stopped, and who may say that they are meant."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import plan as planning
from reconciler.core.brake import prune_policies
from reconciler.core.model import FreezeWindow, Schedule
from reconciler.core.plan import Action
from tests.unit.core.plans import actions, application, declared, states, stored

NAMES = ["one", "two", "three", "four"]
WINDOW = FreezeWindow(
    name="w", mode="deny", start=Schedule(declared="@yearly", cron="0 0 1 1 *"), duration=timedelta(1)
)


def gone(count):
    """A plan that removes so many of four jobs and adds one."""
    known = stored(declared(a=application("a", *NAMES)))
    return planning.diff(known, declared(a=application("a", "new", *NAMES[count:])))


@pytest.mark.parametrize(
    ("count", "allow", "stopped"), [(2, False, False), (3, False, True), (3, True, False), (4, False, True)]
)
def test_the_brake_stops_removals_of_more_than_half_of_all_jobs(count, allow, stopped):
    plan = planning.brake(gone(count), declares_nothing=False, allow_prune=allow)
    assert plan.braked is stopped
    assert plan.count(Action.REMOVE) == (0 if stopped else count)
    assert plan.count(Action.ADD) == 1, "the rest of the plan goes on"
    assert len(plan.kept) == (count if stopped else 0)


def test_a_source_that_declares_nothing_removes_nothing():
    known = stored(declared(a=application("a", "one")))
    plan = planning.brake(planning.diff(known, declared()), declares_nothing=True, allow_prune=False, max_prune=1.0)
    assert plan.braked
    assert "declares nothing" in plan.kept[0].reason


def test_a_stopped_removal_tells_how_it_is_released():
    braked = planning.brake(gone(3), declares_nothing=False, allow_prune=False, revision="0123456789abcdef")
    assert {item.reason for item in braked.kept} == {
        "3 of 4 jobs would go, more than 50%; reconciler sync SOURCE --allow-prune 0123456789ab lets them go"
    }
    named = planning.brake(gone(3), declares_nothing=False, allow_prune=False, revision="0123456", source="m --ref x")
    assert named.kept[0].reason.endswith("; reconciler sync m --ref x --allow-prune 0123456 lets them go")
    nameless = planning.brake(gone(3), declares_nothing=False, allow_prune=False)
    assert nameless.kept[0].reason.endswith("reconciler sync SOURCE --allow-prune REVISION lets them go")


def test_another_source_takes_too_much_over_where_it_removes_or_replaces_more_than_may_go():
    known = stored(declared(a=application("a", *NAMES)))
    other = declared(a=application("a", *NAMES[2:]).replace("0 2", "0 3"))
    plan = planning.diff(known, other)
    assert planning.taken_over(plan, 0.5) == 4
    braked = planning.brake(plan, declares_nothing=False, allow_prune=False, max_prune=0.0)
    assert planning.taken_over(braked, 0.5) == 4, "what the brake stops would go all the same"
    assert planning.taken_over(plan, 1.0) == planning.taken_over(gone(2), 0.5) == 0
    said = planning.takeover_text(plan, 4, before="ours", source="theirs", revision="0123456789abcdef")
    assert "holds what ours declares, and 4 of 4 jobs" in said
    assert "reconciler sync theirs --allow-prune 0123456789ab lets the new source take over" in said


@pytest.mark.parametrize("allow", [False, True])
def test_a_protected_application_loses_no_job_whoever_says_so(allow):
    plan = planning.brake(gone(1), declares_nothing=False, allow_prune=allow, policies={"a": "never"})
    assert (actions(plan), plan.braked) == ({"a/new": "add"}, False)
    (kept,) = plan.kept
    assert (str(kept.key), kept.reason) == ("a/one", "a is protected (reconciler/prune: never)")


def test_jobs_that_may_go_do_not_count_for_the_brake():
    known = stored(declared(a=application("a", *NAMES), b=application("b", "one", "two")))
    plan = planning.diff(known, declared(b=application("b", "one")))
    allowed = planning.brake(plan, declares_nothing=False, allow_prune=False, policies={"a": "allow"})
    assert (allowed.braked, allowed.count(Action.REMOVE)) == (False, 5)
    strict = planning.brake(plan, declares_nothing=False, allow_prune=False, policies={"a": "allow"}, max_prune=0.0)
    assert strict.braked
    assert {str(item.key) for item in strict.kept} == {"b/two"}
    assert strict.count(Action.REMOVE) == 4, "those that may go do"


def test_an_application_speaks_for_itself_while_it_is_declared_and_its_last_good_word_counts_after():
    may = application("a", "one", annotations="reconciler/prune: allow")
    never = application("b", "one", annotations="reconciler/prune: never")
    before = states(declared(a=may, b=never, c=application("c", "one")))
    after = declared(a=application("a", "one"))
    assert prune_policies(after, before) == {"b": "never"}
    assert prune_policies(declared(a=may), {}) == {"a": "allow"}


def test_with_the_brake_on_freeze_windows_stay_too():
    known = stored(declared(a=application("a", "one")))
    plan = planning.diff(known, declared(), windows={"w": WINDOW, "x": replace(WINDOW, name="x")})
    assert plan.removed_windows == ("w", "x")
    braked = planning.brake(plan, declares_nothing=True, allow_prune=False)
    assert (braked.removed_windows, braked.kept_windows) == ((), ("w", "x"))
    meant = planning.brake(plan, declares_nothing=True, allow_prune=True)
    assert meant.removed_windows == ("w", "x")


def test_an_empty_source_takes_no_freeze_window_from_protected_jobs():
    known = stored(declared(a=application("a", "one")))
    plan = planning.diff(known, declared(), windows={"w": WINDOW})
    braked = planning.brake(plan, declares_nothing=True, allow_prune=False, policies={"a": "never"})
    assert (braked.braked, braked.kept_windows) == (True, ("w",))


def test_a_renaming_is_no_removal():
    known = stored(declared(a=application("a", "one")))
    after = declared(a=application("a", "new"))
    renamed = replace(after, renames={key: old for key in after.jobs for old in known})
    plan = planning.brake(planning.diff(known, renamed), declares_nothing=False, allow_prune=False, max_prune=0.0)
    assert (actions(plan), plan.braked) == ({"a/new": "rename"}, False)
