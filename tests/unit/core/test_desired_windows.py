"""Freeze windows: what a manifest declares, and every mistake in it; a mistake leaves the last good window in force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.model import FreezeWindow, Schedule
from tests.unit.core.test_desired import api, application, build, complaints, desired, parsed

SPEC = "{start: '0 18 23 12 *', duration: 9d6h}"


def window(spec: str = SPEC, name: str = "year-end") -> str:
    return f"apiVersion: reconciler/v1\nkind: FreezeWindow\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"


def with_spec(spec: str) -> FreezeWindow:
    result = desired(a=application(), w=window(spec))
    assert result.problems == ()
    return result.windows["year-end"]


class TestValid:
    def test_everything_that_can_be_said_of_one(self):
        spec = """
  description: Books are closed
  mode: allow
  start: "0 18 23 12 *"
  duration: 9d6h
  timeZone: Europe/Berlin
  startsAt: 2026-12-01
  endsAt: 2030-01-01T00:00:00Z
  applications: ["billing", "bil*"]
  catchUp: latest"""
        assert with_spec(spec) == FreezeWindow(
            name="year-end",
            mode="allow",
            start=Schedule(
                declared="0 18 23 12 *",
                cron="0 18 23 12 *",
                zone="Europe/Berlin",
                starts_at=datetime(2026, 11, 30, 23, tzinfo=UTC),
                ends_at=datetime(2030, 1, 1, tzinfo=UTC),
            ),
            duration=timedelta(days=9, hours=6),
            applications=("billing", "bil*"),
            catch_up="latest",
            description="Books are closed",
            file="w.yaml",
            line=1,
        )

    def test_it_denies_everybody_and_makes_up_for_nothing_unless_declared(self):
        found = with_spec(SPEC)
        assert (found.mode, found.applications, found.catch_up) == ("deny", ("*",), "none")
        assert found.start.zone == "UTC"

    @pytest.mark.parametrize(
        ("start", "declared"),
        [
            ("{at: 2026-12-23T18:00:00}", "at 2026-12-23 18:00:00"),
            ("{every: 14d}", "every 14d"),
            ("{frequency: weekly, on: FRI, time: '18:00'}", "weekly on FRI at 18:00"),
            ("'@monthly'", "@monthly"),
        ],
    )
    def test_it_begins_by_any_form_of_schedule(self, start, declared):
        assert with_spec(f"{{start: {start}, duration: 366d}}").start.declared == declared

    def test_an_h_is_derived_from_its_name(self):
        texts = {f"w{i}": window("{start: 'H H * * *', duration: 1h}", f"w-{i}") for i in range(10)}
        assert len({each.start.cron for each in desired(**texts).windows.values()}) > 7

    def test_a_star_is_for_whoever_will_be_there(self):
        assert desired(w=window("{start: '@daily', duration: 1h, applications: ['*']}")).problems == ()

    def test_it_holds_no_application_and_is_none(self):
        result = desired(a=application() + api(), w=window(name="billing"))
        assert (list(result.windows), list(result.applications), len(result.jobs)) == (["billing"], ["billing"], 1)


CASES = [
    ("{start: '61 * * * *', duration: 1h}", "4:15: spec.start: minute"),
    ("{start: {frequency: yearly, month: 2, day: 30}, duration: 1h}", "4:15: spec.start: yearly on day 30 of month 2"),
    ("{start: {evry: 1h}, duration: 1h}", "4:15: spec.start: a start is a cron string, or a mapping with exactly"),
    ("{start: {frequency: weekly}, duration: 1h}", "4:15: spec.start: weekly needs `on`"),
    ("{start: {every: 5}, duration: 1h}", "4:23: spec.start.every: a duration is a string"),
    ("{start: '@daily', duration: 367d}", "4:35: spec.duration: a window lasts at most 366d; `suspend` stops"),
    ("{start: '@daily', duration: 0s}", "4:35: spec.duration: must be longer than zero"),
    ("{start: '@daily'}", "4:7: spec.duration: this field is required"),
    (
        "{start: '@daily', duration: 1h, mode: alow}",
        "4:45: spec.mode: must be deny or allow, not `alow` (did you mean `allow`?)",
    ),
    ("{start: '@daily', duration: 1h, catchUp: all}", "4:48: spec.catchUp: must be none or latest, not `all`"),
    (
        "{start: '@daily', duration: 1h, aplications: [a]}",
        "4:39: spec.aplications: unknown field (did you mean `applications`?)",
    ),
    (
        "{start: '@daily', duration: 1h, labels: {}}",
        "4:39: spec.labels: unknown field here; `labels` belongs in metadata",
    ),
    ("{start: '@daily', duration: 1h, applications: []}", "4:53: spec.applications: must have at least 1 item"),
    ("{start: '@daily', duration: 1h, applications: [B_*]}", "4:54: spec.applications[0]: write a name, or a pattern"),
    (
        "{start: '@daily', duration: 1h, applications: [" + "a" * 64 + "]}",
        "4:54: spec.applications[0]: write a name, or a pattern such as billing-*",
    ),
    (
        "{start: {cron: '@daily', timeZone: UTC}, timeZone: UTC, duration: 1h}",
        "4:58: spec.timeZone: `timeZone` is given twice, here and in `start`; remove one of them",
    ),
    (
        "{start: '@daily', startsAt: 2026-02-01, endsAt: 2026-01-01, duration: 1h}",
        "4:55: spec.endsAt: endsAt 2026-01-01 00:00:00 UTC lies before startsAt",
    ),
]


class TestFlawed:
    @pytest.mark.parametrize(("spec", "expected"), CASES, ids=[each[:70] for each, _ in CASES])
    def test_a_mistake_is_told_at_its_place_and_holds_the_window_alone(self, spec, expected):
        result = desired(a=application() + api(), w=window(spec))
        (problem,) = result.problems
        assert str(problem).startswith(f"w.yaml:{expected}")
        assert (result.windows, result.held_windows, result.windows_unknown) == ({}, {"year-end"}, False)
        assert (result.held, result.broken, len(result.jobs)) == ({}, frozenset(), 1)

    def test_a_bad_schedule_is_told_beside_other_mistakes(self):
        found = complaints(w=window("{start: '61 * * * *', duration: 1}"))
        assert [each.split(": ")[1] for each in found] == ["spec.start", "spec.duration"]

    def test_a_misspelt_kind_may_be_a_window_so_that_none_is_removed(self):
        result = desired(a=application() + api(), w=window().replace("FreezeWindow", "FreezWindow"))
        assert "(did you mean `FreezeWindow`?)" in str(result.problems[0])
        assert (result.held_windows, result.windows_unknown) == ({"year-end"}, True)
        assert (result.held, result.broken) == ({}, {"w.yaml"})

    @pytest.mark.parametrize("text", ["a: [", window(name="Year_End")], ids=["unreadable", "without a name"])
    def test_where_a_window_may_be_declared_that_cannot_be_read_none_is_removed(self, text):
        result = desired(a=application(), w=text)
        assert result.windows_unknown
        assert result.held_windows == frozenset()

    def test_an_api_without_its_application_says_nothing_of_windows(self):
        assert not desired(a=api(owner="zzz")).windows_unknown

    def test_two_of_one_name_name_each_other_and_the_last_good_one_stays(self):
        result = desired(a=window(), b=window(), c="\n" + window(), d=window(name="other"))
        assert [str(each) for each in result.problems] == [
            "a.yaml:3:18: metadata.name: another FreezeWindow has this name: b.yaml:3",
            "b.yaml:3:18: metadata.name: another FreezeWindow has this name: a.yaml:3",
            "c.yaml:4:18: metadata.name: another FreezeWindow has this name: a.yaml:3",
        ]
        assert (set(result.windows), result.held_windows) == ({"other"}, {"year-end"})

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [
            ("biling", "there is no Application `biling` (did you mean `billing`?)"),
            ("zzz", "there is no Application `zzz`"),
            ("pay*", "no Application matches `pay*`"),
        ],
    )
    def test_a_pattern_that_is_for_nobody_is_a_problem(self, pattern, message):
        spec = f"{{start: '@daily', duration: 1h, applications: [billing, '{pattern}']}}"
        result = desired(a=application(), w=window(spec))
        assert [str(each) for each in result.problems] == [f"w.yaml:4:63: spec.applications[1]: {message}"]
        assert (result.windows, result.held_windows, result.held) == ({}, {"year-end"}, {})

    def test_an_application_with_problems_is_there_all_the_same(self):
        spec = "{start: '@daily', duration: 1h, applications: [billing]}"
        assert len(complaints(a=application(spec="{baseUrl: 5}"), w=window(spec))) == 1

    def test_an_application_may_stand_in_a_file_that_cannot_be_read(self):
        spec = "{start: '@daily', duration: 1h, applications: [billing]}"
        found = complaints(a="a: [", w=window(spec))
        assert found[-1].endswith(
            "there is no Application `billing`; it may stand in a.yaml, which cannot be read in full"
        )

    def test_a_window_that_is_mended_is_in_force(self):
        files = parsed(a=application(), w=window("{start: '@daily'}"))
        before = build(files)
        after = build(files | parsed(w=window()), before)
        assert (set(after.windows), after.held_windows) == ({"year-end"}, frozenset())
