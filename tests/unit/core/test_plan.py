"""What is to be done so that the store says what the manifests say, and when nothing is."""

from datetime import timedelta

import pytest

from reconciler.core import plan as planning
from reconciler.core import plan_text
from reconciler.core.desired import build
from reconciler.core.manifests import parse
from reconciler.core.model import HttpRequest, JobKey, Problem
from reconciler.core.plan import Action
from reconciler.errors import NotFoundError
from tests.fakes import START, stored_job

LATER = START + timedelta(hours=1)


def application(name, *apis, extra=""):
    lines = [
        f"apiVersion: reconciler/v1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  baseUrl: http://127.0.0.1:1"
    ]
    lines += [extra] if extra else []
    lines += ["  apis:"] if apis else []
    lines += [f'  - {{name: {api}, schedule: "0 2 * * *", request: {{path: /{api}}}}}' for api in apis]
    return "\n".join(lines)


def declared(**files):
    return build({f"{name}.yaml": parse(f"{name}.yaml", text.encode()) for name, text in files.items()})


def stored(desired, revision="r1"):
    plan = planning.diff({}, desired)
    return {one.key: one for one in planning.stored_jobs(plan, {}, revision=revision, now=START)}


def states(desired):
    written, _ = planning.application_states(planning.diff({}, desired), desired, {}, now=START)
    return {state.name: state for state in written}


def actions(plan):
    return {str(change.key): change.action.value for change in plan.changes}


def test_what_is_declared_and_not_stored_is_added():
    plan = planning.diff({}, declared(a=application("a", "one", "two")))
    assert actions(plan) == {"a/one": "add", "a/two": "add"}


def test_what_is_stored_and_declared_no_more_is_removed():
    before = declared(a=application("a", "one", "two"))
    known = stored(before)
    plan = planning.diff(known, declared(a=application("a", "two")))
    assert actions(plan) == {"a/one": "remove"}
    written = planning.stored_jobs(plan, known, revision="r2", now=LATER)
    assert [str(one.key) for one in written] == ["a/two"], "it stands on another line now"


def test_a_changed_field_is_shown_with_its_old_and_new_value():
    before = declared(a=application("a", "one"))
    after = declared(a=application("a", "one", extra="  defaults: {timeout: 5s}"))
    (change,) = planning.diff(stored(before), after).changes
    assert change.action is Action.CHANGE
    assert [(field.field, field.before, field.after) for field in change.fields] == [("timeout", "30s", "5s")]


def test_the_same_declaration_changes_nothing():
    text = application("a", "one")
    plan = planning.diff(stored(declared(a=text)), declared(a=text))
    assert (plan.changes, plan.moved, plan.kept) == ((), (), ())


def test_a_job_that_moved_to_another_line_keeps_its_revision_and_its_beginning():
    before, after = declared(a=application("a", "one")), declared(a="# a comment\n" + application("a", "one"))
    known = stored(before)
    plan = planning.diff(known, after)
    assert plan.changes == ()
    (moved,) = planning.stored_jobs(plan, known, revision="r2", now=LATER)
    assert (moved.revision, moved.since) == ("r1", START)
    assert moved.job.line == known[moved.key].job.line + 1


def test_slots_count_from_the_moment_a_schedule_was_applied_and_only_a_schedule_restarts_them():
    known = stored(declared(a=application("a", "one")))
    faster = declared(a=application("a", "one").replace("0 2", "0 3"))
    patient = declared(a=application("a", "one", extra="  defaults: {timeout: 5s}"))
    resumed = declared(a=application("a", "one", extra="  suspend: true"))
    since = {}
    for name, desired in (("faster", faster), ("patient", patient), ("suspended", resumed)):
        (one,) = planning.stored_jobs(planning.diff(known, desired), known, revision="r2", now=LATER)
        assert one.revision == "r2"
        since[name] = one.since
    assert since == {"faster": LATER, "patient": START, "suspended": LATER}


def test_an_application_with_a_problem_is_held_and_its_jobs_stay_while_others_go_on():
    known = stored(declared(a=application("a", "one", "two"), b=application("b", "one")))
    broken = application("a", "one").replace("0 2", "0 99")
    plan = planning.diff(known, declared(a=broken, b=application("b", "one", "new")))
    assert actions(plan) == {"b/new": "add"}
    assert {str(item.key) for item in plan.kept} == {"a/one", "a/two"}
    assert set(plan.held) == {"a"}


