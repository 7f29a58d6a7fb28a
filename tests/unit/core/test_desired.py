"""All manifests together become jobs; a mistake holds its own Application and leaves the others alone."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.desired import Desired, build
from reconciler.core.inherit import digest
from reconciler.core.manifests import parse
from reconciler.core.model import (
    After,
    Auth,
    Calendar,
    Expectation,
    HttpRequest,
    Job,
    JobKey,
    Rate,
    RetryPolicy,
    Schedule,
    SecretRef,
    SecretUse,
)
from tests.unit.core.test_manifests import EXAMPLE


def parsed(**texts: str):
    return {f"{name}.yaml": parse(f"{name}.yaml", text.encode()) for name, text in texts.items()}


def desired(**texts: str) -> Desired:
    return build(parsed(**texts))


def application(name: str = "billing", spec: str = "{baseUrl: 'https://x.example'}") -> str:
    return f"apiVersion: reconciler/v1\nkind: Application\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"


def api(
    name: str = "fetch", owner: str = "billing", spec: str = "request: {path: /}", schedule: str = "'@daily'"
) -> str:
    head = f"apiVersion: reconciler/v1\nkind: Api\nmetadata: {{name: {name}, application: {owner}}}\n"
    return f"{head}spec:\n  schedule: {schedule}\n  {spec}\n---\n"


def job(spec: str = "request: {path: /}", app: str = "{baseUrl: 'https://x.example'}", **more: str) -> Job:
    result = desired(a=application(spec=app), b=api(spec=spec, **more))
    assert result.problems == ()
    (found,) = result.jobs.values()
    return found


def request(spec: str, app: str = "{baseUrl: 'https://x.example'}") -> HttpRequest:
    return job(f"request: {spec}", app).request


def complaints(**texts: str) -> list[str]:
    return [str(problem) for problem in desired(**texts).problems]


def test_the_example_becomes_exactly_these_jobs():
    result = desired(billing=EXAMPLE)
    assert (result.problems, result.held, result.broken) == ((), {}, frozenset())
    assert result.applications["billing"].line == 1
    expected = [
        Job(
            key=JobKey("billing", "nightly-invoices"),
            labels={"team": "payments"},
            schedule=Schedule(declared="0 2 * * *", cron="0 2 * * *", zone="Africa/Lagos"),
            request=HttpRequest(
                method="POST",
                url="https://billing.example.com/invoices/run",
                headers={"Accept": "application/json", "Content-Type": "application/json"},
                body='{"dryRun":false}',
            ),
            retry=RetryPolicy(limit=3),
            timeout=timedelta(seconds=10),
            delivery="atMostOnce",
            max_concurrency=20,
            file="billing.yaml",
            line=17,
        ),
        Job(
            key=JobKey("billing", "fetch-user-data"),
            labels={"team": "payments", "tier": "gold"},
            schedule=Schedule(declared="weekly on SUN at 09:45", cron="45 9 * * SUN", zone="US/Eastern"),
            request=HttpRequest(
                method="GET",
                url="https://billing.example.com/users?active=true",
                headers={"Accept": "application/json"},
            ),
            expect=Expectation(status=("2xx",), contains='"ok"'),
            retry=RetryPolicy(limit=5, initial_delay=timedelta(seconds=1), factor=2.0, max_delay=timedelta(minutes=5)),
            timeout=timedelta(seconds=10),
            delivery="atMostOnce",
            jitter=timedelta(seconds=30),
            max_concurrency=20,
            file="billing.yaml",
            line=21,
        ),
    ]
    assert [replace(each, digest="") for each in result.jobs.values()] == expected
    assert [each.digest for each in result.jobs.values()] == [digest(each) for each in expected]


def test_redirects_are_followed_only_where_the_request_says_so():
    assert request("{path: /}").follow_redirects == 0
    assert request("{path: /, followRedirects: true}").follow_redirects == 5
    assert request("{path: /, followRedirects: 2}").follow_redirects == 2


def test_jobs_that_follow_none_keep_the_digest_that_they_had_before_redirects_could_be_followed():
    assert (
        job("request: {path: /, followRedirects: false}").digest == job().digest == "a77369ceff423c4e61e630ad6397c06d"
    )


class TestPolicies:
    def test_defaults_where_nothing_is_declared(self):
        found = job()
        assert found.schedule.zone == "UTC"
        assert (found.timeout, found.starting_deadline) == (timedelta(seconds=30), timedelta(hours=1))
        assert (found.concurrency_policy, found.catch_up, found.jitter) == ("Forbid", "latest", timedelta(0))
        assert (found.expect, found.retry, found.max_concurrency) == (Expectation(), RetryPolicy(), None)
        assert not found.suspend

    @pytest.mark.parametrize(
        ("method", "delivery"),
        [
            ("GET", "atLeastOnce"),
            ("HEAD", "atLeastOnce"),
            ("PUT", "atLeastOnce"),
            ("DELETE", "atLeastOnce"),
            ("OPTIONS", "atLeastOnce"),
            ("POST", "atMostOnce"),
            ("PATCH", "atMostOnce"),
        ],
    )
    def test_delivery_follows_the_method_unless_it_is_declared(self, method, delivery):
        assert job(f"request: {{path: /, method: {method}}}").delivery == delivery
        other = "atMostOnce" if delivery == "atLeastOnce" else "atLeastOnce"
        assert job(f"request: {{path: /, method: {method}}}\n  delivery: {other}").delivery == other

    DEFAULTS = (
        "{baseUrl: 'https://x.example', defaults: {timeZone: Asia/Tokyo, timeout: 5s, concurrencyPolicy: Allow, "
        "startingDeadline: 2m, catchUp: all, delivery: atMostOnce, jitter: 1s, retry: {limit: 2, factor: 3}, "
        "expect: {status: [200], body: {contains: ok}}}}"
    )

    def test_what_the_application_declares_is_inherited(self):
        found = job(app=self.DEFAULTS)
        assert found.schedule.zone == "Asia/Tokyo"
        assert (found.timeout, found.starting_deadline) == (timedelta(seconds=5), timedelta(minutes=2))
        assert (found.concurrency_policy, found.catch_up, found.delivery) == ("Allow", "all", "atMostOnce")
        assert found.jitter == timedelta(seconds=1)
        assert found.retry == RetryPolicy(limit=2, factor=3.0)
        assert found.expect == Expectation(status=("200",), contains="ok")

    def test_what_the_api_declares_wins_even_where_it_declares_the_usual(self):
        spec = (
            "request: {path: /}\n  timeZone: UTC\n  timeout: 30s\n  concurrencyPolicy: Forbid\n  startingDeadline: 1h"
            "\n  catchUp: latest\n  delivery: atLeastOnce\n  jitter: 0s"
        )
        assert replace(job(spec, self.DEFAULTS), digest="", retry=RetryPolicy(), expect=Expectation()) == replace(
            job(), digest="", retry=RetryPolicy(), expect=Expectation()
        )

    def test_retry_and_expect_are_merged_field_by_field(self):
        found = job("request: {path: /}\n  retry: {limit: 0}\n  expect: {status: [3xx]}", self.DEFAULTS)
        assert found.retry == RetryPolicy(limit=0, factor=3.0)
        assert found.expect == Expectation(status=("3xx",), contains="ok")

    @pytest.mark.parametrize(("of_api", "of_app"), [("true", "false"), ("false", "true"), ("true", "true")])
    def test_suspended_by_the_api_or_by_its_application(self, of_api, of_app):
        app = f"{{baseUrl: 'https://x.example', suspend: {of_app}}}"
        assert job(f"request: {{path: /}}\n  suspend: {of_api}", app).suspend

    def test_labels_of_both_with_the_apis_winning(self):
        text = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing, labels: {a: '1', b: '1'}}\n"
        inline = "spec: {apis: [{name: x, labels: {b: '2'}, schedule: '@daily', request: {url: 'https://x.example'}}]}"
        (found,) = desired(a=text + inline).jobs.values()
        assert found.labels == {"a": "1", "b": "2"}


class TestAddress:
    @pytest.mark.parametrize(
        ("base", "path", "url"),
        [
            ("https://x.example", "/a", "https://x.example/a"),
            ("https://x.example/", "/a", "https://x.example/a"),
            ("https://x.example:8443/v1/", "/a/", "https://x.example:8443/v1/a/"),
            ("https://x.example/v1", "/", "https://x.example/v1/"),
            ("https://x.example/v1?key=1", "/a?b=2", "https://x.example/v1/a?key=1&b=2"),
            ("https://x.example", "/ü/100%/%41", "https://x.example/%C3%BC/100%25/%41"),
            ("https://x.example", "/a?q=ü&z[]=1", "https://x.example/a?q=%C3%BC&z[]=1"),
            ("https://x.example", "/a?", "https://x.example/a"),
            ("https://x.example", "//other.example/a", "https://x.example//other.example/a"),
        ],
    )
    def test_a_path_is_put_below_the_base_url(self, base, path, url):
        assert request(f"{{path: '{path}'}}", f"{{baseUrl: '{base}'}}").url == url

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://y.example", "https://y.example/"),
            ("HTTPS://y.example?a=1", "https://y.example/?a=1"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ],
    )
    def test_a_url_of_its_own_stands_alone(self, url, expected):
        assert request(f"{{url: '{url}'}}").url == expected

    @pytest.mark.parametrize(
        ("defaults", "own", "query"),
        [
            ("{a: 1}", "{}", "a=1"),
            ("{a: 1, b: x y}", "{a: 2}", "a=2&b=x%20y"),
            ("{}", "{a: [1, true, 'ü&='], b: ''}", "a=1&a=true&a=%C3%BC%26%3D&b="),
            ("{a: 1.5}", "{b: false}", "a=1.5&b=false"),
        ],
    )
    def test_query_parameters_are_merged_with_the_apis_winning(self, defaults, own, query):
        app = f"{{baseUrl: 'https://x.example', defaults: {{query: {defaults}}}}}"
        assert request(f"{{path: /, query: {own}}}", app).url == f"https://x.example/?{query}"

    def test_a_parameter_in_the_path_stays_and_stands_before_a_default(self):
        app = "{baseUrl: 'https://x.example?k=0', defaults: {query: {a: 1, k: 1, c: 3}}}"
        assert request("{path: '/?a=7', query: {d: 4}}", app).url == "https://x.example/?k=0&a=7&k=1&c=3&d=4"


class TestHeadersAndBody:
    def test_headers_are_merged_whatever_their_capitals(self):
        app = "{baseUrl: 'https://x.example', defaults: {headers: {accept: text/plain, X-A: '1'}}}"
        assert request("{path: /, headers: {Accept: application/json}}", app).headers == {
            "X-A": "1",
            "Accept": "application/json",
        }

    @pytest.mark.parametrize(
        ("body", "sent", "content_type"),
        [
            ("json: {b: [1, null, ü], a: 1.5}", '{"b":[1,null,"ü"],"a":1.5}', "application/json"),
            ("json: null", "null", "application/json"),
            ("form: {a: 1, b: [x y, 'ü']}", "a=1&b=x+y&b=%C3%BC", "application/x-www-form-urlencoded"),
            ("text: <a/>", "<a/>", "text/plain; charset=utf-8"),
            ("text: ''", "", "text/plain; charset=utf-8"),
            ("text: <a/>, contentType: application/xml", "<a/>", "application/xml"),
            ("json: 1, headers: {content-type: application/vnd.x+json}", "1", "application/vnd.x+json"),
        ],
    )
    def test_a_body_goes_out_with_its_content_type(self, body, sent, content_type):
        found = request(f"{{method: POST, path: /, {body}}}")
        assert found.body == sent
        assert [value for name, value in found.headers.items() if name.lower() == "content-type"] == [content_type]

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            ("json: 1", "application/vnd.x+json"),
            ("text: x", "application/vnd.x+json"),
            ("form: {a: 1}", "application/x-www-form-urlencoded"),
            ("text: x, contentType: text/csv", "text/csv"),
        ],
    )
    def test_an_inherited_content_type_is_used_where_it_fits(self, body, content_type):
        app = "{baseUrl: 'https://x.example', defaults: {headers: {content-type: application/vnd.x+json}}}"
        headers = request(f"{{method: POST, path: /, {body}}}", app).headers
        assert [value for name, value in headers.items() if name.lower() == "content-type"] == [content_type]


class TestSchedules:
    def test_an_h_is_derived_from_the_key_so_that_jobs_are_spread(self):
        texts = {f"b{i}": api(name=f"job-{i}", schedule="H H * * *") for i in range(20)}
        jobs = desired(a=application(), **texts).jobs.values()
        assert len({each.schedule.cron for each in jobs}) > 15
        assert {each.schedule.declared for each in jobs} == {"H H * * *"}

    def test_bounds_are_wall_time_in_the_zone(self):
        found = job("startsAt: 2026-01-01\n  timeZone: Asia/Tokyo\n  request: {path: /}", schedule="{every: 1h}")
        assert found.schedule.starts_at == datetime(2025, 12, 31, 15, tzinfo=UTC)
        assert found.schedule.every == timedelta(hours=1)

    def test_the_zone_of_the_schedule_itself_wins_over_the_applications(self):
        app = "{baseUrl: 'https://x.example', defaults: {timeZone: Asia/Tokyo}}"
        assert job(app=app, schedule="{cron: '0 2 * * *', timeZone: Europe/Berlin}").schedule.zone == "Europe/Berlin"

    @pytest.mark.parametrize(
        ("schedule", "spec", "place", "said"),
        [
            ("61 * * * *", "", "10:13: spec.schedule", "minute"),
            ("0 0 30 2 *", "", "10:13: spec.schedule", "no year"),
            ("{frequency: yearly, month: 2, day: 30}", "", "10:13: spec.schedule", "no year"),
            (
                "{every: 1h, timeZone: UTC}",
                "\n  timeZone: Asia/Tokyo",
                "12:13: spec.timeZone",
                "`timeZone` is given twice, here and in `schedule`; remove one of them",
            ),
            ("{every: 1h, startsAt: 2026-01-01}", "\n  startsAt: 2026-01-01", "12:13: spec.startsAt", "given twice"),
            ("{every: 1h, endsAt: 2026-01-01}", "\n  endsAt: 2026-01-01", "12:11: spec.endsAt", "given twice"),
            (
                "'@daily'",
                "\n  startsAt: 2026-02-01\n  endsAt: 2026-01-01T00:00:00+02:00",
                "13:11: spec.endsAt",
                "lies before startsAt",
            ),
            (
                "{every: 1h, startsAt: 2026-02-01, endsAt: 2026-01-01}",
                "",
                "10:13: spec.schedule",
                "lies before startsAt",
            ),
        ],
    )
    def test_a_schedule_without_meaning_is_a_problem_at_its_place(self, schedule, spec, place, said):
        (found,) = complaints(a=application() + api(schedule=schedule, spec="request: {path: /}" + spec))
        assert found.startswith(f"a.yaml:{place}: ")
        assert said in found


class TestProblems:
    @pytest.mark.parametrize(
        ("app", "spec", "message"),
        [
            ("{}", "request: {}", "give `url`, or `path` and the Application's `baseUrl`"),
            ("{baseUrl: 'https://x.example'}", "request: {}", "give `path` or `url`"),
            ("{}", "request: {path: /}", "`path` needs the Application's `baseUrl`; give that, or `url`"),
        ],
    )
    def test_a_request_without_an_address(self, app, spec, message):
        expected = f"b.yaml:6:12: spec.request: {message}"
        assert complaints(a=application(spec=app), b=api(spec=spec)) == [expected]

    def test_a_request_that_is_left_out_is_missed_where_the_api_begins(self):
        assert complaints(a=application(), b=api(spec="suspend: true")) == [
            "b.yaml:1:1: spec.request: give `path` or `url`"
        ]

    def test_every_fault_of_an_api_is_said_at_once(self):
        found = complaints(a=application(spec="{}"), b=api(schedule="'61 * * * *'"))
        assert [each.split(": ")[1] for each in found] == ["spec.schedule", "spec.request"]

    def test_an_inline_api_is_named_by_its_index(self):
        spec = "{baseUrl: 'https://x.example', apis: [{name: a, schedule: '@daily', request: {}}]}"
        (found,) = complaints(a=application(spec=spec))
        assert found == "a.yaml:4:84: spec.apis[0].request: give `path` or `url`"

    def test_two_applications_of_one_name_name_each_other(self):
        assert complaints(a=application(), b=application() + api(), c="\n" + application()) == [
            "a.yaml:3:18: metadata.name: another Application has this name: b.yaml:3",
            "b.yaml:3:18: metadata.name: another Application has this name: a.yaml:3",
            "c.yaml:4:18: metadata.name: another Application has this name: a.yaml:3",
        ]

    def test_two_apis_of_one_name_name_each_other(self):
        inline = "{baseUrl: 'https://x.example', apis: [{name: fetch, schedule: '@daily', request: {path: /}}]}"
        assert complaints(a=application(spec=inline), b=api(), c="\n" + api()) == [
            "a.yaml:4:52: spec.apis[0].name: another Api of billing has this name: b.yaml:3",
            "b.yaml:3:18: metadata.name: another Api of billing has this name: a.yaml:4",
            "c.yaml:4:18: metadata.name: another Api of billing has this name: a.yaml:4",
        ]

    def test_apis_of_one_name_in_two_applications_are_no_problem(self):
        result = desired(a=application() + application("dunning"), b=api() + api(owner="dunning"))
        assert set(result.jobs) == {JobKey("billing", "fetch"), JobKey("dunning", "fetch")}

    @pytest.mark.parametrize(
        ("owner", "hint"), [("biling", " (did you mean `billing`?)"), ("zzz", "")], ids=["near", "far"]
    )
    def test_an_api_of_an_application_that_does_not_exist(self, owner, hint):
        result = desired(a=application(), b=api(owner=owner))
        column = 38
        assert [str(each) for each in result.problems] == [
            f"b.yaml:3:{column}: metadata.application: there is no Application `{owner}`{hint}"
        ]
        # Whose it was is not known; so it must not seem that billing/fetch was removed.
        assert result.broken == {"b.yaml"}
        assert set(result.held) == {owner}

    def test_its_application_may_stand_in_a_file_that_cannot_be_read(self):
        found = complaints(a="kind: Application\n\tx", b=api(owner="zzz"))
        assert found[1].endswith("there is no Application `zzz`; it may stand in a.yaml, which cannot be read in full")
        found = complaints(b=api(owner="zzz") + "\tx\n")
        assert found[0].endswith("there is no Application `zzz`; it may stand in b.yaml, which cannot be read in full")


class TestHeld:
    FINE = application("fine") + api(owner="fine")

    @pytest.mark.parametrize(
        "texts",
        [
            {"a": application(), "b": api() + api(name="other", schedule="5")},
            {"a": application(), "b": api() + api(name="other", schedule="'61 * * * *'")},
            {"a": application(spec="{baseUrl: 5}"), "b": api()},
            {"a": application(), "b": api() + api()},
            {"a": application(), "b": application(), "c": api()},
            {"a": application(spec="{apis: [{name: x}]}"), "b": api()},
        ],
        ids=["invalid api", "bad schedule", "invalid application", "api twice", "application twice", "invalid inline"],
    )
    def test_an_application_with_a_problem_has_no_jobs_and_the_others_go_on(self, texts):
        result = desired(fine=self.FINE, **texts)
        assert set(result.jobs) == {JobKey("fine", "fetch")}
        assert set(result.held) == {"billing"}
        assert result.held["billing"] == result.problems != ()
        assert result.broken == frozenset()

    def test_an_application_that_is_invalid_makes_no_noise_about_its_apis(self):
        assert len(complaints(a=application(spec="{baseUrl: 5}"), b=api() + api(name="other"))) == 1

    def test_an_invalid_api_of_an_application_that_does_not_exist_leaves_it_open_whose_it_was(self):
        result = desired(fine=self.FINE, b=api(schedule="5", owner="biling"))
        assert set(result.held) == {"biling"}
        assert result.broken == {"b.yaml"}

    def test_files_that_cannot_be_read_are_named_and_hold_nobody(self):
        result = desired(fine=self.FINE, b="a: [", c="- no manifest\n")
        assert result.broken == {"b.yaml", "c.yaml"}
        assert result.held == {}
        assert set(result.jobs) == {JobKey("fine", "fetch")}

    def test_problems_are_sorted_by_place_whoever_found_them(self):
        result = desired(b="a: [", a=application() + api(schedule="'61 * * * *'") + "foo: 1\n")
        places = [(each.file, each.line) for each in result.problems]
        assert places == sorted(places)
        assert len(places) == 4


class TestReuse:
    def test_jobs_of_unchanged_declarations_are_the_same_objects(self):
        files = parsed(a=application(), b=api(), c=api(name="other"), d=api(name="bad", schedule="'61 * * * *'"))
        before = build(files)
        files |= parsed(c=api(name="other", schedule="'@hourly'"), d=api(name="bad"))
        after = build(files, before)
        assert after == build(files)
        assert before.jobs == {}  # held, but not forgotten
        again = build(files, after)
        assert all(again.jobs[key] is after.jobs[key] for key in after.jobs)
        changed = build(files | parsed(c=api(name="other")), after)
        assert [key.api for key in after.jobs if changed.jobs[key] is not after.jobs[key]] == ["other"]

    @pytest.mark.parametrize("place", ["ab", "c"])
    def test_a_name_that_is_taken_by_a_new_file_is_taken_wherever_that_one_stands(self, place):
        files = parsed(a=application(), b=api())
        before = build(files)
        files |= parsed(**{place: api()})
        after = build(files, before)
        assert after == build(files)
        assert len(after.held["billing"]) == 2

    def test_an_application_that_changes_changes_its_jobs(self):
        files = parsed(a=application(), b=api())
        before = build(files)
        after = build(files | parsed(a=application(spec="{baseUrl: 'https://y.example'}")), before)
        assert [each.request.url for each in after.jobs.values()] == ["https://y.example/"]

    def test_one_changed_file_among_many_costs_little(self):
        files = parsed(a=application(), **{f"b{i}": api(name=f"job-{i}") for i in range(2000)})
        before = build(files)
        files |= parsed(b7=api(name="job-7", schedule="'@hourly'"))
        started = time.perf_counter()
        after = build(files, before)
        assert time.perf_counter() - started < 0.1
        assert sum(after.jobs[key] is not before.jobs[key] for key in before.jobs) == 1

    def test_equal_parts_of_jobs_are_shared(self):
        app = "{baseUrl: 'https://x.example', defaults: {headers: {A: b}, retry: {limit: 2}, expect: {status: [200]}}}"
        spec = "request: {path: /, headers: {C: d}}\n  retry: {factor: 3}"
        one, other = desired(a=application(spec=app), b=api(spec=spec), c=api(name="other", spec=spec)).jobs.values()
        assert one.retry is other.retry
        assert one.expect is other.expect
        assert one.schedule is other.schedule
        assert one.request.headers is other.request.headers
        assert one.labels is other.labels


OTHER = {
    "key": JobKey("a", "c"),
    "description": "x",
    "labels": {"a": "b"},
    "schedule": Schedule(declared="1 * * * *", cron="1 * * * *"),
    "request": HttpRequest(method="GET", url="https://y.example/"),
    "expect": Expectation(contains="x"),
    "retry": RetryPolicy(limit=1),
    "timeout": timedelta(seconds=1),
    "concurrency_policy": "Allow",
    "starting_deadline": timedelta(seconds=1),
    "catch_up": "all",
    "delivery": "atMostOnce",
    "jitter": timedelta(seconds=1),
    "suspend": True,
    "max_concurrency": 1,
    "max_rate": Rate(1, timedelta(1)),
    "stop_after_failures": 1,
    "derived_from": "a/old",
    "auth": Auth(kind="bearer", secrets=(SecretUse(place="auth:token", ref=SecretRef(kind="env", name="B")),)),
}
INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
OTHER_PARTS = {
    "schedule": {
        "declared": "x",
        "cron": "x",
        "every": timedelta(1),
        "at": INSTANT,
        "zone": "Asia/Tokyo",
        "starts_at": INSTANT,
        "ends_at": INSTANT,
        "after": After(key=JobKey("a", "c")),
        "but_not": (Calendar(name="c"),),
        "only": (Calendar(name="c"),),
    },
    "request": {
        "method": "PUT",
        "url": "https://y.example/",
        "headers": {"A": "b"},
        "body": "",
        "follow_redirects": 1,
        "secrets": (SecretUse(place="header:A", ref=SecretRef(kind="env", name="B")),),
    },
    "expect": {"status": ("3xx",), "contains": ""},
    "retry": {"limit": 1, "initial_delay": timedelta(2), "factor": 3.0, "max_delay": timedelta(2)},
}


class TestDigest:
    BASE = Job(
        key=JobKey("a", "b"),
        schedule=Schedule(declared="0 * * * *", cron="0 * * * *"),
        request=HttpRequest(method="GET", url="https://x.example/"),
    )

    @pytest.mark.parametrize("name", [each.name for each in fields(Job) if each.name not in ("file", "line", "digest")])
    def test_every_field_of_a_job_counts(self, name):
        assert digest(replace(self.BASE, **{name: OTHER[name]})) != digest(self.BASE)

    @pytest.mark.parametrize(
        ("part", "name"),
        [
            (part, each.name)
            for part, kind in (
                ("schedule", Schedule),
                ("request", HttpRequest),
                ("expect", Expectation),
                ("retry", RetryPolicy),
            )
            for each in fields(kind)
        ],
    )
    def test_every_field_of_its_parts_counts(self, part, name):
        changed = replace(getattr(self.BASE, part), **{name: OTHER_PARTS[part][name]})
        assert digest(replace(self.BASE, **{part: changed})) != digest(self.BASE)

    def test_where_it_stands_does_not_count_nor_the_order_of_labels_and_headers(self):
        assert digest(replace(self.BASE, file="x", line=9, digest="x")) == digest(self.BASE)
        one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
        assert digest(replace(self.BASE, labels=one)) == digest(replace(self.BASE, labels=other))

    def test_it_is_the_same_on_every_machine(self):
        assert digest(self.BASE) == "04f059d53133c2329fd8c6bcafa77559"


def test_every_problem_is_told_at_once_also_what_only_resolving_finds():
    text = b"""apiVersion: reconciler/v1
