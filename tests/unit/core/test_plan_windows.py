"""Freeze windows in a plan: new, changed, moved, gone, and those that stay because nobody can tell."""

from dataclasses import replace
from datetime import timedelta

from reconciler.core import plan as planning
from reconciler.core.model import FreezeWindow, Problem, Schedule
from tests.unit.core.plans import application, declared

WINDOW = FreezeWindow(
    name="year-end",
    mode="deny",
    start=Schedule(declared="0 0 24 12 *", cron="0 0 24 12 *"),
    duration=timedelta(days=9),
    applications=("billing", "crm-*"),
    file="w.yaml",
    line=3,
)


def desired(*windows, **more):
    return replace(declared(a=application("a", "one")), windows={one.name: one for one in windows}, **more)


def test_a_new_window_a_changed_one_and_one_that_goes():
    longer = replace(WINDOW, duration=timedelta(days=10))
    other = replace(WINDOW, name="easter")
    gone = replace(WINDOW, name="audit")
    plan = planning.diff({}, desired(longer, other), windows={"year-end": WINDOW, "audit": gone})
    assert plan.windows == (other, longer)
    assert plan.removed_windows == ("audit",)
    fields = {
        one.window.name: [(field.field, field.before, field.after) for field in one.fields]
        for one in plan.window_changes
    }
    assert fields["year-end"] == [("duration", "9d", "10d")]
    assert ("applications", None, "billing, crm-*") in fields["easter"]
    assert plan.changes_anything


def test_the_same_window_is_not_written_again_and_one_that_moved_is_without_being_a_change():
    plan = planning.diff({}, desired(WINDOW), windows={"year-end": WINDOW})
    assert (plan.windows, plan.removed_windows, plan.window_changes) == ((), (), ())
    moved = replace(WINDOW, line=4)
    plan = planning.diff({}, desired(moved), windows={"year-end": WINDOW})
    assert (plan.windows, plan.window_changes) == ((moved,), ())


def test_a_window_with_problems_stays_as_it_is():
    longer = replace(WINDOW, duration=timedelta(days=10))
    for declared_ones in ((), (longer,)):
        plan = planning.diff(
            {}, desired(*declared_ones, held_windows=frozenset({"year-end", "new"})), windows={"year-end": WINDOW}
        )
        assert (plan.windows, plan.removed_windows, plan.kept_windows) == ((), (), ("year-end",))


def test_no_window_goes_while_one_may_be_declared_where_nothing_can_be_read():
    unread = Problem(file="z.yaml", line=1, column=1, field="", message="cannot be read")
    known = {"year-end": WINDOW}
    for plan in (
        planning.diff({}, desired(windows_unknown=True), windows=known),
        planning.diff({}, desired(), windows=known, unread=[unread]),
    ):
        assert (plan.removed_windows, plan.kept_windows) == ((), ("year-end",))
    other = replace(WINDOW, name="easter")
    assert planning.diff({}, desired(other, windows_unknown=True), windows=known).windows == (other,)
