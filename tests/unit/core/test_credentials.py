"""Asking for a credential, reading whatever is answered, putting it into a call, signing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core import credentials as core
from reconciler.core.model import Auth, Credential, HttpRequest, Reply, SecretRef, SecretUse
from reconciler.core.redirects import follow
from reconciler.errors import SecretError

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ASK = HttpRequest(method="POST", url="https://t.example/", headers={"Accept": "application/json"})
HANDSHAKE = Auth(kind="handshake", request=ASK)
CALL = HttpRequest(method="POST", url="https://x.example/", headers={"A": "b"}, body="ü")


def use(place: str, name: str = "KEY") -> SecretUse:
    return SecretUse(place=place, ref=SecretRef(kind="env", name=name))


def oauth2(style: str = "basic", **more) -> Auth:
    return Auth(kind="oauth2", request=ASK, style=style, secrets=(use("auth:clientSecret"),), **more)


class TestAsking:
    def test_a_client_is_named_in_a_header_each_part_form_encoded(self):
        request = core.fetching(oauth2(username="me:too"), [(use("auth:clientSecret"), "a b%ü")])
        assert request.headers["Authorization"] == f"Basic {base64.b64encode(b'me%3Atoo:a+b%25%C3%BC').decode()}"
        assert request.body == "grant_type=client_credentials"

    def test_or_in_the_form_with_what_is_asked_for(self):
        auth = oauth2("body", scopes=("a", "b"), audience="them")
        found = [(use("auth:clientId", "ID"), "me"), (use("auth:clientSecret"), "s&t")]
        request = core.fetching(auth, found)
        assert "Authorization" not in request.headers
        assert request.body == (
            "grant_type=client_credentials&scope=a+b&audience=them&client_id=me&client_secret=s%26t"
        )

    def test_a_handshake_is_filled_with_its_secrets(self):
        auth = Auth(kind="handshake", request=HttpRequest(method="POST", url="https://x.example/", body='{"p":null}'))
        found = [(use("auth:header:X"), "one"), (use("auth:body:/p"), "two"), (use("auth:query:q"), "three")]
        request = core.fetching(auth, found)
        assert (request.headers, request.body) == ({"X": "one"}, '{"p":"two"}')
        assert request.url == "https://x.example/?q=three"

    def test_nothing_is_asked_for_what_does_not_change(self):
        with pytest.raises(ValueError, match="nothing is fetched for bearer"):
            core.fetching(Auth(kind="bearer"), [])


def answer(body: object, status: int = 200, **more) -> Reply:
    return Reply(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


def bearer(**more) -> dict[str, object]:
    return {"authType": "BearerToken", "token": "made-up-token"} | more


class TestReading:
    def test_a_token_and_when_it_ends(self):
        read = core.read_answer(HANDSHAKE, answer(bearer(expiresIn=90.5)), NOW)
        assert read == Credential(
            kind="BearerToken",
            secret="made-up-token",
            obtained_at=NOW,
            expires_at=NOW + timedelta(seconds=90.5),
        )

    def test_a_user_and_a_password(self):
        given = {"authType": "Basic", "username": "me", "password": "ü: "}
        read = core.read_answer(HANDSHAKE, answer(given, 201), NOW)
        assert (read.kind, read.username, read.secret, read.expires_at) == ("Basic", "me", "ü: ", None)

    @pytest.mark.parametrize("kind", ["bearertoken", "Bearer", "BEARERTOKEN"])
    def test_capitals_make_no_difference(self, kind):
        assert core.read_answer(HANDSHAKE, answer(bearer(authType=kind)), NOW).kind == "BearerToken"

    @pytest.mark.parametrize(
        ("said", "seconds"),
        [
            ({"expiresIn": "60"}, 60),
            ({"expiresAt": "2026-03-02T09:01:00Z"}, 60),
            ({"expiresAt": "2026-03-02T10:01:00+01:00"}, 60),
            ({"expiresAt": "2026-03-02T09:01:00"}, 60),
            ({"expiresAt": "2026-03-02T09:01:00Z", "expiresIn": 30}, 30),
            ({"expiresIn": 1e300}, 3650 * 86_400),
            ({"expiresIn": None}, None),
        ],
    )
    def test_ends_are_written_in_several_ways(self, said, seconds):
        read = core.read_answer(HANDSHAKE, answer(bearer(**said)), NOW)
        assert read.expires_at == (None if seconds is None else NOW + timedelta(seconds=seconds))

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (Reply(error="no answer within 3s"), "no answer within 3s"),
            (answer(b"busy", 503), "status 503"),
            (answer({"error": "invalid_client"}, 401), "status 401"),
            (answer(b""), "the answer is empty"),
            (answer(b"<html>"), "the answer is HTML, not JSON"),
            (answer(b"hello", content_type="text/html"), "the answer is HTML, not JSON"),
            (answer(b"\xff\xfe"), "the answer is no JSON object"),
            (answer(b"[" * 100_000), "the answer is no JSON object"),
            (answer([1]), "the answer is no JSON object"),
            (answer(b'{"authType": NaN}'), "the answer is no JSON object"),
            (answer({}), "the answer has no `authType`"),
            (answer({"error": "made-up"}), "the answer has no `authType`; it holds an error"),
            (answer({"authType": "Kerberos"}), "the answer's `authType` is neither Basic nor BearerToken"),
            (answer({"authType": 5}), "the answer's `authType` is neither Basic nor BearerToken"),
            (answer({"authType": "BearerToken"}), "the answer has no `token`, or it is no text"),
            (answer(bearer(token="")), "the answer has no `token`, or it is no text"),
            (answer(bearer(token=["made-up"])), "the answer has no `token`, or it is no text"),
            (answer(bearer(token="\ud800")), "the answer's `token` is no text"),
            (answer(bearer(token="made-up\r\nX: y")), "the answer's `token` cannot be sent: a header is one line"),
            (answer(bearer(token="made-up ")), "the answer's `token` begins or ends with a blank"),
            (answer(bearer(token="☃")), "the answer's `token` cannot be sent: a header holds Latin-1"),
            (answer(bearer(token="x" * 17_000)), "the answer's `token` is longer than 16 KiB"),
            (answer({"authType": "Basic", "username": "me"}), "the answer has no `password`"),
            (answer({"authType": "Basic", "username": "a:b", "password": "x"}), "the answer's `username` has a colon"),
            (
                answer({"authType": "Basic", "username": "a", "password": "x\n"}),
                "the answer's `username` or `password`",
            ),
            (answer(bearer(expiresIn=-1)), "the answer's `expiresIn` is not positive"),
            (answer(bearer(expiresIn=0)), "the answer's `expiresIn` is not positive"),
            (answer(bearer(expiresIn=True)), "the answer's `expiresIn` is no number"),
            (answer(bearer(expiresIn="soon")), "the answer's `expiresIn` is no number"),
            (answer(bearer(expiresAt="2026-03-02T08:59:59Z")), "the credential has expired already"),
            (answer(bearer(expiresAt="tomorrow")), "the answer's `expiresAt` is no instant"),
            (answer(bearer(expiresAt=5)), "the answer's `expiresAt` is no instant"),
            (answer(bearer(expiresAt="0001-01-01T00:00:00+23:00")), "the answer's `expiresAt` is no instant"),
        ],
    )
    def test_what_is_no_credential_is_refused_without_a_word_of_it(self, reply, reason):
        with pytest.raises(core.RefusedError) as caught:
            core.read_answer(HANDSHAKE, reply, NOW)
        assert str(caught.value).startswith(reason)
        assert "made-up" not in str(caught.value)


class TestTokenEndpoints:
    @pytest.mark.parametrize(
        ("given", "life"),
        [
            ({"token_type": "bearer", "expires_in": 3600}, 3600),
            ({"expires_in": "60"}, 60),
            ({"token_type": "Bearer"}, None),
        ],
    )
    def test_a_token_is_read(self, given, life):
        read = core.read_answer(oauth2(), answer({"access_token": "made-up"} | given), NOW)
        assert (read.kind, read.secret) == ("BearerToken", "made-up")
        assert read.expires_at == (None if life is None else NOW + timedelta(seconds=life))

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (answer({"error": "invalid_client", "error_description": "made-up"}, 401), "status 401, invalid_client"),
            (answer({"error": "made-up"}, 400), "status 400"),
            (answer([], 400), "status 400"),
            (answer({"error": "invalid_scope"}), "the answer has no `access_token`; it holds an error: invalid_scope"),
            (answer({"error": "made-up"}), "the answer has no `access_token`; it holds an error"),
            (answer({}), "the answer has no `access_token`"),
            (answer({"access_token": "made-up", "token_type": "mac"}), "the answer's `token_type` is not Bearer"),
            (answer({"access_token": "made-up", "token_type": 1}), "the answer's `token_type` is not Bearer"),
            (answer({"access_token": "made-up", "expires_in": -1}), "the answer's `expires_in` is not positive"),
        ],
    )
    def test_errors_are_told_by_their_codes_alone(self, reply, reason):
        with pytest.raises(core.RefusedError) as caught:
            core.read_answer(oauth2(), reply, NOW)
        assert str(caught.value) == reason or str(caught.value).startswith(f"{reason}:")
        assert "made-up" not in str(caught.value)


def credential(life: float | None, **more) -> Credential:
    expires = None if life is None else NOW + timedelta(seconds=life)
    return Credential(**({"kind": "BearerToken", "secret": "s", "obtained_at": NOW, "expires_at": expires} | more))


class TestLifetimes:
    def test_it_is_renewed_thirty_seconds_early_or_a_tenth_of_its_life(self):
        for life, early in ((3600, 30), (100, 10)):
            end = NOW + timedelta(seconds=life - early)
            assert core.is_fresh(credential(life), end - timedelta(milliseconds=1))
            assert not core.is_fresh(credential(life), end)
            assert core.is_alive(credential(life), end)
            assert not core.is_alive(credential(life), NOW + timedelta(seconds=life))

    def test_one_without_an_end_has_none(self):
        later = NOW + timedelta(days=999)
        assert core.is_fresh(credential(None), later)
        assert core.is_alive(credential(None), later)

    def test_one_from_a_clock_that_was_wrong_is_renewed(self):
        assert not core.is_fresh(credential(None), NOW - timedelta(minutes=1))


class TestPuttingIn:
    def test_basic(self):
        auth = Auth(kind="basic", username="me", secrets=(use("auth:password"),))
        header = core.authenticated(CALL, auth, [(use("auth:password"), "pä:ss")]).headers["Authorization"]
        assert header == f"Basic {base64.b64encode('me:pä:ss'.encode()).decode()}"
        assert core.pair_in(HttpRequest(method="GET", url="x", headers={"Authorization": header})) == "me:pä:ss"
        found = [(use("auth:username"), "you"), (use("auth:password"), "p")]
        assert core.pair_in(core.authenticated(CALL, auth, found)) == "you:p"

    def test_a_user_name_that_is_a_secret_has_no_colon_either(self):
        found = [(use("auth:password"), "p"), (use("auth:username", "USER"), "a:b")]
        with pytest.raises(SecretError, match="secret env USER: it is a user name and has a colon in it"):
            core.authenticated(CALL, Auth(kind="basic"), found)

    def test_bearer_and_header(self):
        token = core.authenticated(CALL, Auth(kind="bearer"), [(use("auth:token"), "t")])
        assert token.headers == {"A": "b", "Authorization": "Bearer t"}
        key = core.authenticated(CALL, Auth(kind="header", header="X-Key"), [(use("auth:value"), "k")])
        assert key.headers == {"A": "b", "X-Key": "k"}

    @pytest.mark.parametrize("value", ["a\nb", " a", "☃"])
    def test_a_value_that_no_header_holds_is_refused(self, value):
        with pytest.raises(SecretError, match="secret env KEY: "):
            core.authenticated(CALL, Auth(kind="bearer"), [(use("auth:token"), value)])

    def test_a_redirect_takes_it_to_no_other_host(self):
        call = HttpRequest(method="GET", url="https://x.example/", follow_redirects=1)
        sent = [
            core.authenticated(call, Auth(kind="header", header="X-Plain"), [(use("auth:value"), "k")]),
            core.authenticated(call, Auth(kind="bearer"), [(use("auth:token"), "k")]),
            core.with_credential(call, HANDSHAKE, credential(None)),
            core.with_credential(call, oauth2(), credential(None)),
            core.signed(call, [(use("auth:secret"), "k")], run_id="r", now=NOW),
        ]
        for request in sent:
            then = follow(request, 302, "https://y.example/", followed=0)
            assert {"X-Plain", "Authorization", "webhook-signature"}.isdisjoint(then.headers)
            assert follow(request, 302, "/same", followed=0).headers == request.headers

    def test_what_was_given(self):
        given = core.with_credential(CALL, HANDSHAKE, credential(None))
        assert given.headers["Authorization"] == "Bearer s"
        basic = credential(None, kind="Basic", username="me")
        assert core.pair_in(core.with_credential(CALL, HANDSHAKE, basic)) == core.pair_of(basic) == "me:s"
        assert core.pair_of(credential(None)) == core.pair_in(given) == ""
        assert core.pair_in(HttpRequest(method="GET", url="x", headers={"Authorization": "Basic ü"})) == ""

    def test_a_header_of_whoever_triggers_stays(self):
        call = HttpRequest(method="GET", url="x", headers={"authorization": "mine"})
        assert core.is_replaced(call, HANDSHAKE)
        assert not core.is_replaced(CALL, HANDSHAKE)


class TestSigning:
    def expected(self, key: bytes, body: str = "ü") -> str:
        content = f"run-1.{int(NOW.timestamp())}.{body}".encode()
        return f"v1,{base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"

    def test_id_timestamp_and_body_are_signed_with_each_secret(self):
        text = f"whsec_{base64.b64encode(b'key-one').decode()}"
        found = [(use("auth:secret"), text), (use("auth:secret", "OTHER"), "key-two")]
        headers = core.signed(CALL, found, run_id="run-1", now=NOW).headers
        assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("run-1", str(int(NOW.timestamp())))
        assert headers["webhook-signature"] == f"{self.expected(b'key-one')} {self.expected(b'key-two')}"

    def test_a_call_without_a_body_is_signed_as_with_an_empty_one(self):
        call = HttpRequest(method="GET", url="x")
        headers = core.signed(call, [(use("auth:secret"), "key")], run_id="run-1", now=NOW).headers
        assert headers["webhook-signature"] == self.expected(b"key", "")

    def test_the_example_of_the_specification_is_met(self):
        """From the reference implementations' tests: github.com/standard-webhooks/standard-webhooks."""
        call = HttpRequest(method="POST", url="x", body='{"test": 2432232314}')
        found = [(use("auth:secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
        at = datetime.fromtimestamp(1614265330, UTC)
        headers = core.signed(call, found, run_id="msg_p5jXN8AQM9LWM0D4loKWxJek", now=at).headers
        assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    @pytest.mark.parametrize(("value", "reason"), [("whsec_?", "must be Base64"), ("whsec_", "it is empty")])
    def test_a_secret_of_another_form_is_refused(self, value, reason):
        with pytest.raises(SecretError, match=f"secret env KEY: .*{reason}"):
            core.signed(CALL, [(use("auth:secret"), value)], run_id="r", now=NOW)


class TestAtRest:
    @pytest.mark.parametrize("life", [None, 60])
    def test_it_comes_back_for_its_own_record_alone(self, life):
        kept = credential(life)
        plain = core.plaintext("billing/1", kept)
        assert core.from_plaintext("billing/1", plain) == kept
        with pytest.raises(ValueError, match="it was encrypted for another record"):
            core.from_plaintext("crm/1", plain)

    @pytest.mark.parametrize("plain", [b"", b"[]", b"{}", b'{"id": "a", "expiresAt": 5}', b"\xff"])
    def test_what_is_something_else_is_refused(self, plain):
        with pytest.raises(ValueError, match="it is not what was encrypted"):
            core.from_plaintext("a", plain)