kind: Application
metadata: {name: shop}
spec:
  baseUrl: http://127.0.0.1:1
  apis:
    - {name: one, schedule: "0 25 * * *", request: {path: /}}
    - {name: two, schedule: "@daily", timeZone: Europe/Berln, request: {path: /}}
    - {name: three, schedule: {at: 2026-02-30}, request: {path: /}}
    - {name: four, schedule: "0 0 30 2 *", timeout: soon, request: {path: /}}
    - not a mapping
---
apiVersion: reconciler/v1
kind: Api
metadata: {name: five, application: shop}
spec: {schedule: "0 99 * * *", request: {path: /}}
---
apiVersion: reconciler/v1
kind: Api
metadata: {name: six, application: shop}
spec: {schedule: {every: 1h, timeZone: UTC}, timeZone: UTC, request: {path: /}}
---
apiVersion: reconciler/v1
kind: Api
metadata: {name: seven, application: shop}
spec: nothing
"""
    found = build({"shop.yaml": parse("shop.yaml", text)}).problems
    assert [(problem.line, problem.field) for problem in found] == [
        (7, "spec.apis[0].schedule"),
        (8, "spec.apis[1].timeZone"),
        (9, "spec.apis[2].schedule.at"),
        (10, "spec.apis[3].schedule"),
        (10, "spec.apis[3].timeout"),
        (11, "spec.apis[4]"),
        (16, "spec.schedule"),
        (21, "spec.timeZone"),
        (26, "spec"),
    ]


def test_an_api_of_an_application_that_stands_twice_is_looked_at_all_the_same():
    application = b"apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: shop}\nspec: {}\n"
    api = b"""apiVersion: reconciler/v1
kind: Api
metadata: {name: one, application: shop}
spec: {schedule: "0 99 * * *", request: {url: "http://127.0.0.1:1/"}}
"""
    files = {"a.yaml": application, "b.yaml": application, "c.yaml": api}
    found = build({name: parse(name, text) for name, text in files.items()}).problems
    assert [(problem.file, problem.field) for problem in found] == [
        ("a.yaml", "metadata.name"),
        ("b.yaml", "metadata.name"),
        ("c.yaml", "spec.schedule"),
    ]
