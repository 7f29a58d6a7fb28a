"""Calendars from manifests, and the jobs that refer to them."""

from __future__ import annotations

import pytest

from reconciler.core.desired import build
from reconciler.core.manifests import parse
from reconciler.core.model import Calendar, JobKey
from reconciler.core.plan import diff
from tests.unit.core.plans import declared, stored

KEY = JobKey("billing", "nightly")


def calendar(spec="{dates: [12-25]}", name="holidays"):
    return f"apiVersion: reconciler/v1\nkind: Calendar\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def api(when='schedule: "0 2 * * *", except: holidays', name="billing"):
    return f"""apiVersion: reconciler/v1
kind: Application
metadata: {{name: {name}}}
spec:
  baseUrl: http://127.0.0.1:1
  apis:
    - {{name: nightly, request: {{path: /}}, {when}}}
"""


def environment(patch):
    return f"""apiVersion: reconciler/v1
kind: Environment
metadata: {{name: staging}}
spec:
  patches: [{{application: billing, api: nightly, spec: {patch}}}]
"""


def problems(desired):
    return [str(each) for each in desired.problems]


@pytest.mark.parametrize(
    "when",
    [
        'schedule: "0 2 * * *", except: holidays',
        'schedule: "0 2 * * *", except: [holidays, holidays]',
        'schedule: {cron: "0 2 * * *", except: holidays}',
        'schedule: {cron: "0 2 * * *"}, except: [holidays]',
    ],
)
def test_calendars_stand_in_a_schedule_or_beside_it_as_a_name_or_a_list(when):
    job = declared(a=calendar(), b=api(when)).jobs[KEY]
    assert job.schedule.but_not == (Calendar(name="holidays", dates=("12-25",)),)
    assert job.schedule.only == ()
    assert job.schedule.cron == "0 2 * * *"


@pytest.mark.parametrize(
    "form", ["every: 5m", "at: 2026-12-25", "frequency: daily", "after: {job: other}", "cron: '@daily'"]
)
def test_every_form_of_a_schedule_takes_them(form):
    other = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: other, application: billing}\n"
    other += "spec: {schedule: '@daily', request: {path: /}}"
    desired = declared(a=calendar(), b=api(f"schedule: {{{form}, except: holidays, only: holidays}}"), c=other)
    assert problems(desired) == []
    schedule = desired.jobs[KEY].schedule
    assert [one.name for one in (*schedule.but_not, *schedule.only)] == ["holidays", "holidays"]


def test_a_calendar_is_read_whole_and_in_an_order_of_its_own():
    spec = """{timeZone: Europe/Berlin, dates: [2026-05-01, 12-25, 02-29, 12-25], weekly: [sun, MON],
  ranges: [{from: 12-24, to: 01-02}, {from: 2026-01-01, to: 2026-01-01}]}"""
    assert declared(a=calendar(spec)).calendars == {
        "holidays": Calendar(
            name="holidays",
            zone="Europe/Berlin",
            dates=("02-29", "12-25", "2026-05-01"),
            weekly=("SUN", "MON"),
            ranges=(("12-24", "01-02"), ("2026-01-01", "2026-01-01")),
        )
    }


def test_all_jobs_share_one_calendar():
    texts = {"a": calendar(), "b": api(), "c": api(name="crm")}
    one, other = (each.schedule.but_not[0] for each in declared(**texts).jobs.values())
    assert one is other


