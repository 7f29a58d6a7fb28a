"""A plan as people read it in a terminal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import plan as planning
from reconciler.core import plan_text
from reconciler.core.model import FreezeWindow, Schedule
from reconciler.core.outlook import Instants, Outlook
from reconciler.core.plan_view import Side, SideKind
from tests.fakes import START
from tests.unit.core.plans import application, declared, states, stored, view

WINDOW = FreezeWindow(
    name="year-end", mode="deny", start=Schedule(declared="0 0 24 12 *", cron="0 0 24 12 *"), duration=timedelta(days=9)
)
MAIN = Side(kind=SideKind.SOURCE, name="main", revision="0123456789abcdef")


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


CALENDAR = "apiVersion: reconciler/v1\nkind: Calendar\nmetadata: {name: holidays}\nspec: {dates: [%s]}\n"


def test_a_changed_calendar_says_which_of_its_many_days_and_which_runs_come_and_go():
    app = application("a", "one").replace("request", "except: holidays, request")
    many = [f"20{year}-03-02" for year in range(30, 99)]
    before = declared(a=app, c=CALENDAR % ", ".join([*many, "12-25"]))
    after = declared(a=app, c=CALENDAR % ", ".join([*many, "2026-03-03"]))
    lines = text(planning.diff(stored(before), after))
    assert any(line.endswith("calendar holidays  12-25 → 2026-03-03") for line in lines)
    assert any("2026-03-03 02:00:00 UTC (in 17h) → 2026-03-04 02:00:00 UTC" in line for line in lines)
    assert any("1 run vanishes: 2026-03-03 02:00:00 UTC" in line for line in lines)
    more = text(planning.diff(stored(before), declared(a=app, c=CALENDAR % ", ".join([*many, "12-25", "12-26"]))))
    assert any(line.endswith("calendar holidays  … → 12-26") for line in more)


def test_a_calendar_that_comes_is_told_in_words_and_with_its_days():
    after = declared(a=application("a", "one").replace("request", "except: holidays, request"), c=CALENDAR % "12-25")
    lines = text(planning.diff(stored(declared(a=application("a", "one"))), after))
    assert any("except" in line and "(none) → holidays" in line for line in lines)
    assert any("calendar holidays" in line and "(none) → 12-25 (UTC)" in line for line in lines)
    assert any(line.endswith("→ at 02:00 every day, except on holidays (UTC)") for line in lines)


def test_a_job_that_follows_another_says_so_instead_of_its_next_run():
    before = declared(a=application("a", "one", "two"))
    after = declared(a=application("a", "one", "two").replace('"0 2 * * *"', "{after: {job: two}}", 1))
    lines = text(planning.diff(stored(before), after))
    assert any("2026-03-03 02:00:00 UTC (in 17h) → after a/two succeeds" in line for line in lines)


def test_limits_and_automatic_stops_are_told():
    after = declared(a=application("a", "one", extra="  limits: {rate: 10/s}\n  defaults: {stopAfterFailures: 3}"))
    lines = text(planning.diff(stored(declared(a=application("a", "one"))), after))
    assert any("limits.rate" in line and "(none) → 10/1s" in line for line in lines)
    assert any("stopAfterFailures" in line and "(none) → 3" in line for line in lines)


def test_a_long_value_takes_one_line():
    (shown,) = {len(plan_text.short("x\n" * 500))}
    assert shown < 120


def test_a_renamed_job_says_what_it_was_called():
    text_of = application("a", "new").replace("name: new,", "name: new, annotations: {reconciler/renamed-from: a/old},")
    lines = text(planning.diff(stored(declared(a=application("a", "old"))), declared(a=text_of)))
    assert lines[0].startswith("→ a/new (was a/old)  a.yaml:")
    assert not any("renamed-from" in line for line in lines), "it is said already"
    assert lines[-1] == "Plan: 0 to add, 0 to change, 1 to rename, 0 to remove"


def test_the_runs_of_the_coming_day_are_told_that_appear_and_vanish():
    before = declared(a=application("a", "one", "two"))
    after = declared(a=application("a", "one", "two").replace('one, schedule: "0 2', 'one, schedule: "0 3,4'))
    lines = text(planning.diff(stored(before), after))
    assert (
        "    24 h      2 runs appear: 2026-03-03 03:00:00 UTC, 2026-03-03 04:00:00 UTC; "
        "1 run vanishes: 2026-03-03 02:00:00 UTC" in lines
    )
    assert "In the coming 24 h: 2 runs appear; 1 run vanishes" in lines
    assert any("at 02:00 every day (UTC) → at 03:00 and 04:00 every day (UTC)" in line for line in lines)


def test_a_job_that_goes_says_which_runs_vanish():
    lines = text(planning.diff(stored(declared(a=application("a", "one", "two"))), declared(a=application("a", "one"))))
    at = lines.index("- a/two  a.yaml:8")
    assert lines[at + 1] == "    next  2026-03-03 02:00:00 UTC (in 17h) → (none)"
    assert lines[at + 2] == "    24 h  1 run vanishes: 2026-03-03 02:00:00 UTC"


@pytest.mark.parametrize(
    ("instants", "said"),
    [
        (Instants(), ""),
        (Instants(count=1), "1 run vanishes"),
        (Instants(count=3, first=(START,)), "3 runs vanish: 2026-03-02 09:00:00 UTC and 2 more"),
        (Instants(count=1500, exact=False), "at least 1,500 runs vanish"),
        (Instants(count=1, exact=False), "at least 1 run vanish"),
        (Instants(exact=False), "none of the first 1,500 runs vanishes"),
    ],
)  # fmt: skip
def test_runs_are_counted_in_words(instants, said):
    assert plan_text.outlook_text(Outlook(vanish=instants), zone="UTC") == said


def test_freeze_windows_are_told_with_what_changes():
    longer = replace(WINDOW, duration=timedelta(days=10))
    after = replace(
        declared(a=application("a", "one")), windows={"year-end": longer, "new": replace(WINDOW, name="new")}
    )
    known = stored(after)
    lines = text(planning.diff(known, after, windows={"year-end": WINDOW, "gone": replace(WINDOW, name="gone")}))
    assert "~ freeze window year-end: duration 9d → 10d" in lines
    assert any(line.startswith("+ freeze window new: mode deny; schedule 0 0 24 12 *; ") for line in lines)
    assert "- freeze window gone" in lines
    assert lines[-1] == "Plan: 0 to add, 0 to change, 0 to remove; 3 freeze windows to change"


def test_freeze_windows_that_stay_say_why():
    plan = planning.diff(
        {}, replace(declared(a=application("a")), windows_unknown=True), windows={"w": replace(WINDOW, name="w")}
    )
    assert "! freeze window w stays: what declares it has problems" in text(plan)
    known = stored(declared(a=application("a", "one")))
    plan = planning.diff(known, declared(), windows={"w": replace(WINDOW, name="w")})
    braked = planning.brake(plan, declares_nothing=True, allow_prune=False)
    assert "! freeze window w stays: the brake is on" in text(braked)


@pytest.mark.parametrize(("many", "ending"), [(20, None), (21, "1 more job stays"), (35, "15 more jobs stay")])
def test_of_many_jobs_that_stay_alike_the_first_are_named(many, ending):
    known = stored(declared(a=application("a", *(f"job-{number:02}" for number in range(many)))))
    braked = planning.brake(planning.diff(known, declared()), declares_nothing=True, allow_prune=False)
    said = list(plan_text.kept_texts(braked.kept))
    assert len([line for line in said if " stays: " in line and line.startswith("a/")]) == 20
    assert (said[20:] == []) if ending is None else said[20].startswith(f"{ending}: the source declares nothing")


def test_a_plan_between_two_revisions_says_which():
    plan = planning.diff({}, declared(a=application("a", "one")))
    lines = [line for _, line in plan_text.view_lines(view(plan, before=MAIN, environment="staging"))]
    assert lines[0] == "From main (0123456789ab) to manifests/ (fedcba987654), environment staging"
    assert next(line for _, line in plan_text.view_lines(view(plan))).startswith("+ a/one"), "not where it is the store"
    assert plan_text.title(view(plan)).startswith("From sqlite:///state.db to manifests/")


def test_an_application_that_was_held_before_says_that_it_only_looks_new():
    plan = planning.diff({}, declared(a=application("a", "one")))
    lines = [line for _, line in plan_text.view_lines(view(plan, before=MAIN, held_before=["a"]))]
    assert lines[-1] == "! a is held at main: what runs of it now is older, so all its jobs are shown as new"


def test_applications_held_on_both_sides_are_told_once():
    bad = declared(a=application("a", "one").replace("0 2", "0 99"))
    plan = planning.diff({}, bad, applications=states(bad))
    lines = [line for _, line in plan_text.view_lines(view(plan, before=MAIN, held_before=["a"]))]
    assert [line for line in lines if "held" in line] == ["! a is held: 1 problem; what ran before keeps running"]
