"""What there is to know of a plan before anybody lays it out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import plan as planning
from reconciler.core.model import FreezeWindow, Problem, Schedule
from tests.unit.core.plans import application, declared, stored, view

PROBLEM = Problem(file="a.yaml", line=3, column=5, field="spec", message="is wrong")
ONE = declared(a=application("a", "one"))
WINDOW = FreezeWindow(
    name="w", mode="deny", start=Schedule(declared="@yearly", cron="0 0 1 1 *"), duration=timedelta(1)
)
NOTHING, SOMETHING = planning.diff(stored(ONE), ONE), planning.diff({}, ONE)
BRAKED = planning.brake(planning.diff(stored(ONE), declared()), declares_nothing=True, allow_prune=False)


@pytest.mark.parametrize(
    ("plan", "problems", "code"),
    [
        (NOTHING, (), 0),
        (SOMETHING, (), 2),
        (planning.diff({}, replace(declared(), windows={"w": WINDOW})), (), 2),
        (planning.diff(stored(ONE), declared(a="# moved\n" + application("a", "one"))), (), 0),
        (SOMETHING, (PROBLEM,), 1),
        (BRAKED, (), 1),
    ],
    ids=["nothing", "a job", "a window", "a move", "a problem", "the brake"],
)
def test_the_exit_code_tells_nothing_changes_and_problems_apart(plan, problems, code):
    assert view(plan, problems=problems).exit_code == code


def test_a_problem_that_was_there_before_is_known_wherever_it_stands_now():
    moved, other = replace(PROBLEM, line=9), replace(PROBLEM, message="is wrong, too")
    assert view(NOTHING, problems=[moved, other], problems_before=[PROBLEM]).known == {moved}


def test_of_two_equal_problems_one_is_new_where_there_was_one():
    second = replace(PROBLEM, line=9)
    assert view(NOTHING, problems=[PROBLEM, second], problems_before=[PROBLEM]).known == {PROBLEM}


def test_what_is_held_before_and_after_does_not_look_new():
    held = planning.diff({}, declared(a=application("a", "one").replace("0 2", "0 99")))
    assert view(held, held_before=["b", "a"]).held_before == ("b",)


def test_of_a_job_that_comes_or_goes_only_the_unusual_is_told():
    (added,) = view(SOMETHING).changes
    (removed,) = view(planning.diff(stored(ONE), declared(b=application("b")))).changes
    for each in (added, removed):
        assert [field.field for field in each.fields] == ["schedule", "request", "delivery"]
    assert added.reschedules
    assert not removed.reschedules