def test_jobs_of_one_application_share_the_whole_schedule():
    second = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: second, application: billing}\n"
    second += 'spec: {schedule: "0 2 * * *", except: [holidays], request: {path: /}}'
    one, other = (each.schedule for each in declared(a=calendar(), b=api(), c=second).jobs.values())
    assert one is other


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{dates: [2026-02-29]}", "4:16: spec.dates[0]: 2026-02-29 does not exist"),
        ("{dates: [0000-01-01]}", "4:16: spec.dates[0]: 0000-01-01 does not exist"),
        ("{dates: [25.12.]}", "4:16: spec.dates[0]: not a day; write it like 2026-12-25, or 12-25 for every year"),
        ("{dates: [5]}", "4:16: spec.dates[0]: not a day; write it like 2026-12-25, or 12-25 for every year"),
        ("{weekly: [MON#2]}", "4:17: spec.weekly[0]: not a weekday; write SUN, MON, TUE, WED, THU, FRI, SAT"),
        ("{weekly: [1]}", "4:17: spec.weekly[0]: must be a string, not a number; quote it"),
        (
            "{ranges: [{from: 2026-02-02, to: 2026-02-01}]}",
            "4:17: spec.ranges[0]: `from` 2026-02-02 lies after `to` 2026-02-01: there is no day between them",
        ),
        ("{ranges: [{from: 02-02, to: 2026-02-01}]}", "4:17: spec.ranges[0]: give both days with a year, or both"),
        ("{ranges: [{from: 02-02}]}", "4:17: spec.ranges[0].to: this field is required"),
        ("{timeZone: Europe/Berln}", "4:18: spec.timeZone: there is no time zone `Europe/Berln` (did you mean"),
        ("{date: [12-25]}", "4:8: spec.date: unknown field (did you mean `dates`?)"),
    ],
)
def test_a_mistake_in_a_calendar_is_told_at_its_place_and_holds_whoever_refers_to_it(spec, said):
    desired = declared(a=calendar(spec), b=api(), c=api("schedule: '@daily'", name="crm"))
    (problem,) = problems(desired)
    assert problem.startswith(f"a.yaml:{said}")
    assert {name: [str(each) for each in found] for name, found in desired.held.items()} == {"billing": [problem]}
    assert list(desired.jobs) == [JobKey("crm", "nightly")]
    assert desired.calendars == {}


def test_what_is_held_for_a_calendar_stays_what_it_was():
    good = declared(a=calendar(), b=api())
    plan = diff(stored(good), declared(a=calendar("{dates: [x]}"), b=api()))
    assert plan.changes == ()
    assert [str(each.key) for each in plan.kept] == ["billing/nightly"]


def test_two_calendars_of_one_name_hold_whoever_refers_to_them():
    desired = declared(a=calendar(), b=api(), c="\n" + calendar(), d=calendar(name="other"))
    assert problems(desired) == [
        "a.yaml:3:18: metadata.name: another Calendar has this name: c.yaml:4",
        "c.yaml:4:18: metadata.name: another Calendar has this name: a.yaml:3",
    ]
    assert list(desired.held) == ["billing"]
    assert list(desired.calendars) == ["other"]


def test_one_of_two_that_is_wrong_holds_too():
    desired = declared(a=calendar(), b=api(), c=calendar("{dates: [x]}"))
    assert list(desired.held) == ["billing"]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('schedule: "@daily", except: holidys', "7:71: spec.apis[0].except: there is no Calendar `holidys` (did you"),
        ('schedule: "@daily", only: [a, holidays]', "7:70: spec.apis[0].only[0]: there is no Calendar `a`"),
        (
            'schedule: {cron: "@daily", only: [holidays, nix]}',
            "7:87: spec.apis[0].schedule.only[1]: there is no Calendar `nix`",
        ),
        ('schedule: "@daily", only: [Holi]', "7:70: spec.apis[0].only[0]: `Holi` is not a name (did you mean `holi`?)"),
        ('schedule: "@daily", only: Holi', "7:69: spec.apis[0].only: `Holi` is not a name (did you mean `holi`?)"),
        ('schedule: "@daily", only: []', "7:69: spec.apis[0].only: must have at least 1 item"),
        ('schedule: "@daily", only: 5', "7:69: spec.apis[0].only: must be a list, not a number"),
        (
            "schedule: {every: 1h, only: holidays}, only: holidays",
            "7:88: spec.apis[0].only: `only` is given twice, here and in `schedule`; remove one of them",
        ),
    ],
)
def test_a_name_that_no_calendar_has_is_told_at_its_place(when, said):
    desired = declared(a=calendar(), b=api(when))
    (problem,) = problems(desired)
    assert problem.startswith(f"b.yaml:{said}")
    assert list(desired.held) == ["billing"]


