"""Whatever is wrong with a document is told at once, whichever fault keeps it from being a manifest."""

from __future__ import annotations

import pytest

from reconciler.core.desired import build
from reconciler.core.manifests import parse
from reconciler.core.remnants import Remnant
from schemas.api import Api

API = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: fetch, application: billing}\nspec:\n"
CALLED = "  request: {url: 'https://x.example.com'}\n"
APPLICATION = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing}\nspec:\n"
WINDOW = "apiVersion: reconciler/v1\nkind: FreezeWindow\nmetadata: {name: nights}\nspec:\n"
ENVIRONMENT = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec:\n"
MINUTE = "minute '61': '61' is out of range"


def problems(*documents: str) -> list[str]:
    """File, line, column, field and the first words of every problem."""
    found = build({"f.yaml": parse("f.yaml", "---\n".join(documents).encode())}).problems
    return [str(each).removeprefix("f.yaml:").partition(";")[0].partition(" (did")[0][:100] for each in found]


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
        "  - {name: d, schedule: {every: 1}, startsAt: 2026-02-01, endsAt: 2026-01-01, request: {path: /}}\n"
    )
    assert found == [
        "6:3: spec.bas: unknown field",
        f"8:25: spec.apis[0].schedule: {MINUTE}",
        "8:47: spec.apis[0].timeZone: there is no time zone `Mars/Base`",
        "8:78: spec.apis[0].tries: unknown field",
        "10:25: spec.apis[2].schedule: '@nightly' is not known",
        "10:47: spec.apis[2].request.pth: unknown field",
        "11:33: spec.apis[3].schedule.every: a duration is a string with a unit, such as 90s, 2h30m or 1d",
        "11:67: spec.apis[3].endsAt: endsAt 2026-01-01 00:00:00 lies before startsAt 2026-02-01 00:00:00: the",
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


GOOD = API + "  schedule: '@daily'\n" + CALLED
DAILY = "  schedule: '@daily'\n"


class TestBesideOtherManifests:
    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            (DAILY + CALLED + "  except: [holidays]\n", "spec.except[0]: there is no Calendar `holidays`"),
            (
                "  schedule: {cron: '@daily', only: work}\n" + CALLED,
                "spec.schedule.only: there is no Calendar `work`",
            ),
            (
                "  schedule: {after: {job: nightly}}\n" + CALLED,
                "spec.schedule.after.job: there is no Api `nightly` of billing",
            ),
            ("  schedule: {after: {job: fetch}}\n" + CALLED, "spec.schedule.after.job: a job cannot follow itself"),
            (DAILY + "  request: {method: GET}\n", "spec.request: give `path` or `url`"),
            (
                DAILY + "  request: {path: /, headers: {Authorization: x}}\n  auth: {bearer: {token: {env: KEY}}}\n",
                "spec.auth: the header `authorization` is declared among `headers` too",
            ),
        ],
    )
    def test_an_api_with_a_fault_is_looked_at_beside_them(self, spec, expected):
        assert [each.partition(": ")[2] for each in of(spec + "  timeout: 5\n")] == [
            expected,
            "spec.timeout: a duration is a string with a unit, such as 90s, 2h30m or 1d",
        ]

    def test_where_the_application_has_faults_too_only_what_is_certain_is_told(self):
        application = APPLICATION + "  bseUrl: https://x.example.com\n"
        for call in ("{path: /}", "{url: 'https://x.example.com'}"):
            assert len(problems(application, API + DAILY + f"  x: 1\n  request: {call}\n")) == 2
            assert len(problems(application, API + DAILY + f"  request: {call}\n")) == 1
        assert len(problems(application, API + DAILY + "  timeout: 5\n")) == 3

    @pytest.mark.parametrize(
        "spec",
        [
            DAILY + "  request: {ulr: 'https://x.example.com'}\n",
            DAILY + "  requst: {url: 'https://x.example.com'}\n",
            DAILY + "  request: 5\n",
            DAILY + "  request: {methd: POST, text: a, path: /}\n",
            DAILY + "  request: {path: /, headers: {Authorization: x}}\n  auht: {none: true}\n",
            DAILY + "  request: {path: /, headers: {Authorization: x}}\n  auth: {none: 5}\n",
            "  schedule: {after: {jb: fetch}}\n" + CALLED,
            DAILY + CALLED + "  except: [Holidays]\n",
        ],
    )
    def test_what_follows_from_a_fault_is_no_second_one(self, spec):
        application = APPLICATION + "  baseUrl: https://x.example.com\n  auth: {bearer: {token: {env: KEY}}}\n"
        found = problems(API + spec, application)
        assert all(
            "unknown field" in each or "must be" in each or "not a name" in each or "none" in each for each in found
        ) or (
            found
            == ["5:21: spec.schedule.after.job: this field is required", "5:22: spec.schedule.after.jb: unknown field"]
        )

    def test_a_job_of_a_document_with_faults_may_be_followed(self):
        other = API.replace("fetch", "other") + "  schedule: {after: {job: fetch}}\n" + CALLED
        assert len(problems(API + "  x: 1\n" + DAILY + CALLED, other, APPLICATION + "  {}\n")) == 1
        circle = API + "  x: 1\n  schedule: {after: {job: other}}\n" + CALLED
        assert len(problems(circle, other, APPLICATION + "  {}\n")) == 3
        inline = "  x: 1\n  apis:\n  - {name: fetch, schedule: '@daily', request: {url: 'https://x.example.com'}}\n"
        assert len(problems(other, APPLICATION + inline)) == 1

    def test_an_application_that_is_not_there_is_told_beside_other_faults(self):
        assert problems(API + "  x: 1\n" + DAILY + CALLED) == [
            "3:38: metadata.application: there is no Application `billing`",
            "5:3: spec.x: unknown field",
        ]

    def test_an_api_whose_name_or_application_is_wrong_is_looked_at_by_itself(self):
        for name in ("{name: Fetch, application: billing}", "{name: fetch, application: Billing}", "5"):
            text = (API + "  schedule: 61 * * * *\n").replace("{name: fetch, application: billing}", name)
            assert [MINUTE in each for each in problems(text, APPLICATION + "  {}\n")] == [False, True]

    def test_a_name_that_is_taken_is_told_beside_other_faults(self):
        assert problems(API + "  x: 1\n" + DAILY + CALLED, GOOD, GOOD + "  y: 1\n", APPLICATION + "  {}\n") == [
            "3:18: metadata.name: another Api of billing has this name: f.yaml:11",
            "5:3: spec.x: unknown field",
            "11:18: metadata.name: another Api of billing has this name: f.yaml:3",
            "18:18: metadata.name: another Api of billing has this name: f.yaml:11",
            "22:3: spec.y: unknown field",
        ]

    def test_two_apis_of_one_name_are_told_where_their_application_has_a_fault(self):
        found = problems(GOOD, GOOD, APPLICATION + "  x: 1\n")
        assert [each.split(": ")[1] for each in found] == ["metadata.name", "metadata.name", "spec.x"]

    def test_what_cannot_be_renamed_is_told_beside_other_faults(self):
        taker = GOOD.replace("billing}", "billing, annotations: {reconciler/renamed-from: billing/fetch}}")
        taker = taker.replace("name: fetch", "name: other") + "  x: 1\n"
        assert [each.partition(" ")[2][:60] for each in problems(GOOD, taker, APPLICATION + "  {}\n")] == [
            'metadata.annotations."reconciler/renamed-from": billing/fetc',
            "spec.x: unknown field",
        ]
        assert len(problems(GOOD, taker.replace("billing/fet", "fetch"), APPLICATION + "  {}\n")) == 2

    def test_what_a_patch_may_mend_is_not_told(self):
        patch = "  patches:\n  - {application: billing, api: fetch, spec: {request: {path: /}}}\n"
        files = {
            "f.yaml": parse(
                "f.yaml",
                "---\n".join((API + DAILY + "  retry: 5\n", APPLICATION + "  {}\n", ENVIRONMENT + patch)).encode(),
            )
        }
        assert [each.field for each in build(files, environment="staging").problems] == ["spec.retry"]
        assert [each.field for each in build(files).problems] == ["spec.request", "spec.retry"]

    @pytest.mark.parametrize("kind", ["Application", "Calendar", "FreezeWindow", "Environment", "AccessToken"])
    def test_a_name_is_taken_by_a_document_with_faults_too(self, kind):
        spec = {
            "FreezeWindow": "{start: '@daily', duration: 1h",
            "AccessToken": f"{{role: viewer, sha256: {'a' * 64}",
        }.get(kind, "{description: x")
        text = f"apiVersion: reconciler/v1\nkind: {kind}\nmetadata: {{name: one}}\nspec: {spec}"
        found = problems(text + "}\n", text + ", x: 1}\n", text + ", y: 1}\n")
        assert [each.partition(" ")[0] for each in found if f"another {kind} has this name" in each] == [
            "3:18:",
            "8:18:",
            "13:18:",
        ]
        assert len(found) == 5
        assert len(problems(text + ", x: 1}\n", text + ", y: 1}\n")) == 4

    def test_whom_a_document_with_faults_is_for_is_told(self):
        spec = "  applications: [Bad_, nobody, '*']\n"
        token = WINDOW.replace("FreezeWindow", "AccessToken") + "  role: viewer\n" + spec
        for text in (WINDOW + "  start: '@daily'\n" + spec, token):
            assert [each for each in problems(text) if "applications" in each] == [
                "6:18: spec.applications[0]: write a name, or a pattern such as billing-*: lower-case letters, digits",
                "6:24: spec.applications[1]: there is no Application `nobody`",
            ]

    def test_the_patches_of_an_environment_with_faults_are_looked_at(self):
        patches = [
            "{application: nobody, spec: {}, x: 1}",
            "{application: Bad_, api: nothing, spec: {tries: 1}}",
            "{application: billing, api: nothing, spec: {schedule: 61 * * * *}}",
            "{application: billing, apii: nothing, spec: {schedule: '@daily'}}",
            "5",
        ]
        found = problems(
            ENVIRONMENT + "  patches:\n" + "".join(f"  - {each}\n" for each in patches), APPLICATION + "  {}\n"
        )
        assert [each.split(": ")[1].removeprefix("spec.patches") for each in found] == [
            "[0].application",
            "[0].x",
            "[1].application",
            "[1].spec.tries",
            "[2].api",
            "[2].spec.schedule",
            "[3].apii",
            "[4]",
        ]


@pytest.mark.parametrize("more", ["", "  x: 1\n"])
def test_an_instant_outside_all_years_is_told_with_a_wrong_cron_string_and_other_faults(more):
    spec = "  schedule: 61 * * * *\n  startsAt: 9999-12-31T23:00:00-12:00\n"
    found = [each for each in of(spec + more + CALLED) if "spec.x" not in each]
    assert [each.split(": ")[2].partition(" ")[0] for each in found] == ["startsAt", "minute"]


def test_a_path_that_leads_into_a_text_takes_nothing_away():
    assert Remnant(Api, {"spec": "text"}, [], [("spec", "schedule")]).value == {"spec": "text"}


def test_a_thousand_faults_and_more_are_told_without_looking_at_what_else_there_is():
    fields = "".join(f"  f{number}: 1\n" for number in range(1_001))
    assert not any(MINUTE in each for each in problems(API + "  schedule: 61 * * * *\n" + fields))
