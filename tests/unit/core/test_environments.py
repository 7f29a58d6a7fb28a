"""One repository for several environments: patches change what they name; a mistake in them never calls production."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.desired import Desired
from reconciler.core.model import JobKey
from tests.unit.core.test_desired import api, application, build, parsed
from tests.unit.core.test_desired_renames import taker

BASE = "{baseUrl: 'https://x.example'}"
NIGHTLY, FETCH = JobKey("billing", "nightly"), JobKey("billing", "fetch")


def env(*patches: str, name: str = "staging") -> str:
    listed = "".join(f"    - {patch}\n" for patch in patches)
    head = f"apiVersion: reconciler/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec:\n  patches:\n"
    return (head + listed if patches else head.replace("  patches:\n", "  description: nothing\n")) + "---\n"


def patch(spec: str, api: str | None = "fetch", application: str = "billing") -> str:
    of_api = "" if api is None else f"api: '{api}', "
    return f"{{application: '{application}', {of_api}spec: {spec}}}"


def staging(*patches: str, environment: str | None = "staging", **texts: str) -> Desired:
    files = {"a": application(), "b": api(), **texts}
    return build(parsed(e=env(*patches), **files), environment=environment)


def said(result: Desired) -> list[str]:
    return [str(each) for each in result.problems]


def state(result: Desired) -> tuple:
    """Everything but the Applications, which are equal only if they are one."""
    manifests = {name: each.manifest for name, each in result.applications.items()}
    return result.jobs, result.held, result.problems, result.environment, manifests


def job(*patches: str, **texts: str):
    result = staging(*patches, **texts)
    assert said(result) == []
    return result.jobs[FETCH]


class TestApplied:
    def test_an_application_is_patched(self):
        found = staging(patch("{baseUrl: 'https://s.example', suspend: true, defaults: {headers: {X-Env: s}}}", None))
        assert found.problems == ()
        assert found.environment == "staging"
        assert found.applications["billing"].manifest.spec.base_url == "https://s.example"
        (only,) = found.jobs.values()
        assert (only.request.url, only.suspend) == ("https://s.example/", True)
        assert only.request.headers == {"X-Env": "s"}
        assert (only.file, only.line) == ("b.yaml", 1)

    def test_an_api_is_patched(self):
        more = "timeZone: Asia/Tokyo, retry: {limit: 2}"
        spec = f"{{schedule: '0 4 * * *', suspend: true, request: {{query: {{dry: true}}}}, {more}}}"
        found = job(patch(spec))
        assert (found.schedule.cron, found.schedule.zone) == ("0 4 * * *", "Asia/Tokyo")
        assert (found.suspend, found.retry.limit) == (True, 2)
        assert found.request.url == "https://x.example/?dry=true"

    def test_an_api_within_its_application_is_patched(self):
        within = "{name: fetch, labels: {a: b}, schedule: '@daily', request: {path: /}}"
        inline = f"{{baseUrl: 'https://x.example', apis: [{within}]}}"
        found = job(patch("{timeout: 5s}"), patch("{suspend: true}", None), a=application(spec=inline), b="")
        assert (found.timeout.seconds, found.suspend, found.labels) == (5, True, {"a": "b"})

    def test_what_is_patched_knows_its_other_fields_as_before(self):
        spec = (
            "{schedule: {frequency: weekly, on: [SUN, MON#2], time: '09:45', startsAt: 2026-01-01T00:00:00.5Z, "
            "endsAt: 2027-01-01}, request: {method: POST, path: '/', query: {a: [1, true]}, json: {x: [1.5, null]}}, "
            "expect: {status: [200, 3xx], body: {contains: ok}}, retry: {limit: 3, factor: 3, initialDelay: 1500ms}, "
            "jitter: 1m30s, delivery: atLeastOnce, description: D}"
        ).replace("MON#2", "MON")
        text = f"apiVersion: reconciler/v1\nkind: Api\nmetadata: {{name: fetch, application: billing}}\nspec: {spec}\n"
        plain = staging(environment=None, b=text).jobs[FETCH]
        assert job(patch("{}"), patch("{}", None), b=text) == plain
        assert job(patch("{description: E}"), b=text) != plain

    def test_null_takes_a_field_back_to_its_default(self):
        app = "{baseUrl: 'https://x.example', defaults: {timeout: 5s}}"
        found = job(patch("{timeout: null}"), a=application(spec=app), b=api(spec="timeout: 9s\n  request: {path: /}"))
        assert found.timeout.seconds == 5
        found = job(patch("{defaults: null}", None), a=application(spec=app))
        assert found.timeout.seconds == 30

    def test_patches_apply_in_the_order_written_and_the_later_wins(self):
        assert (
            job(patch("{timeout: 1s}"), patch("{timeout: 2s}", "f*"), patch("{jitter: 1s}", "*")).timeout.seconds == 2
        )

    @pytest.mark.parametrize(
        ("application_", "api_", "patched"),
        [
            ("*", "*", {"billing/fetch", "billing/nightly", "dunning/fetch"}),
            ("billing", "*", {"billing/fetch", "billing/nightly"}),
            ("*", "fetch", {"billing/fetch", "dunning/fetch"}),
            ("b*g", "n*", {"billing/nightly"}),
        ],
    )
    def test_patterns_name_several(self, application_, api_, patched):
        result = staging(
            patch("{suspend: true}", api_, application_),
            c=api(name="nightly"),
            d=application("dunning") + api(owner="dunning"),
        )
        assert result.problems == ()
        assert {str(key) for key, each in result.jobs.items() if each.suspend} == patched

    def test_a_star_is_no_problem_where_there_is_nobody(self):
        assert build(parsed(e=env(patch("{}", "*", "*"), patch("{}", None, "*"))), environment="staging").problems == ()

    def test_an_environment_may_change_nothing(self):
        result = build(parsed(e=env(), a=application(), b=api()), environment="staging")
        assert (said(result), len(result.jobs)) == ([], 1)

    @pytest.mark.parametrize("environment", [None, "", "production"])
    def test_an_environment_that_is_not_chosen_changes_nothing(self, environment):
        texts = {"e": env(patch("{suspend: true}")), "p": env(name="production"), "a": application(), "b": api()}
        result = build(parsed(**texts), environment=environment)
        assert result.environment == (environment or "")
        assert not result.jobs[FETCH].suspend

    def test_a_mistake_of_the_manifest_may_be_mended_by_a_patch(self):
        assert job(patch("{schedule: '@hourly'}"), b=api(schedule="'61 * * * *'")).schedule.cron is not None

    def test_a_job_that_takes_over_another_still_does(self):
        result = staging(patch("{schedule: H H * * *}", "new"), b=taker(schedule="'@daily'"))
        assert result.renames == {JobKey("billing", "new"): JobKey("billing", "old")}
        assert result.jobs[JobKey("billing", "new")].derived_from == "billing/old"


# each: the patch, the place within its line, the field and the message
REFUSED = [
    ("{timeout: 5}", 62, "timeout", "a duration is a string with a unit, such as 90s, 2h30m or 1d"),
    ("{timout: 5s}", 53, "timout", "unknown field (did you mean `timeout`?)"),
    ("{timout: null}", 53, "timout", "unknown field (did you mean `timeout`?)"),
    ("{baseUrl: 'https://x'}", 53, "baseUrl", "unknown field here; `baseUrl` belongs in a patch without `api`"),
    ("{path: /}", 53, "path", "unknown field here; `path` belongs in request"),
    ("{request: {suspend: true}}", 63, "request.suspend", "unknown field here; `suspend` belongs in the spec itself"),
    ("{name: x}", 53, "name", "a name cannot be patched"),
    ("{labels: {a: b}}", 53, "labels", "labels cannot be patched, only what stands in the spec"),
    ("{annotations: {a: b}}", 53, "annotations", "annotations cannot be patched, only what stands in the spec"),
    ("{schedule: '61 * * * *'}", 63, "schedule", "minute"),
    ("{schedule: {every: 5}}", 71, "schedule.every", "a duration is a string"),
    ("{schedule: {evry: 5s}}", 70, "schedule.evry", "unknown field (did you mean `every`?)"),
    ("{schedule: {every: 5s, at: 2026-01-01}}", 63, "schedule", "a schedule is a cron string, or a mapping with"),
    ("{schedule: null}", 63, "schedule", "this field is required"),
    ("{schedule: {frequency: weekly}}", 63, "schedule", "weekly needs `on`"),
    (
        "{timeZone: Europe/Berln}",
        63,
        "timeZone",
        "there is no time zone `Europe/Berln` (did you mean `Europe/Berlin`?)",
    ),
    ("{request: {json: {}}}", 62, "request", "a GET request carries no body"),
    ("{request: {json: 1, text: x, method: PUT}}", 62, "request", "give one body"),
    ("{request: {path: null}}", 62, "request", "give `path` or `url`"),
    ("{expect: {body: {}}}", 68, "expect.body.contains", "this field is required"),
    ("{retry: {limit: 99}}", 68, "retry.limit", "must be at most 20"),
    ("{request: 5}", 62, "request", "must be a mapping, not a number"),
    ("{request: {headers: {Host: x}}}", 73, "request.headers.Host", "this header is set by the reconciler itself"),
    ("{startsAt: 2026-02-01, endsAt: 2026-01-01}", 83, "endsAt", "endsAt 2026-01-01 00:00:00 UTC lies before"),
    ("{schedule: {every: 1h, timeZone: UTC}, timeZone: UTC}", 101, "timeZone", "`timeZone` is given twice"),
]


class TestRefused:
    @pytest.mark.parametrize(("spec", "column", "field", "message"), REFUSED, ids=[each[0] for each in REFUSED])
    def test_a_mistake_in_a_patch_is_told_there_and_holds_whom_it_patches(self, spec, column, field, message):
        texts = {"d": application("dunning") + api(owner="dunning")}
        result = staging(patch("{}", "*"), patch(spec), **texts)
        (problem,) = said(result)
        place, path, found = problem.split(": ", 2)
        assert (place, path) == (f"e.yaml:7:{column}", f"spec.patches[1].spec.{field}")
        assert found.startswith(message)
        assert set(result.held) == {"billing"}
        assert set(result.jobs) == {JobKey("dunning", "fetch")}

    @pytest.mark.parametrize(
        ("spec", "place", "message"),
        [
            ("{baseUrl: ftp://x}", "48: spec.patches[0].spec.baseUrl", "a URL begins with http:// or https://"),
            ("{apis: []}", "39: spec.patches[0].spec.apis", "Apis are not patched here; name one with `api`"),
            ("{timeout: 5s}", "39: spec.patches[0].spec.timeout", "unknown field here; `timeout` belongs in defaults"),
            ("{limits: {concurrency: 0}}", "61: spec.patches[0].spec.limits.concurrency", "must be at least 1"),
            ("{schedule: '@daily'}", "39: spec.patches[0].spec.schedule", "unknown field here; `schedule` belongs in"),
            ("{baseUrl: null}", "48: spec.patches[0].spec.baseUrl", "`path` needs the Application's `baseUrl`"),
            (
                "{defaults: {headers: {A: x, a: z}}}",
                "59: spec.patches[0].spec.defaults.headers",
                "a header stands here twice",
            ),
        ],
    )
    def test_the_same_for_a_patch_of_an_application(self, spec, place, message):
        result = staging(patch(spec, None))
        (problem,) = said(result)
        assert problem.startswith(f"e.yaml:6:{place}: {message}")
        assert set(result.held) == {"billing"}

    def test_a_zone_that_makes_an_api_meaningless_is_told_where_it_is_patched(self):
        late = api(schedule="{at: 2026-01-01T12:00:00, endsAt: '2026-01-01T12:00:00Z'}")
        result = staging(patch("{defaults: {timeZone: America/New_York}}", None), b=late)
        (problem,) = said(result)
        assert problem.startswith(
            "e.yaml:6:60: spec.patches[0].spec.defaults.timeZone: at 2026-01-01 17:00:00 UTC lies after"
        )

    def test_an_api_with_a_mistake_of_its_own_is_told_at_its_own_place(self):
        result = staging(patch("{timeout: 5s}"), b=api(schedule="'61 * * * *'"))
        assert said(result)[0].startswith("b.yaml:5:13: spec.schedule: ")

    def test_the_patch_that_has_the_last_word_is_told(self):
        method, body = "{request: {method: PUT, json: {}}}", "{request: {method: GET}}"
        assert said(staging(patch(method), patch(body)))[0].startswith(
            "e.yaml:7:62: spec.patches[1].spec.request: a GET"
        )

    def test_one_patch_of_thousands_is_told_once(self):
        many = {f"b{i}": api(name=f"job-{i}") for i in range(50)}
        result = staging(patch("{request: {json: {}}}", "*"), **many)
        assert said(result) == [
            "e.yaml:6:58: spec.patches[0].spec.request: a GET request carries no body (in billing/fetch and 50 more)"
        ]
        assert result.held["billing"] == result.problems
        result = staging(patch("{schedule: {frequency: weekly}}", "*"))
        assert said(result)[0].endswith("weekly needs `on`, for example `on: SUN` (in billing/fetch)")

    def test_a_patch_with_thousands_of_mistakes_costs_little_and_tells_a_hundred(self):
        text = "{" + ", ".join(f"f{i}: 1" for i in range(20_000)) + "}"
        started = time.perf_counter()
        result = staging(patch(text))
        assert len(result.problems) == 100
        assert time.perf_counter() - started < 5

    def test_patches_of_several_applications_name_them(self):
        result = staging(patch("{defaults: {headers: {A: x, a: z}}}", None, "*"), d=application("dunning"))
        assert said(result)[0].endswith("capitals make no difference (in billing and 1 more)")
        assert set(result.held) == {"billing", "dunning"}

    def test_an_api_of_an_application_whose_patch_is_refused_tells_its_own_mistakes_too(self):
        broken = patch("{defaults: {headers: {A: x, a: z}}}", None)
        result = staging(broken, b=api(schedule="'61 * * * *'"))
        assert [each.file for each in result.problems] == ["b.yaml", "e.yaml"]


class TestTargets:
    @pytest.mark.parametrize(
        ("application_", "api_", "field", "message", "held"),
        [
            ("biling", None, "application", "there is no Application `biling` (did you mean `billing`?)", {"billing"}),
            (
                "biling",
                "fetch",
                "application",
                "there is no Application `biling` (did you mean `billing`?)",
                {"billing"},
            ),
            ("zzz", None, "application", "there is no Application `zzz`", set()),
            ("z*", "*", "application", "no Application matches `z*`", set()),
            ("billing", "fech", "api", "there is no Api `fech` of billing (did you mean `fetch`?)", {"billing"}),
            ("billing", "z*", "api", "no Api of `billing` matches `z*`", {"billing"}),
            ("bil*", "z*", "api", "no Api of `bil*` matches `z*`", set()),
            ("bil*", "zz", "api", "there is no Api `zz` of any Application that matches `bil*`", set()),
        ],
    )
    def test_a_patch_that_is_for_nobody_is_a_problem(self, application_, api_, field, message, held):
        result = staging(patch("{}", api_, application_))
        assert len(result.problems) == 1
        assert f": spec.patches[0].{field}: {message}" in said(result)[0]
        assert set(result.held) == held

    def test_what_has_problems_of_its_own_is_there_all_the_same(self):
        flawed = {"b": api(schedule="5"), "c": application("dunning", "{baseUrl: 5}") + api(owner="dunning")}
        patches = patch("{}"), patch("{}", "x", "dunning"), patch("{}", "y", "dun*"), patch("{}", "fetch", "dunning")
        assert {each.file for each in staging(*patches, **flawed).problems} == {"b.yaml", "c.yaml"}

    def test_an_application_may_stand_in_a_file_that_cannot_be_read(self):
        assert (
            "it may stand in c.yaml, which cannot be read in full"
            in said(staging(patch("{}", None, "zzz"), c="a: ["))[1]
        )


class TestFailsClosed:
    TEXTS: ClassVar = {"a": application() + api(), "d": application("dunning", "{baseUrl: 5}"), "x": api(owner="zzz")}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (env(name="stagign"), "there is no Environment `staging` (did you mean `stagign`?)"),
            (env(name="production"), "there is no Environment `staging`"),
            ("a: [", "there is no Environment `staging`; it may stand in e.yaml, which cannot be read in full"),
            (env() + env(), "Environment `staging` is declared 2 times (e.yaml:3, e.yaml:9)"),
            (env() * 500, "Environment `staging` is declared 500 times (e.yaml:3, e.yaml:9, e.yaml:15 and 497 more)"),
            (env().replace("description", "descripton"), "Environment `staging` has problems (e.yaml:5)"),
            (env().replace("Environment", "Enviroment"), "Environment `staging` has problems (e.yaml:2)"),
            (env() + env().replace("description", "descripton"), "Environment `staging` has problems (e.yaml:11)"),
        ],
        ids=["misspelt", "absent", "unreadable", "twice", "often", "flawed", "misspelt kind", "one good, one flawed"],
    )
    def test_an_environment_that_cannot_be_used_holds_every_application(self, text, message):
        result = build(parsed(e=text, **self.TEXTS), environment="staging", source="manifests")
        assert f"manifests:1:1: {message}; every Application is held" in said(result)
        assert result.jobs == {}
        assert {"billing", "dunning"} <= set(result.held)
        assert all(
            any("every Application is held" in str(each) for each in result.held[name])
            for name in ("billing", "dunning")
        )

    def test_it_is_said_once(self):
        result = build(parsed(a=application() + application("dunning")), environment="staging")
        assert said(result) == [".:1:1: there is no Environment `staging`; every Application is held"]

    def test_what_was_good_before_is_taken_up_when_it_can_be_used_again(self):
        files = parsed(a=application(), b=api())
        before = build(files, environment="staging")
        after = build(files | parsed(e=env(patch("{suspend: true}"))), before, "staging")
        assert after.jobs[FETCH].suspend


PATTERN = "write a name, or a pattern such as billing-*: lower-case letters, digits, dashes and *"


class TestNotChosen:
    @pytest.mark.parametrize(
        "patches",
        [
            [patch("{timout: 5s}")],
            [patch("{}", "fech")],
            [patch("{}", None, "biling")],
            [patch("{schedule: '61 * * * *'}")],
        ],
        ids=["field", "api", "application", "schedule"],
    )
    @pytest.mark.parametrize("environment", [None, "production"])
    def test_mistakes_are_told_and_hold_nobody(self, patches, environment):
        result = staging(*patches, environment=environment, p=env(name="production"))
        assert len(result.problems) == 1
        assert result.problems[0].file == "e.yaml"
        assert (result.held, len(result.jobs)) == ({}, 1)

    def test_two_of_one_name_name_each_other(self):
        texts = {"a": env(), "b": env(), "c": env(), "d": application() + api()}
        result = build(parsed(**texts))
        assert said(result) == [
            "a.yaml:3:18: metadata.name: another Environment has this name: b.yaml:3",
            "b.yaml:3:18: metadata.name: another Environment has this name: a.yaml:3",
            "c.yaml:3:18: metadata.name: another Environment has this name: a.yaml:3",
        ]
        assert (result.held, len(result.jobs)) == ({}, 1)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (env("5"), "6:7: spec.patches[0]: must be a mapping, not a number"),
            (env("{application: '*'}"), "6:7: spec.patches[0].spec: this field is required"),
            (env("{application: '*', spec: 5}"), "6:32: spec.patches[0].spec: must be a mapping, not a number"),
            (
                env("{application: A, spec: {}}"),
                f"6:21: spec.patches[0].application: {PATTERN}",
            ),
            (
                env("{application: '*', spec: {}, suspend: true}"),
                "6:36: spec.patches[0].suspend: unknown field here; `suspend` belongs in the spec of a patch",
            ),
            (
                env("{application: '*', spec: {}, apii: b}"),
                "6:36: spec.patches[0].apii: unknown field (did you mean `api`?)",
            ),
        ],
    )
    def test_a_manifest_that_is_none_is_told_and_holds_nobody(self, text, expected):
        result = build(parsed(e=text, a=application() + api()))
        assert said(result) == [f"e.yaml:{expected}"]
        assert (result.held, result.broken, len(result.jobs)) == ({}, frozenset(), 1)


class TestReuse:
    PATCHES = (patch("{baseUrl: 'https://s.example'}", None), patch("{suspend: true}", "*"))

    def files(self, *patches: str, **texts: str):
        given = {"a": application(), "b": api(), "c": api(name="nightly"), **texts}
        return parsed(e=env(*(patches or self.PATCHES)), **given)

    def test_what_is_patched_stays_the_same_object(self):
        files = self.files()
        before = build(files, environment="staging")
        files |= parsed(c=api(name="nightly", schedule="'@hourly'"))
        after = build(files, before, "staging")
        assert state(after) == state(build(files, environment="staging"))
        assert after.applications["billing"] is before.applications["billing"]
        assert after.jobs[FETCH] is before.jobs[FETCH]
        assert after.jobs[NIGHTLY] is not before.jobs[NIGHTLY]

    def test_a_patch_that_changes_changes_its_own_jobs_only(self):
        files = self.files()
        before = build(files, environment="staging")
        more = patch("{timeout: 5s}", "nightly")
        files |= parsed(e="# moved by a line\n" + env(*self.PATCHES, more))
        after = build(files, before, "staging")
        assert state(after) == state(build(files, environment="staging"))
        assert after.jobs[FETCH] is before.jobs[FETCH]
        assert after.jobs[NIGHTLY].timeout.seconds == 5

    def test_a_patch_of_an_application_that_changes_changes_its_jobs(self):
        files = self.files()
        before = build(files, environment="staging")
        after = build(files | parsed(e=env(patch("{baseUrl: 'https://t.example'}", None))), before, "staging")
        assert {each.request.url for each in after.jobs.values()} == {"https://t.example/"}
        assert not after.jobs[FETCH].suspend

    @pytest.mark.parametrize(
        "broken",
        [patch("{request: {json: {}}}"), patch("{defaults: {headers: {A: x, a: z}}}", None), patch("{schedule: null}")],
    )
    def test_a_refused_patch_that_moves_is_told_at_its_new_place(self, broken):
        files = self.files(broken)
        before = build(files, environment="staging")
        after = build(files | parsed(e="#\n" + env(broken)), before, "staging")
        assert (before.problems[0].line, after.problems[0].line) == (6, 7)

    def test_another_environment_is_another_state(self):
        files = self.files(p=env(patch("{timeout: 9s}"), name="production"))
        before = build(files, environment="staging")
        for name in ("production", None, "staging"):
            after = build(files, before, name)
            assert state(after) == state(build(files, environment=name))
            before = after

    def test_one_changed_file_among_many_costs_little(self):
        files = self.files(**{f"b{i}": api(name=f"job-{i}") for i in range(2000)})
        before = build(files, environment="staging")
        files |= parsed(b7=api(name="job-7", schedule="'@hourly'"))
        started = time.perf_counter()
        after = build(files, before, "staging")
        assert time.perf_counter() - started < 0.1
        assert sum(after.jobs[key] is not before.jobs[key] for key in before.jobs) == 1


class TestFilesOf:
    def test_every_file_that_has_a_say(self):
        result = staging(patch("{suspend: true}"), c=api(name="nightly"))
        assert result.files_of(FETCH) == {"a.yaml", "b.yaml", "e.yaml"}
        assert result.files_of(NIGHTLY) == {"a.yaml", "c.yaml"}
        assert result.files_of(JobKey("billing", "other")) == frozenset()

    def test_a_patch_of_the_application_has_a_say_in_all(self):
        assert staging(patch("{suspend: true}", None)).files_of(FETCH) == {"a.yaml", "b.yaml", "e.yaml"}

    def test_an_environment_that_is_not_chosen_has_none(self):
        assert staging(patch("{suspend: true}"), environment=None).files_of(FETCH) == {"a.yaml", "b.yaml"}


KINDS = """\
apiVersion: reconciler/v1
kind: Application
metadata: {name: billing, annotations: {reconciler/prune: never}}
spec:
  baseUrl: https://billing.example.com
  apis:
    - name: fetch
      schedule: {frequency: weekly, on: SUN, time: "09:45"}
      request: {method: POST, path: /users, json: {a: [1, null]}, headers: {X-A: b}}
      annotations: {reconciler/renamed-from: billing/old}