def test_a_file_that_is_not_yaml_holds_the_applications_it_declared():
    before = declared(a=application("a", "one"), b=application("b", "one"))
    plan = planning.diff(stored(before), declared(a="{", b=application("b", "one")), applications=states(before))
    assert set(plan.held) == {"a"}
    assert plan.held["a"][0].file == "a.yaml"
    assert plan.changes == ()


def test_nothing_is_removed_while_a_file_cannot_be_read():
    known = stored(declared(a=application("a", "one"), b=application("b", "one", "two")))
    unread = Problem(file="c.yaml", line=1, column=1, field="", message="cannot be read")
    plan = planning.diff(known, declared(a=application("a", "one"), b=application("b", "two")), unread=[unread])
    assert actions(plan) == {}
    assert "c.yaml" in plan.kept[0].reason


@pytest.mark.parametrize(
    ("gone", "allow", "stopped"), [(2, False, False), (3, False, True), (3, True, False), (4, False, True)]
)
def test_the_brake_stops_removals_of_more_than_half_of_all_jobs(gone, allow, stopped):
    names = ["one", "two", "three", "four"]
    known = stored(declared(a=application("a", *names)))
    after = declared(a=application("a", "new", *names[gone:]))
    plan = planning.brake(planning.diff(known, after), declares_nothing=False, allow_prune=allow)
    assert plan.braked is stopped
    assert plan.count(Action.REMOVE) == (0 if stopped else gone)
    assert plan.count(Action.ADD) == 1, "the rest of the plan goes on"
    assert len(plan.kept) == (gone if stopped else 0)


def test_a_source_that_declares_nothing_removes_nothing():
    known = stored(declared(a=application("a", "one")))
    plan = planning.brake(planning.diff(known, declared()), declares_nothing=True, allow_prune=False, max_prune=1.0)
    assert plan.braked
    assert "declares nothing" in plan.kept[0].reason


def test_held_applications_are_said_so_with_reasons_and_since_when():
    before = declared(a=application("a", "one"))
    known, apps = stored(before), states(before)
    after = declared(a=application("a", "one").replace("0 2", "0 99"))
    plan = planning.diff(known, after, applications=apps)
    (held,), gone = planning.application_states(plan, after, apps, now=LATER)
    assert (held.held, held.since, gone) == (True, LATER, [])
    assert "a.yaml" in held.problems[0]
    again, _ = planning.application_states(plan, after, {"a": held}, now=LATER + timedelta(hours=1))
    assert again == [], "the same problems again write nothing"
    (released,), _ = planning.application_states(planning.diff(known, before), before, {"a": held}, now=LATER)
    assert (released.held, released.problems) == (False, ())


def test_an_application_that_is_gone_is_removed_unless_its_jobs_were_kept():
    before = declared(a=application("a", "one"), b=application("b", "one", "two"))
    apps = states(before)
    after = declared(b=application("b", "one", "two"))
    plan = planning.diff(stored(before), after)
    assert planning.application_states(plan, after, apps, now=LATER) == ([], ["a"])
    nothing = declared()
    braked = planning.brake(planning.diff(stored(before), nothing), declares_nothing=True, allow_prune=False)
    assert planning.application_states(braked, nothing, apps, now=LATER) == ([], [])


def test_every_field_of_a_job_is_compared():
    """A field that `flatten` left out would change without being shown."""
    plain = stored_job().job
    shown = planning.flatten(stored_job(description="d", labels={"a": "b"}, max_concurrency=3, jitter=timedelta(1)).job)
    assert {"description", "label a", "limits.concurrency", "jitter"} <= set(shown)
    request = HttpRequest(method="POST", url="http://x/", headers={"A": "b"}, body="text")
    shown = planning.flatten(stored_job(request=request).job)
    assert (shown["request"], shown["header A"], shown["body"]) == ("POST http://x/", "b", "text")
    assert "body" not in planning.flatten(plain)


def text(plan):
    return [line for _, line in plan_text.lines(plan, START)]


def test_the_text_of_a_plan_ends_with_its_summary():
    before = declared(a=application("a", "one", "two", "three"))
    after = declared(a=application("a", "two", "three", "new", extra="  defaults: {timeout: 5s}"))
    lines = text(planning.diff(stored(before), after))
    assert lines[-1] == "Plan: 1 to add, 2 to change, 1 to remove"
    assert any(line.startswith("+ a/new  a.yaml:") for line in lines)
    assert any(line.startswith("~ a/two") for line in lines)
    assert any(line.startswith("- a/one") for line in lines)
    assert any("timeout" in line and "30s → 5s" in line for line in lines)


