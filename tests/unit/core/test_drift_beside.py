"""What of Applications and freeze windows stands in the store otherwise than it was declared."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.drift import SURPLUS
from reconciler.core.drift_beside import ACCESS, APPLICATION, WINDOW, flatten_application, found_beside
from reconciler.core.model import AccessToken, Drift, FreezeWindow, JobKey, Retention, Role, Schedule
from tests.unit.core.plans import application, declared, states

DESIRED = declared(a=application("a", "one"))
KNOWN = states(DESIRED)
FREEZE = FreezeWindow(
    name="w", mode="deny", start=Schedule(declared="@yearly", cron="0 0 1 1 *"), duration=timedelta(1), file="w.yaml"
)
KINDS = ("applications", "windows", "tokens")
FROZEN = replace(DESIRED, windows={"w": FREEZE})


def found(applications=KNOWN, windows=None, desired=DESIRED, **more):
    given = {"same_revision": True, "tokens": {}} | {f"damaged_{kind}": {} for kind in KINDS} | more
    return found_beside(applications=applications, windows=windows or {}, desired=desired, **given)


def drift(kind, name, **fields):
    return Drift(key=JobKey(name, ""), kind=kind, where="store", **fields)


def test_what_was_just_synced_has_not_drifted():
    assert found() == ()
    assert found(windows={"w": FREEZE}, desired=FROZEN) == ()


@pytest.mark.parametrize(
    ("edit", "field", "found_there", "should"),
    [
        ({"suspend": True}, "suspend", "true", "false"),
        ({"held": True}, "held", "true", "false"),
        ({"prune": "allow"}, "prune", "allow", None),
        ({"description": "mine"}, "description", "mine", None),
        ({"labels": {"team": "x"}}, "label team", "x", None),
    ],
)
def test_an_edited_application_is_told_field_by_field(edit, field, found_there, should):
    edited = {"a": replace(KNOWN["a"], **edit)}
    assert found(edited) == (drift(APPLICATION, "a", field=field, found=found_there, declared=should),)
    assert found(edited, same_revision=False) == (), "it may be another declaration"


def test_how_long_runs_are_kept_is_told_too():
    table = flatten_application(replace(KNOWN["a"], history=Retention(keep_per_job=7)))
    assert (table["history.keepFor"], table["history.keepFailuresFor"], table["history.keepPerJob"]) == (
        "30d",
        "90d",
        "7",
    )


def test_an_edited_window_is_told_field_by_field_and_with_what_its_start_comes_to():
    start = replace(FREEZE.start, cron="0 0 2 1 *")
    edited = {"w": replace(FREEZE, mode="allow", start=start)}
    assert found(windows=edited, desired=FROZEN) == (
        drift(WINDOW, "w", field="mode", found="allow", declared="deny"),
        drift(WINDOW, "w", field="schedule.cron", found="0 0 2 1 *", declared="0 0 1 1 *"),
    )


def test_what_is_missing_or_surplus_is_told_as_a_whole():
    assert found({}, desired=FROZEN) == (
        drift(APPLICATION, "a", declared="a.yaml:1"),
        drift(WINDOW, "w", declared="w.yaml:1"),
    )
    made = {**KNOWN, "b": replace(KNOWN["a"], name="b")}
    assert found(made, windows={"w": FREEZE}) == (
        drift(APPLICATION, "b", found=SURPLUS),
        drift(WINDOW, "w", found=SURPLUS),
    )
    assert found(made, windows={"w": FREEZE}, same_revision=False) == ()
    assert found(made, windows={"w": FREEZE}, desired=replace(DESIRED, broken=frozenset(["x"]))) == ()
    assert found(made, kept=["b/one"]) == ()


def test_what_is_held_is_not_compared():
    held = replace(FROZEN, held={"a": ()}, held_windows=frozenset(["w"]))
    assert found({"a": replace(KNOWN["a"], suspend=True)}, {"w": replace(FREEZE, mode="allow")}, held) == ()


@pytest.mark.parametrize("same", [True, False])
def test_a_damaged_record_is_written_anew_where_it_is_declared_and_removed_where_it_is_not(same):
    damaged = {"damaged_applications": {"a": "no name", "x": "bad"}, "damaged_windows": {"w": "bad", "y": "bad"}}
    assert found({}, desired=FROZEN, same_revision=same, **damaged) == (
        drift(APPLICATION, "a", found="no name", declared="a.yaml:1"),
        drift(APPLICATION, "x", found="bad"),
        drift(WINDOW, "w", found="bad", declared="w.yaml:1"),
        drift(WINDOW, "y", found="bad"),
    )


def test_a_damaged_record_is_left_where_it_may_be_declared_in_what_cannot_be_read():
    damaged = {"damaged_applications": {"a": "bad", "x": "bad"}, "damaged_windows": {"w": "bad", "y": "bad"}}
    held = replace(DESIRED, held={"a": ()}, held_windows=frozenset(["w"]), broken=frozenset(["c.yaml"]))
    told = {one.key.application: one.put_back for one in found({}, desired=held, **damaged)}
    assert told == {"a": True, "x": False, "w": False, "y": False}, "a held Application is written anew, as held"


def test_what_was_left_as_it_was_is_told_again_under_another_revision_until_it_is_declared_otherwise():
    edited = {"w": replace(FREEZE, mode="allow")}
    left = [replace(one, put_back=False) for one in found(windows=edited, desired=FROZEN)]
    assert len(found(windows=edited, desired=FROZEN, same_revision=False, left=left)) == 1
    other = replace(DESIRED, windows={"w": replace(FREEZE, duration=timedelta(2))})
    assert found(windows=edited, desired=other, same_revision=False, left=left) == ()


TOKEN_OF_ONE = AccessToken(name="t", role=Role.VIEWER, sha256="ab" * 32, file="t.yaml")


def test_an_access_token_that_somebody_has_raised_is_told_without_its_digest():
    desired = replace(DESIRED, tokens={"t": TOKEN_OF_ONE})
    raised = replace(TOKEN_OF_ONE, role=Role.ADMIN, sha256="cd" * 32)
    role, fingerprint = found(tokens={"t": raised}, desired=desired)
    assert role == drift(ACCESS, "t", field="role", found="admin", declared="viewer")
    assert (fingerprint.field, len(fingerprint.found)) == ("fingerprint", 8)
    assert found(tokens={"t": TOKEN_OF_ONE}, desired=desired) == ()


def test_an_access_token_that_nobody_declared_is_told():
    assert found(tokens={"t": TOKEN_OF_ONE}) == (drift(ACCESS, "t", found=SURPLUS),)


def test_an_access_token_that_cannot_be_read_is_told_and_one_that_is_closed_is_not_compared():
    closed = replace(DESIRED, tokens={"t": replace(TOKEN_OF_ONE, closed="its manifest has problems")})
    assert found(tokens={"t": TOKEN_OF_ONE}, desired=closed) == ()
    open_one = replace(DESIRED, tokens={"t": TOKEN_OF_ONE})
    (one,) = found(desired=open_one, damaged_tokens={"t": "role is missing"})
    assert one == drift(ACCESS, "t", found="role is missing", declared="t.yaml:1")
