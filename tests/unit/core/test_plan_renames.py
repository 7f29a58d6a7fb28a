"""A job under another name: it is the same job, and neither vanishes nor runs twice."""

from dataclasses import replace
from datetime import timedelta

from reconciler.core import plan as planning
from reconciler.core.model import JobKey, Problem
from tests.fakes import START
from tests.unit.core.plans import actions, application, declared, stored

LATER = START + timedelta(hours=1)
OLD, NEW = JobKey("a", "old"), JobKey("a", "new")


def renaming(desired, new=NEW, old=OLD):
    return replace(desired, renames={new: old})


def known():
    return stored(declared(a=application("a", "old", "other")))


def test_a_renamed_job_is_one_change_from_the_old_to_the_new():
    text = application("a", "new", "other").replace("path: /new", "path: /old")
    plan = planning.diff(known(), renaming(declared(a=text)))
    (change,) = plan.changes
    assert (change.action, change.key, change.renamed_from) == ("rename", NEW, OLD)
    assert (change.before.key, change.after.key, change.fields) == (OLD, NEW, ())
    assert (plan.renamed, plan.removals) == ({OLD: NEW}, ())


def test_what_differs_besides_the_name_is_shown():
    (change,) = planning.diff(known(), renaming(declared(a=application("a", "new", "other")))).changes
    assert [(one.field, one.before, one.after) for one in change.fields] == [
        ("request", "GET http://127.0.0.1:1/old", "GET http://127.0.0.1:1/new")
    ]


def test_an_annotation_in_a_manifest_renames():
    text = application("a", "new", "other").replace(
        "name: new,", "name: new, annotations: {reconciler/renamed-from: a/old},"
    )
    (change,) = planning.diff(known(), declared(a=text)).changes
    assert (change.action, change.renamed_from) == ("rename", OLD)
    assert ("renamed-from", None, "a/old") in [(one.field, one.before, one.after) for one in change.fields]


def test_a_renamed_job_owes_what_it_owed_unless_its_schedule_is_another():
    plan = planning.diff(known(), renaming(declared(a=application("a", "new", "other"))))
    (one,) = planning.stored_jobs(plan, known(), revision="r2", now=LATER)
    assert (one.key, one.since, one.applied_at, one.revision) == (NEW, START, LATER, "r2")
    later = declared(a=application("a", "new", "other").replace('new, schedule: "0 2', 'new, schedule: "0 3'))
    (one,) = planning.stored_jobs(planning.diff(known(), renaming(later)), known(), revision="r2", now=LATER)
    assert one.since == LATER


def test_an_annotation_that_is_left_standing_does_nothing():
    desired = renaming(declared(a=application("a", "new", "other")))
    assert planning.diff(stored(desired), desired).changes == ()


def test_where_both_are_stored_the_old_one_goes_as_any_other():
    both = stored(declared(a=application("a", "old", "new", "other")))
    plan = planning.diff(both, renaming(declared(a=application("a", "new", "other"))))
    assert actions(plan) == {"a/old": "remove"}


def test_a_job_that_is_still_declared_is_not_renamed():
    plan = planning.diff(known(), renaming(declared(a=application("a", "old", "new", "other"))))
    assert actions(plan) == {"a/new": "add"}


def test_an_old_name_that_nobody_knows_makes_a_new_job():
    desired = renaming(declared(a=application("a", "new", "other")), old=JobKey("x", "y"))
    assert actions(planning.diff(known(), desired)) == {"a/new": "add", "a/old": "remove"}


def test_of_two_that_claim_one_old_name_the_first_gets_it():
    desired = declared(a=application("a", "new", "newer", "other"))
    plan = planning.diff(known(), replace(desired, renames={NEW: OLD, JobKey("a", "newer"): OLD}))
    assert actions(plan) == {"a/new": "rename", "a/newer": "add"}


def test_from_a_held_application_nothing_is_taken_away():
    before = stored(declared(a=application("a", "old"), b=application("b", "one")))
    bad = declared(a=application("a", "x").replace("0 2", "0 99"), b=application("b", "one", "new"))
    plan = planning.diff(before, renaming(bad, new=JobKey("b", "new")))
    assert actions(plan) == {}, "else the call would be made under both names"
    waiting = "a is held; until then b/new, its new name, is not live"
    assert [(str(item.key), item.reason) for item in plan.kept] == [("a/old", waiting)]


def test_for_a_held_application_the_old_name_stays():
    before = stored(declared(a=application("a", "old", "other"), b=application("b", "one")))
    text = application("b", "one", "new").replace(
        "name: new,", "name: new, annotations: {reconciler/renamed-from: a/old},"
    )
    bad = declared(a=application("a", "other"), b=text.replace('one, schedule: "0 2', 'one, schedule: "0 99'))
    plan = planning.diff(before, bad)
    assert actions(plan) == {}
    assert [(str(item.key), item.reason) for item in plan.kept] == [("a/old", "b is held"), ("b/one", "b is held")]


def test_while_a_file_cannot_be_read_nobody_is_renamed():
    unread = Problem(file="z.yaml", line=1, column=1, field="", message="cannot be read")
    plan = planning.diff(known(), renaming(declared(a=application("a", "new", "other"))), unread=[unread])
    assert actions(plan) == {}
    assert [(str(item.key), item.reason) for item in plan.kept] == [
        ("a/old", "z.yaml cannot be read; it may be declared there; until then a/new, its new name, is not live")
    ]


def test_a_new_name_without_a_job_leaves_the_old_one():
    plan = planning.diff(known(), renaming(declared(a=application("a", "other"))))
    assert [(str(item.key), item.reason) for item in plan.kept] == [("a/old", "a/new is not declared")]