def test_it_may_stand_in_a_file_that_cannot_be_read():
    desired = declared(a="kind: [", b=api())
    assert (
        "there is no Calendar `holidays`; it may stand in a.yaml, which cannot be read in full" in problems(desired)[1]
    )


def test_it_is_told_too_where_the_application_has_problems_of_its_own():
    flawed = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: crm}\nspec: {baseUrl: 5}\n"
    one = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: one, application: crm}\n"
    texts = {
        "a": flawed,
        "b": one + 'spec: {schedule: "@daily", except: nix, request: {path: /}}',
        "c": one.replace("one", "two") + 'spec: {schedule: "@daily", except: bad, request: {path: /}}',
        "d": calendar("{dates: [x]}", name="bad"),
    }
    desired = declared(**texts)
    assert [problem.file for problem in desired.held["crm"]] == ["a.yaml", "b.yaml", "d.yaml"]


class TestFromOneRevisionToTheNext:
    def build(self, texts, previous=None):
        files = {name: parse(name, text.encode()) for name, text in texts.items()}
        if previous is None:
            return files, build(files)
        known, desired = previous
        files = {
            name: known[name] if name in known and texts[name] == self.texts[name] else files[name] for name in files
        }
        return files, build(files, desired)

    def test_a_job_whose_calendar_is_the_same_is_the_same_object(self):
        self.texts = {"a.yaml": calendar(), "b.yaml": api()}
        first = self.build(self.texts)
        _, again = self.build({**self.texts, "c.yaml": calendar(name="other")}, first)
        assert again.jobs[KEY] is first[1].jobs[KEY]

    def test_a_changed_calendar_is_a_change_of_the_jobs_that_refer_to_it(self):
        self.texts = {"a.yaml": calendar(), "b.yaml": api(), "c.yaml": api("schedule: '@daily'", name="crm")}
        first = self.build(self.texts)
        _, second = self.build({**self.texts, "a.yaml": calendar("{dates: [12-26]}")}, first)
        (change,) = diff(stored(first[1]), second).changes
        assert (change.key, [one.field for one in change.fields]) == (KEY, ["calendar holidays"])
        assert (change.fields[0].before, change.fields[0].after) == ("12-25 (UTC)", "12-26 (UTC)")
        assert second.files_of(KEY) == {"a.yaml", "b.yaml"}

    def test_a_calendar_that_goes_holds_and_one_that_comes_back_releases(self):
        self.texts = {"a.yaml": calendar(), "b.yaml": api()}
        first = self.build(self.texts)
        second = self.build({"b.yaml": self.texts["b.yaml"]}, first)
        assert list(second[1].held) == ["billing"]
        _, third = self.build(self.texts, second)
        assert list(third.jobs) == [KEY]


class TestEnvironments:
    def built(self, **texts):
        return build({f"{n}.yaml": parse(f"{n}.yaml", text.encode()) for n, text in texts.items()}, None, "staging")

    def test_a_patch_may_name_other_calendars_and_remove_them(self):
        texts = {"a": calendar(), "b": calendar(name="other"), "c": api()}
        patched = self.built(**texts, e=environment("{except: other, only: [holidays]}")).jobs[KEY].schedule
        assert [one.name for one in (*patched.but_not, *patched.only)] == ["other", "holidays"]
        assert self.built(**texts, e=environment("{except: null}")).jobs[KEY].schedule.but_not == ()

    def test_a_patch_beside_a_schedule_replaces_what_stands_in_it(self):
        texts = {"a": calendar(), "b": calendar(name="other"), "c": api("schedule: {every: 1h, except: holidays}")}
        patched = self.built(**texts, e=environment("{except: other}"))
        assert problems(patched) == []
        assert [one.name for one in patched.jobs[KEY].schedule.but_not] == ["other"]

    @pytest.mark.parametrize("patch", ["{except: nix}", "{except: [nix]}", "{schedule: {except: [nix]}}"])
    def test_a_name_that_no_calendar_has_is_told_at_the_patch(self, patch):
        (problem,) = problems(self.built(a=calendar(), b=api(), e=environment(patch)))
        assert problem.startswith("e.yaml:5:")
        assert "there is no Calendar `nix`" in problem