def test_the_text_says_the_next_run_before_and_after():
    before = declared(a=application("a", "one"))
    after = declared(a=application("a", "one").replace("0 2", "0 3"))
    lines = text(planning.diff(stored(before), after))
    assert any("2026-03-03 02:00:00 UTC (in 17h) → 2026-03-03 03:00:00 UTC (in 18h)" in line for line in lines)


def test_the_text_names_what_stays_and_what_is_held():
    known = stored(declared(a=application("a", "one"), b=application("b", "one")))
    held = text(
        planning.diff(known, declared(a=application("a", "one").replace("0 2", "0 99"), b=application("b", "one")))
    )
    assert any(line.startswith("! a is held: 1 problem") for line in held)
    braked = planning.brake(planning.diff(known, declared()), declares_nothing=True, allow_prune=False)
    assert any(line.startswith("! a/one stays: the source declares nothing") for line in text(braked))


def test_a_long_value_takes_one_line():
    (shown,) = {len(plan_text._short("x\n" * 500))}
    assert shown < 120


def test_the_json_of_a_plan_has_old_and_new_values_and_instants():
    before = declared(a=application("a", "one", "two", "three"))
    after = declared(a=application("a", "one", "two").replace("0 2 * * *", "0 3 * * *", 1))
    shape = plan_text.as_json(planning.diff(stored(before), after), START)
    assert shape["summary"] == {"add": 0, "change": 1, "remove": 1}
    changed = next(one for one in shape["changes"] if one["action"] == "change")
    assert changed["job"] == "a/one"
    assert changed["fields"] == [{"field": "schedule", "before": "0 2 * * *", "after": "0 3 * * *"}]
    assert (changed["nextBefore"], changed["nextAfter"]) == ("2026-03-03T02:00:00Z", "2026-03-03T03:00:00Z")
    removed = next(one for one in shape["changes"] if one["action"] == "remove")
    assert removed["nextAfter"] is None


def test_a_suspended_job_has_no_next_run():
    assert plan_text.next_slot(stored_job(suspend=True).job, START) is None
    assert plan_text.next_slot(None, START) is None
    assert plan_text.next_slot(stored_job().job, START) == START + timedelta(minutes=1)


def test_keys_are_in_order():
    plan = planning.diff({}, declared(b=application("b", "one"), a=application("a", "two", "one")))
    assert [change.key for change in plan.changes] == [JobKey("a", "one"), JobKey("a", "two"), JobKey("b", "one")]


def test_a_job_that_will_never_be_due_again_or_is_suspended_is_said_so():
    before = declared(a=application("a", "one"))
    over = declared(a=application("a", "one").replace('"0 2 * * *"', "{at: 2020-01-01}"))
    assert any("(in 17h) → never" in line for line in text(planning.diff(stored(before), over)))
    stopped = declared(a=application("a", "one", extra="  suspend: true"))
    assert any("→ never (suspended)" in line for line in text(planning.diff(stored(before), stopped)))


def test_a_change_that_leaves_the_next_run_says_so_and_names_what_is_absent():
    before = declared(a=application("a", "one"))
    after = declared(a=application("a", "one", extra="  limits: {concurrency: 3}"))
    lines = text(planning.diff(stored(before), after))
    assert any("limits.concurrency  (none) → 3" in line for line in lines)
    assert any("(as before)" in line for line in lines)


def test_problems_of_another_file_do_not_hold_the_applications_of_a_broken_one():
    before = declared(a=application("a", "one"), b=application("b", "one"))
    after = declared(a="{", b=application("b", "one").replace("0 2", "0 99"))
    held = planning.diff(stored(before), after).held
    assert {name: {problem.file for problem in problems} for name, problems in held.items()} == {
        "a": {"a.yaml"},
        "b": {"b.yaml"},
    }


def test_an_application_that_was_never_good_is_kept_as_held_with_its_reasons():
    desired = declared(a="apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: a}\nspec: {baseUrl: 5}\n")
    plan = planning.diff({}, desired)
    (state,), _ = planning.application_states(plan, desired, {}, now=START)
    assert (state.name, state.held, state.base_url) == ("a", True, None)
    assert "baseUrl" in state.problems[0]


@pytest.mark.parametrize("name", ["", "a", "a/", "/b", "a/b/c"])
def test_what_names_no_job_is_refused(name):
    with pytest.raises(NotFoundError, match="APPLICATION/API"):
        JobKey.parse(name)
