"""Whatever is wrong with a document is told at once, whichever fault keeps it from being a manifest."""

from __future__ import annotations

import pytest

from reconciler.core.desired import build
from reconciler.core.manifests import parse

API = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: fetch, application: billing}\nspec:\n"
CALLED = "  request: {url: 'https://x.example.com'}\n"
APPLICATION = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing}\nspec:\n"
WINDOW = "apiVersion: reconciler/v1\nkind: FreezeWindow\nmetadata: {name: nights}\nspec:\n"
ENVIRONMENT = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec:\n"
MINUTE = "minute '61': '61' is out of range"


def problems(*documents: str) -> list[str]:
    """File, line, column, field and the first words of every problem."""
    found = build({"f.yaml": parse("f.yaml", "---\n".join(documents).encode())}).problems
    return [str(each).removeprefix("f.yaml:").partition(";")[0].partition(" (did")[0] for each in found]


def of(spec: str) -> list[str]:
    """The same of an Api that has its Application."""
    return problems(API + spec, APPLICATION + "  baseUrl: https://x.example.com\n")


def test_an_unknown_field_a_wrong_cron_string_and_an_unknown_zone_are_three_problems():
    assert of("  schedul: 1\n  schedule: '61 * * * *'\n  timeZone: Mars/Base\n" + CALLED) == [
        "5:3: spec.schedul: unknown field",
        f"6:13: spec.schedule: {MINUTE}",
        "7:13: spec.timeZone: there is no time zone `Mars/Base`",
    ]


def test_they_are_within_the_schedule_too():
    assert of("  schedule: {cron: 61 * * * *, timeZone: Mars/Base, frm: 1}\n" + CALLED) == [
        f"5:13: spec.schedule: {MINUTE}",
        "5:42: spec.schedule.timeZone: there is no time zone `Mars/Base`",
        "5:53: spec.schedule.frm: unknown field",
    ]


def test_each_of_several_apis_of_one_document_has_its_faults_of_every_kind():
    found = problems(
        APPLICATION + "  baseUrl: https://x.example.com\n  bas: 1\n  apis:\n"
        "  - {name: a, schedule: 61 * * * *, timeZone: Mars/Base, request: {path: /}, tries: 1}\n"
        "  - {name: b, schedule: '@daily', request: {path: /}}\n"
        "  - {name: c, schedule: '@nightly', request: {pth: /}}\n"
        "  - {name: d, schedule: {every: 1}, startsAt: 2026-02-01, endsAt: 2026-01-01}\n"
    )
    assert found == [
        "6:3: spec.bas: unknown field",
        f"8:25: spec.apis[0].schedule: {MINUTE}",
        "8:47: spec.apis[0].timeZone: there is no time zone `Mars/Base`",
        "8:78: spec.apis[0].tries: unknown field",
        "10:25: spec.apis[2].schedule: '@nightly' is not known",
        "10:47: spec.apis[2].request.pth: unknown field",
        "11:33: spec.apis[3].schedule.every: a duration is a string with a unit, such as 90s, 2h30m or 1d",
        "11:67: spec.apis[3].endsAt: endsAt 2026-01-01 00:00:00 lies before startsAt 2026-02-01 00:00:00: there is no slot",
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{frequency: weekly, day: 3, ay: 1}", ["weekly takes `on` and `time`, neither `day` nor `month`"]),
        ("{frequency: weekly, no: SUN}", []),
        ("{frequency: weekly, on: [SAN]}", []),
        ("{frequency: weekly, on: [MON#2, SAN]}", []),
        ("{frequency: yearly, day: 31, month: 2, tme: 1}", ["yearly on day 31 of month 2 at 00:00: no year has such"]),
        ("{croon: 61 * * * *}", []),
        ("{cron: 61, every: 1h}", []),
        ("{cron: {}, startsAt: 2027-01-01}", []),
        ("{cron: '@daily', endsAt: 2026-01-01, startsAt: 2027-01-01, x: 1}", ["endsAt 2026-01-01 00:00:00 lies"]),
        ("{at: 2026-01-01, endsAt: 2025-01-01, startsAt: x}", ["at 2026-01-01 00:00:00 lies after endsAt 2025"]),
        ("{at: 2026-01-01, startsAt: 2027-01-01, x: 1}", ["at 2026-01-01 00:00:00 lies before startsAt 2027"]),
        ("{after: {job: other, no: success}, startsAt: 2027-01-01}", []),
    ],
)
def test_a_schedule_with_a_fault_is_judged_by_what_is_sound_of_it(spec, expected):
    found = [each.partition(": ")[2] for each in of(f"  schedule: {spec}\n{CALLED}")]
    told = [each.removeprefix("spec.schedule: ") for each in found if each.startswith("spec.schedule: ")]
    told = [each for each in told if not each.startswith("a schedule is a cron string")]
    assert len(told) == len(expected)
    assert all(each.startswith(begin) for each, begin in zip(told, expected, strict=True))
    assert len(found) > len(told)


