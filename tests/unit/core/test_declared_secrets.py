"""From a reference in a manifest to a job that names it, and what people see of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.changes import Action, Change, flatten, shown
from reconciler.core.declared_records import decode_job, encode_job
from reconciler.core.desired import Desired, build
from reconciler.core.inherit import digest
from reconciler.core.manifests import parse
from reconciler.core.model import HttpRequest, JobKey, Overrides, SecretRef, SecretUse
from reconciler.core.redirects import Refusal, follow
from reconciler.core.runs import apply_overrides
from reconciler.errors import StoreError
from tests.fakes import job_of, stored_job

SEALED = f"v1.0a1b2c3d.{'A' * 64}"
OTHER_SEALED = f"v1.0a1b2c3d.{'B' * 64}"


def env(name: str) -> SecretRef:
    return SecretRef(kind="env", name=name)


def use(place: str, name: str = "KEY", **fields) -> SecretUse:
    return SecretUse(place=place, ref=env(name), **fields)


def built(request: str, defaults: str = "{}", environment: str = "") -> Desired:
    text = (
        "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing}\n"
        f"spec:\n  baseUrl: https://x.example\n  defaults: {defaults}\n"
        f"  apis: [{{name: nightly, schedule: '@daily', request: {request}}}]\n"
    )
    if environment:
        text += (
            "---\napiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\n"
            f"spec: {{patches: [{environment}]}}\n"
        )
    return build({"f.yaml": parse("f.yaml", text.encode())}, environment="staging" if environment else None)


def request_of(request: str, defaults: str = "{}", environment: str = "") -> HttpRequest:
    desired = built(request, defaults, environment)
    assert desired.problems == ()
    return desired.jobs[JobKey("billing", "nightly")].request


class TestResolving:
    def test_a_header_parameter_or_form_value_is_left_out_and_named(self):
        request = request_of(
            "{method: POST, path: /, headers: {A: b, X-Key: {env: K}}, query: {a: 1, t: {file: /x}}, "
            "form: {u: me, p: {env: P}}}"
        )
        assert (request.url, request.body) == ("https://x.example/?a=1", "u=me")
        assert dict(request.headers) == {"A": "b", "Content-Type": "application/x-www-form-urlencoded"}
        assert request.secrets == (
            SecretUse(place="query:t", ref=SecretRef(kind="file", name="/x")),
            use("header:X-Key", "K"),
            use("form:p", "P"),
        )

    def test_a_json_body_has_null_at_its_place(self):
        request = request_of("{method: POST, path: /, json: {a: {$secret: {env: K}}, b: [1, {$secret: {env: L}}]}}")
        assert request.body == '{"a":null,"b":[1,null]}'
        assert request.secrets == (use("body:/a", "K"), use("body:/b/1", "L"))

    def test_those_of_the_application_are_inherited_and_the_apis_win(self):
        defaults = "{headers: {X-Key: {env: K}, Y: {env: YY}}, query: {t: {env: T}, u: {env: U}, v: plain}}"
        request = request_of("{path: '/?u=1', headers: {x-key: mine}, query: {t: mine, v: {env: V}}}", defaults)
        assert dict(request.headers) == {"x-key": "mine"}
        assert request.url == "https://x.example/?u=1&t=mine"
        assert request.secrets == (use("query:v", "V"), use("header:Y", "YY"))

    def test_a_sealed_value_tells_for_whom_it_is(self):
        request = request_of(
            f"{{path: /, query: {{t: {{sealed: {SEALED}}}}}}}", f"{{headers: {{X-Key: {{sealed: {SEALED}}}}}}}"
        )
        assert [each.field("nightly") for each in request.secrets] == ["api/nightly/query:t", "header:x-key"]

    def test_a_malformed_reference_is_a_problem_at_its_place(self):
        found = built("{path: /, headers: {X: {evn: A}}, query: {t: {env: RECONCILER_X}}}").problems
        assert [(one.line, one.field) for one in found] == [
            (7, "spec.apis[0].request.headers.X"),
            (7, "spec.apis[0].request.query.t"),
        ]

    @pytest.mark.parametrize("defaults", ["{}", "{headers: {X-Key: {env: K}}}"])
    def test_a_content_type_may_be_a_reference(self, defaults):
        request = request_of("{method: POST, path: /, text: x, headers: {Content-Type: {env: T}}}", defaults)
        assert "Content-Type" not in request.headers


class TestPatches:
    BASE = "{method: POST, path: /, headers: {X: {env: A}, Y: plain}, json: {a: {$secret: {env: A}}, b: {c: 1}}}"

    @pytest.mark.parametrize(
        ("patch", "expected"),
        [
            ("{headers: {X: {file: /x}}}", SecretUse(place="header:X", ref=SecretRef(kind="file", name="/x"))),
            ("{headers: {x: {env: B}}}", use("header:x", "B")),
            ("{headers: {Y: {env: B}}}", use("header:Y", "B")),
            ("{query: {t: {env: B}}}", use("query:t", "B")),
            ("{json: {a: {$secret: {file: /x}}}}", SecretUse(place="body:/a", ref=SecretRef(kind="file", name="/x"))),
            ("{json: {b: {$secret: {env: B}}}}", use("body:/b", "B")),
        ],
    )
    def test_a_reference_replaces_what_stood_there(self, patch, expected):
        patched = f"{{application: billing, api: nightly, spec: {{request: {patch}}}}}"
        assert expected in request_of(self.BASE, environment=patched).secrets

    def test_data_and_text_replace_a_reference(self):
        patched = "{application: billing, api: nightly, spec: {request: {headers: {X: x}, json: {a: {d: 1}}}}}"
        request = request_of(self.BASE, environment=patched)
        assert (request.headers["X"], request.body, request.secrets) == ("x", '{"a":{"d":1},"b":{"c":1}}', ())

    def test_one_of_the_application_can_be_patched(self):
        patched = "{application: billing, spec: {defaults: {headers: {X: {env: B}}}}}"
        request = request_of("{path: /}", "{headers: {X: {file: /x}}}", environment=patched)
        assert request.secrets == (use("header:X", "B"),)

    def test_a_malformed_one_is_told_at_the_patch(self):
        patched = "{application: billing, api: nightly, spec: {request: {headers: {X: {evn: A}}}}}"
        (problem,) = built("{path: /}", environment=patched).problems
        assert problem.field == "spec.patches[0].spec.request.headers.X"


class TestRecords:
    USES = (
        use("header:X"),
        SecretUse(place="query:t", ref=SecretRef(kind="file", name="/x")),
        SecretUse(place="body:/a", ref=SecretRef(kind="sealed", name=SEALED), shared=True),
    )

    def test_they_are_kept_with_the_job_and_count_in_its_digest(self):
        plain = job_of()
        job = job_of(request=replace(plain.request, secrets=self.USES))
        assert digest(job) != digest(plain)
        stored = replace(stored_job(), job=job)
        assert decode_job(encode_job(stored)) == stored

    def test_a_job_of_an_older_version_has_none(self):
        document = encode_job(stored_job())
        del document["request"]["secrets"]
        assert decode_job(document).job.request.secrets == ()

    @pytest.mark.parametrize("change", [{"kind": "vault"}, {"name": "RECONCILER_STORE"}, {"shared": 1}])
    def test_one_that_was_edited_into_nonsense_is_refused(self, change):
        document = encode_job(replace(stored_job(), job=job_of(request=replace(job_of().request, secrets=self.USES))))
        document["request"]["secrets"][0] |= change
        with pytest.raises(StoreError, match="cannot be read"):
            decode_job(document)


class TestShowing:
    def job(self, *uses: SecretUse, **fields):
        return job_of(request=HttpRequest(method="GET", url="https://x.example/?token=abc&a=1", secrets=uses, **fields))

    def test_a_reference_is_shown_and_never_a_value(self):
        sealed = SecretRef(kind="sealed", name=SEALED)
        table = shown(
            self.job(
                use("header:Authorization"),
                use("body:"),
                SecretUse(place="query:t", ref=sealed),
                SecretUse(place="body:/a", ref=sealed, shared=True),
            )
        )
        assert table["header Authorization"] == "(env KEY)"
        assert table["body"] == "(env KEY)"
        assert table["query t"].startswith("(sealed, key 0a1b2c3d, text ")
        assert table["body /a"].endswith(", of the Application)")
        assert table["request"] == "GET https://x.example/?token=***&a=1"

    def test_a_change_shows_the_old_and_the_new_reference(self):
        change = Change(
            action=Action.CHANGE,
            key=JobKey("a", "b"),
            before=self.job(use("header:X-Key", "OLD")),
            after=self.job(SecretUse(place="header:X-Key", ref=SecretRef(kind="sealed", name=SEALED))),
        )
        (field,) = change.fields
        assert (field.field, field.before) == ("header X-Key", "(env OLD)")
        assert field.after.startswith("(sealed, key 0a1b2c3d, text ")

    def test_two_sealed_values_of_one_key_are_told_apart(self):
        one, other = (
            flatten(self.job(SecretUse(place="header:X", ref=SecretRef(kind="sealed", name=each))))["header X"]
            for each in (SEALED, OTHER_SEALED)
        )
        assert one != other

    def test_what_is_written_out_and_usually_a_credential_is_masked_and_still_a_change(self):
        before = self.job(headers={"Authorization": "Basic abc", "X-Env": "a"})
        after = self.job(headers={"Authorization": "(env NOT)", "X-Env": "b"})
        change = Change(action=Action.CHANGE, key=JobKey("a", "b"), before=before, after=after)
        assert [(one.field, one.before, one.after) for one in change.fields] == [
            ("header Authorization", "***", "*** (another value)"),
            ("header X-Env", "a", "b"),
        ]
        assert shown(after)["header Authorization"] == "***"


class TestOverrides:
    REQUEST = HttpRequest(
        method="POST",
        url="https://x.example/",
        body='{"a":null}',
        secrets=(use("header:X-Key"), use("query:t"), use("body:/a"), use("query:T")),
    )

    def test_what_is_replaced_needs_its_secret_no_more(self):
        made = apply_overrides(self.REQUEST, Overrides(headers={"x-key": "a"}, query={"t": "b"}))
        assert [each.place for each in made.secrets] == ["body:/a", "query:T"]
        made = apply_overrides(self.REQUEST, Overrides(json={"b": 1}, has_json=True))
        assert [each.place for each in made.secrets] == ["header:X-Key", "query:t", "query:T"]


class TestRedirects:
    def request(self, *places: str, method: str = "GET", body: str | None = None) -> HttpRequest:
        return HttpRequest(
            method=method,
            url="https://x.example/",
            headers={"X-Tenant": "value", "Accept": "a"},
            body=body,
            follow_redirects=5,
            secrets=tuple(map(use, places)),
        )

    def test_a_header_that_holds_a_secret_stays_with_its_host_whatever_its_name(self):
        there = follow(self.request("header:x-tenant"), 302, "https://y.example/", followed=0)
        assert dict(there.headers) == {"Accept": "a"}
        here = follow(self.request("header:x-tenant"), 302, "/other", followed=0)
        assert dict(here.headers) == {"X-Tenant": "value", "Accept": "a"}

    @pytest.mark.parametrize("where", ["body:/a", "form:p"])
    def test_a_body_that_holds_a_secret_stays_with_its_host(self, where):
        request = self.request(where, method="POST", body="value")
        found = follow(request, 307, "https://y.example/", followed=0)
        assert isinstance(found, Refusal)
        assert "the body holds a secret" in found
        assert follow(request, 307, "/other", followed=0).body == "value"
        assert follow(request, 303, "https://y.example/", followed=0).body is None
