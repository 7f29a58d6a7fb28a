"""A plan for programs: stable, and told field by field in docs/plan.md."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from reconciler.core import plan as planning
from reconciler.core.model import AccessToken, FreezeWindow, Problem, Role, Schedule
from reconciler.core.plan_json import FORMAT, as_json
from reconciler.core.plan_view import Side, SideKind
from tests.unit.core.plans import application, declared, stored, view

PAGE = Path(__file__).parents[3] / "docs" / "plan.md"
MAIN = Side(kind=SideKind.SOURCE, name="main", revision="0123456789abcdef")
# Shapes that come again, which the document tells where they come first.
SAID_ELSEWHERE = re.compile(
    r"changes\[\]\.runs\.\w+\.|runs\.vanish\.|(windows|accessTokens)\[\]\.fields\[\]\.|held\[\]\.problems\[\]\."
)
PROBLEM = Problem(file="b.yaml", line=3, column=5, field="spec", message="is wrong")
WINDOW = FreezeWindow(
    name="w", mode="deny", start=Schedule(declared="@yearly", cron="0 0 1 1 *"), duration=timedelta(days=9)
)
TOKEN = AccessToken(name="t", role=Role.VIEWER, sha256="ab" * 32)


def everything():
    """A plan with something in every place."""
    known = stored(declared(a=application("a", "one", "two", "three"), b=application("b", "one")))
    after = declared(
        a=application("a", "one", "two").replace("0 2 * * *", "0 3 * * *", 1),
        b=application("b", "one").replace("0 2", "0 99"),
    )
    after = replace(after, windows={"w": WINDOW}, held_windows=frozenset({"v"}), tokens={"t": TOKEN})
    plan = planning.diff(known, after, windows={"v": replace(WINDOW, name="v")})
    return as_json(
        view(plan, before=MAIN, problems=after.problems, problems_before=(), held_before=["c"], environment="staging")
    )


def test_the_json_of_a_plan_has_old_and_new_values_and_instants():
    shape = everything()
    assert shape["summary"] == {"add": 0, "change": 1, "remove": 1, "rename": 0}
    changed = next(one for one in shape["changes"] if one["action"] == "change")
    assert changed["job"] == "a/one"
    assert changed["fields"] == [{"field": "schedule", "before": "0 2 * * *", "after": "0 3 * * *"}]
    assert (changed["nextBefore"], changed["nextAfter"]) == ("2026-03-03T02:00:00Z", "2026-03-03T03:00:00Z")
    assert (changed["scheduleBefore"], changed["scheduleAfter"]) == (
        "at 02:00 every day (UTC)",
        "at 03:00 every day (UTC)",
    )
    assert changed["runs"] == {
        "appear": {"count": 1, "exact": True, "first": ["2026-03-03T03:00:00Z"]},
        "vanish": {"count": 1, "exact": True, "first": ["2026-03-03T02:00:00Z"]},
    }
    removed = next(one for one in shape["changes"] if one["action"] == "remove")
    assert (removed["nextAfter"], removed["scheduleAfter"]) == (None, None)


def test_it_names_its_format_both_sides_and_the_instant_it_counts_from():
    shape = everything()
    assert (shape["format"], shape["at"], shape["environment"]) == (FORMAT, "2026-03-02T09:00:00Z", "staging")
    assert shape["from"] == {"kind": "source", "name": "main", "revision": "0123456789abcdef"}
    plain = as_json(view(planning.diff({}, declared())))
    assert (plain["from"], plain["environment"]) == (
        {"kind": "store", "name": "sqlite:///state.db", "revision": None},
        None,
    )


def test_problems_say_whether_they_are_new():
    one = replace(PROBLEM, line=9)
    shape = as_json(view(planning.diff({}, declared()), problems=[PROBLEM, one], problems_before=[PROBLEM]))
    assert [(each["line"], each["new"]) for each in shape["problems"]] == [(3, False), (9, True)]


def test_a_renamed_job_names_what_it_was():
    text = application("a", "new").replace("name: new,", "name: new, annotations: {reconciler/renamed-from: a/old},")
    (change,) = as_json(view(planning.diff(stored(declared(a=application("a", "old"))), declared(a=text))))["changes"]
    assert (change["action"], change["job"], change["renamedFrom"]) == ("rename", "a/new", "a/old")


def paths(value, prefix=""):
    """Every field, written as in the document."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield f"{prefix}{name}"
            yield from paths(part, f"{prefix}{name}.")
    elif isinstance(value, list):
        for part in value:
            yield from paths(part, f"{prefix.removesuffix('.')}[].")


def test_the_document_tells_every_field_and_no_other():
    said = set(re.findall(r"^\| `([\w.\[\]]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    shape = json.loads(json.dumps(everything()))
    there = {path.removesuffix(".") for path in paths(shape)}
    once = {path for path in there if not SAID_ELSEWHERE.match(path)}
    assert said >= once
    assert said <= there