def test_wall_time_in_an_unknown_zone_is_compared_with_no_instant():
    bounds = "  timeZone: Mars/Base\n  startsAt: 2026-01-01T10:00:00\n  endsAt: 2026-01-01T09:00:00"
    assert len(of(f"  schedule: '@daily'\n{bounds}Z\n{CALLED}")) == 1
    assert len(of(f"  schedule: '@daily'\n{bounds}\n{CALLED}")) == 2


def test_what_is_given_twice_is_told_also_where_one_of_the_two_is_wrong():
    spec = "  schedule: {every: 1h, timeZone: Europe/Berlin}\n  timeZone: Mars/Base\n"
    assert [each.partition(" ")[0] for each in of(spec + CALLED)] == ["6:13:", "6:13:"]


def test_a_wrong_bound_and_a_wrong_cron_string_are_told_together_where_nothing_else_is_wrong():
    spec = "  schedule: 61 * * * *\n  startsAt: 2026-02-01\n  endsAt: 2026-01-01\n"
    assert [each.partition(" ")[0] for each in of(spec + CALLED)] == ["5:13:", "7:11:"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("{url: 'https://x.example.com', path: /, x: 1}", ["give either `url` or `path`, not both"]),
        ("{url: 'https://x.example.com', method: GET, text: a, x: 1}", ["a GET request carries no body"]),
        ("{url: 'https://x.example.com', methd: POST, text: a}", []),
        ("{url: 'https://x.example.com', contentType: text/xml, txt: a}", []),
        ("{url: 'https://x.example.com', headers: {A: 1, b: x, B: x}}", ["a header stands here twice"]),
        ("{url: 5, path: /}", []),
    ],
)
def test_what_does_not_go_together_is_told_beside_what_is_wrong_by_itself_and_what_is_lacking_is_not(
    request_, expected
):
    found = [each.partition(": ")[2] for each in of(f"  schedule: '@daily'\n  request: {request_}\n")]
    assert len(found) == 1 + len(expected)
    assert all(any(message in each for each in found) for message in expected)


@pytest.mark.parametrize("auth", ["{basci: {}}", "{hmac: {secert: {env: KEY}}}"])
def test_a_way_to_authenticate_that_is_misspelt_is_not_missing_besides(auth):
    assert len(of(f"  schedule: '@daily'\n  auth: {auth}\n{CALLED}")) == 1


def test_what_is_wrong_in_yaml_does_not_hide_what_is_wrong_in_the_schedule():
    spec = "  schedule: 61 * * * *\n  suspend: true\n  suspend: false\n"
    assert [each.partition(" ")[0] for each in of(spec + CALLED)] == ["5:13:", "7:3:"]


def test_a_kind_that_stands_twice_is_judged_by_the_first():
    text = (API + "  schedule: 61 * * * *\n").replace("kind: Api\n", "kind: Api\nkind: Api\n")
    assert len(problems(text)) >= 2


def test_the_start_of_a_freeze_window_is_judged_beside_its_other_faults():
    start = "  start: 61 * * * *\n  timeZone: Mars/Base\n  duraton: 1h\n"
    assert problems(WINDOW + start) == [
        "5:3: spec.duration: this field is required",
        f"5:10: spec.start: {MINUTE}",
        "6:13: spec.timeZone: there is no time zone `Mars/Base`",
        "7:3: spec.duraton: unknown field",
    ]


def test_a_patch_has_the_faults_of_its_schedule_beside_others():
    patch = "{application: billing, api: fetch, spec: {schedule: 61 * * * *, timeZone: Mars/Base, tries: 1}}"
    found = problems(
        ENVIRONMENT + f"  patches:\n  - {patch}\n", APPLICATION + "  {}\n", API + "  schedule: '@daily'\n" + CALLED
    )
    assert [each.split(": ")[1].rpartition(".")[2] for each in found] == ["schedule", "timeZone", "tries"]