---
apiVersion: reconciler/v1
kind: FreezeWindow
metadata: {name: year-end}
spec:
  start: {at: 2026-12-23T18:00:00, timeZone: Europe/Berlin}
  duration: 9d6h
  applications: [billing, "bil*"]
---
apiVersion: reconciler/v1
kind: Environment
metadata: {name: staging}
spec:
  patches:
    - {application: billing, spec: {baseUrl: https://s.example.com, defaults: {headers: {X-Env: s}}}}
    - application: "*"
      api: fetch
      spec: {schedule: {on: MON}, request: {text: x, headers: {x-a: null}}, timeZone: null}
"""
LINES = KINDS.splitlines(keepends=True)
PIECES = ["", "- ", "[", "}", ": ", "NO", "1", "\t", "!x ", "&a ", "*a", "null", '"', "<<: ", "\n", "  ", "é", "{a: 1}"]
MUTATION = st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 90), st.sampled_from(PIECES))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(MUTATION, min_size=1, max_size=4))
def test_no_mutilated_manifest_raises_and_what_is_wrong_has_no_jobs(mutations):
    lines = list(LINES)
    for index, column, piece in mutations:
        lines[index] = lines[index][:column] + piece + lines[index][column + len(piece) :]
    result = build(parsed(f="".join(lines)), environment="staging")
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in result.problems)
    assert not set(result.held) & {key.application for key in result.jobs}
    assert not result.held_windows & result.windows.keys()


def test_what_was_mutilated_is_valid():
    result = build(parsed(f=KINDS), environment="staging")
    assert (said(result), len(result.jobs), len(result.windows), len(result.renames)) == ([], 1, 1, 1)
    assert result.jobs[FETCH].request.body == "x"
