"""From `auth` in a manifest to how a job's calls authenticate, and what people see of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.core.auth import digest, headers_set
from reconciler.core.changes import flatten, shown
from reconciler.core.declared_records import decode_job, encode_job
from reconciler.core.desired import Desired, build
from reconciler.core.manifests import parse
from reconciler.core.model import Auth, HttpRequest, JobKey, SecretRef, SecretUse
from reconciler.core.views import job_view
from reconciler.errors import StoreError
from tests.fakes import START, job_of, stored_job

KEY = JobKey("billing", "nightly")
SEALED = f"v1.0a1b2c3d.{'A' * 64}"


def use(place: str, name: str = "K", **fields) -> SecretUse:
    return SecretUse(place=place, ref=SecretRef(kind="env", name=name), **fields)


def built(
    auth: str = "", own: str = "", *, more: str = "", request: str = "{path: /}", environment: str = ""
) -> Desired:
    text = (
        "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing}\n"
        f"spec:\n  {more or 'baseUrl: https://x.example/v1'}\n"
        + (f"  auth: {auth}\n" if auth else "")
        + f"  apis:\n    - name: nightly\n      schedule: '@daily'\n      request: {request}\n"
        + (f"      auth: {own}\n" if own else "")
    )
    if environment:
        text += (
            "---\napiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\n"
            f"spec: {{patches: [{environment}]}}\n"
        )
    return build({"f.yaml": parse("f.yaml", text.encode())}, environment="staging" if environment else None)


def auth_of(auth: str = "", own: str = "", **more: str) -> Auth | None:
    desired = built(auth, own, **more)
    assert desired.problems == ()
    return desired.jobs[KEY].auth


class TestResolving:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            (
                "{basic: {username: me, password: {env: K}}}",
                Auth(kind="basic", username="me", secrets=(use("auth:password"),)),
            ),
            (
                "{basic: {username: {env: U}, password: {env: K}}}",
                Auth(kind="basic", secrets=(use("auth:username", "U"), use("auth:password"))),
            ),
            ("{bearer: {token: {env: K}}}", Auth(kind="bearer", secrets=(use("auth:token"),))),
            (
                "{header: {name: X-Key, value: {env: K}}}",
                Auth(kind="header", header="X-Key", secrets=(use("auth:value"),)),
            ),
            ("{hmac: {secret: {env: K}}}", Auth(kind="hmac", secrets=(use("auth:secret"),))),
            (
                "{hmac: {secrets: [{env: K}, {env: L}]}}",
                Auth(kind="hmac", secrets=(use("auth:secret"), use("auth:secret", "L"))),
            ),
        ],
    )
    def test_ways_that_ask_for_nothing(self, written, expected):
        assert auth_of(written) == auth_of(own=written) == expected
        assert not expected.is_fetched

    def test_client_credentials(self):
        auth = auth_of(
            "{oauth2: {tokenUrl: 'https://t.example/x', clientId: me, clientSecret: {env: K}, "
            "scopes: [a], audience: b}}"
        )
        assert auth.request == HttpRequest(
            method="POST",
            url="https://t.example/x",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        )
        assert (auth.username, auth.scopes, auth.audience, auth.style) == ("me", ("a",), "b", "basic")
        assert (auth.secrets, auth.is_fetched) == ((use("auth:clientSecret"),), True)

    def test_a_handshake_is_below_the_base_url_unless_it_says_where(self):
        plain = auth_of("{handshake: {}}").request
        assert (plain.method, plain.url) == ("POST", "https://x.example/v1/auth/handshake")
        assert (plain.headers, plain.body) == ({"Accept": "application/json"}, None)
        assert auth_of("{handshake: {path: /hi, query: {a: b}}}").request.url == "https://x.example/v1/hi?a=b"
        other = auth_of("{handshake: {url: 'https://y.example/', method: GET}}").request
        assert (other.method, other.url) == ("GET", "https://y.example/")

    def test_a_handshake_has_secrets_of_its_own(self):
        auth = auth_of("{handshake: {headers: {X: {env: A}}, query: {q: {env: B}}, json: {p: {$secret: {env: C}}}}}")
        assert auth.request.body == '{"p":null}'
        assert auth.request.secrets == ()
        assert auth.secrets == (use("auth:query:q", "B"), use("auth:header:X", "A"), use("auth:body:/p", "C"))

    def test_an_api_has_its_own_or_none(self):
        base = "{bearer: {token: {env: K}}}"
        assert auth_of(base, "{none: true}") is None
        assert auth_of(base, "{header: {name: X, value: {env: K}}}").kind == "header"
        assert auth_of() is None

    def test_sealed_values_tell_for_whom_they_are(self):
        written = f"{{handshake: {{headers: {{X-Key: {{sealed: {SEALED}}}}}}}}}"
        assert [each.field("nightly") for each in auth_of(written).secrets] == ["auth:header:x-key"]
        assert [each.field("nightly") for each in auth_of(own=written).secrets] == ["api/nightly/auth:header:x-key"]

    def test_all_apis_share_what_the_application_declares(self):
        written = "{bearer: {token: {env: K}}}"
        more = "defaults: {timeout: 3s}\n  baseUrl: https://x.example"
        assert auth_of(written, more=more) == auth_of(written)


class TestProblems:
    def test_a_handshake_needs_an_address(self):
        (problem,) = built(
            own="{handshake: {}}", more="description: no address", request="{url: 'https://x.example/'}"
        ).problems
        assert (problem.line, problem.field) == (10, "spec.apis[0].auth")
        assert problem.message.startswith("the `path` of a handshake needs the Application's `baseUrl`")

    @pytest.mark.parametrize("header", ["Authorization: x", "authorization: {env: K}"])
    @pytest.mark.parametrize("auth", ["{bearer: {token: {env: K}}}", "{handshake: {}}"])
    def test_a_header_that_it_sets_is_declared_nowhere_else(self, auth, header):
        (problem,) = built(own=auth, request=f"{{path: /, headers: {{{header}}}}}").problems
        assert problem.field == "spec.apis[0].auth"
        assert problem.message.startswith("the header `authorization` is declared among `headers` too")

    def test_every_problem_is_told_also_beside_others(self):
        found = built(own="{handshake: {}}", more="description: no address").problems
        assert [problem.field for problem in found] == ["spec.apis[0].request", "spec.apis[0].auth"]

    def test_each_way_says_which_headers_it_sets(self):
        assert headers_set(Auth(kind="header", header="X-Key")) == ("x-key",)
        assert headers_set(Auth(kind="hmac")) == ("webhook-id", "webhook-timestamp", "webhook-signature")


class TestPatches:
    BASE = "{basic: {username: me, password: {env: K}}}"

    def patched(self, patch: str, base: str = BASE) -> Auth | None:
        return auth_of(base, environment=f"{{application: billing, spec: {{auth: {patch}}}}}")

    def test_a_field_is_replaced(self):
        assert self.patched("{basic: {username: other}}") == auth_of("{basic: {username: other, password: {env: K}}}")

    def test_a_reference_replaces_another_one(self):
        patched = self.patched("{basic: {password: {file: /x}}}")
        assert patched.secrets[0].ref == SecretRef(kind="file", name="/x")
        assert self.patched("{basic: {username: {env: U}}}").secrets[0] == use("auth:username", "U")

    def test_another_way_replaces_the_declared_one(self):
        assert self.patched("{bearer: {token: {env: T}}}") == auth_of("{bearer: {token: {env: T}}}")
        assert self.patched("null") is None
        hmac = self.patched("{hmac: {secrets: [{env: A}, {env: B}]}}", "{hmac: {secret: {env: K}}}")
        assert len(hmac.secrets) == 2
        moved = self.patched("{handshake: {url: 'https://y.example/'}}", "{handshake: {path: /x}}")
        assert moved.request.url == "https://y.example/"

    def test_headers_of_a_handshake_are_merged_whatever_their_capitals(self):
        base = "{handshake: {headers: {X: {file: /x}, Y: plain}}}"
        merged = self.patched("{handshake: {headers: {x: {env: B}}}}", base)
        assert merged.secrets == (use("auth:header:x", "B"),)
        assert merged.request.headers == {"Accept": "application/json", "Y": "plain"}

    def test_an_api_can_be_switched_off_in_one_environment(self):
        patch = "{application: billing, api: nightly, spec: {auth: {none: true}}}"
        assert auth_of(self.BASE, self.BASE, environment=patch) is None

    @pytest.mark.parametrize(
        ("patch", "field"),
        [
            ("{application: billing, api: nightly, spec: {auth: {handshake: {}}}}", "spec.patches[0].spec.auth"),
            ("{application: billing, spec: {auth: {handshake: {}}}}", "spec.patches[0].spec.auth"),
            (
                "{application: billing, spec: {auth: {basic: {password: x}}}}",
                "spec.patches[0].spec.auth.basic.password",
            ),
        ],
    )
    def test_a_mistake_is_told_at_the_patch(self, patch, field):
        found = built(more="description: x", request="{url: 'https://x.example/'}", environment=patch).problems
        assert [problem.field for problem in found] == [field]


FULL = Auth(
    kind="handshake",
    request=HttpRequest(method="POST", url="https://x.example/?token=abc", headers={"X-Key": "hidden"}, body="{}"),
    secrets=(use("auth:header:X-Setup"), use("auth:body:/p", "P")),
)
OAUTH2 = Auth(
    kind="oauth2", username="me", request=HttpRequest(method="POST", url="https://t/"), scopes=("a",), audience="b",
    style="body", secrets=(use("auth:clientSecret"),),
)  # fmt: skip


class TestShown:
    def test_references_are_shown_and_usual_credentials_are_not(self):
        assert {name: value for name, value in shown(job_of(auth=FULL)).items() if name.startswith("auth")} == {
            "auth": "handshake",
            "auth request": "POST https://x.example/?token=***",
            "auth header X-Key": "***",
            "auth body": "{}",
            "auth header X-Setup": "(env K)",
            "auth body /p": "(env P)",
        }

    def test_a_handshake_without_a_body_shows_none(self):
        plain = replace(FULL, request=replace(FULL.request, body=None))
        assert "auth body" not in shown(job_of(auth=plain))

    def test_two_secrets_at_one_place_are_both_shown(self):
        auth = Auth(kind="hmac", secrets=(use("auth:secret"), use("auth:secret", "L")))
        assert flatten(job_of(auth=auth))["auth secret"] == "(env K), (env L)"
        view = job_view(stored_job(auth=auth), held=False, last=None, now=START).shape()
        assert (view["auth"], view["secrets"]) == ("hmac", {"auth secret": "env K, env L"})

    def test_client_credentials_are_shown_in_the_words_of_a_manifest(self):
        fields = flatten(job_of(auth=OAUTH2))
        assert (fields["auth clientId"], fields["auth scopes"], fields["auth style"]) == ("me", "a", "body")


class TestDigestsAndRecords:
    @pytest.mark.parametrize("auth", [FULL, OAUTH2, Auth(kind="header", header="X", secrets=(use("auth:value"),))])
    def test_a_job_comes_back_from_its_record(self, auth):
        stored = stored_job(auth=auth)
        assert decode_job(encode_job(stored)) == stored
        assert decode_job(json.loads(json.dumps(encode_job(stored), default=lambda each: each.isoformat()))) == stored

    @pytest.mark.parametrize("change", [{"kind": "kerberos"}, {"kind": "basic"}, {"request": None}, {"secrets": [1]}])
    def test_a_record_without_meaning_is_refused(self, change):
        document = encode_job(stored_job(auth=FULL))
        document["auth"] |= change
        with pytest.raises(StoreError, match="cannot be read"):
            decode_job(document)

    def test_the_digest_is_of_all_that_a_credential_depends_on(self):
        others = [
            replace(FULL, kind="oauth2"),
            replace(FULL, username="x"),
            replace(FULL, scopes=("x",)),
            replace(FULL, audience="x"),
            replace(FULL, style="x"),
            replace(FULL, request=replace(FULL.request, url="https://y/")),
            replace(FULL, request=replace(FULL.request, body=None)),
            replace(FULL, secrets=FULL.secrets[:1]),
            replace(FULL, request=None),
        ]
        assert len({digest(auth, "nightly") for auth in (FULL, *others)}) == len(others) + 1
        assert digest(FULL, "nightly") == digest(FULL, "hourly")

    def test_what_is_sealed_for_an_api_belongs_to_it(self):
        own = replace(FULL, secrets=(SecretUse(place="auth:token", ref=SecretRef(kind="sealed", name=SEALED)),))
        assert digest(own, "nightly") != digest(own, "hourly")
        shared = replace(FULL, secrets=(replace(own.secrets[0], shared=True),))
        assert digest(shared, "nightly") == digest(shared, "hourly")
