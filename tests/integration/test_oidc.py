"""Logins of an issuer that really answers, on loopback, made by the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from reconciler.adapters.caller import HttpCaller
from reconciler.adapters.oidc import OidcIssuer
from reconciler.core.access import Refused, person_of
from reconciler.core.egress import policy_of
from reconciler.errors import IssuerUnavailableError, TokenRefusedError
from tests.fakes import FakeClock

AUDIENCE = "reconciler"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS = {
    "RS256": RSA_KEY,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def jwk(key, name, **more):
    kind = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm, "OKP": jwt.algorithms.OKPAlgorithm}
    public = key.public_key()
    family = "RSA" if hasattr(public, "public_numbers") and hasattr(public.public_numbers(), "n") else "EC"
    family = "OKP" if isinstance(key, ed25519.Ed25519PrivateKey) else family
    return kind[family].to_jwk(public, as_dict=True) | {"kid": name, "use": "sig"} | more


class Issuer:
    """What a real one does, as far as it is asked; a test changes it before it asks."""

    def __init__(self) -> None:
        self.keys = [jwk(key, name) for name, key in KEYS.items()]
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.body: bytes | None = None
        self.about: dict[str, object] = {}
        issuer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                document = issuer.discovery() if "well-known" in self.path else {"keys": issuer.keys}
                body = json.dumps(document).encode() if issuer.body is None else issuer.body
                self.send_response(issuer.status)
                for name, value in {"Content-Length": str(len(body)), **issuer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}/realm"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def discovery(self):
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.about

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.close()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def caller():
    made = HttpCaller()
    yield made
    await made.close()


@pytest.fixture
def oidc(issuer, caller, clock):
    return OidcIssuer(issuer.url, AUDIENCE, caller, clock)


@pytest.fixture
def sign(issuer, clock):
    def sign(algorithm="RS256", key=None, kid=None, headers=None, **changes):
        now = clock.now().timestamp()
        claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "1", "exp": now + 300, "iat": now, "roles": ["viewer"]}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        given = {"kid": kid or algorithm} | (headers or {})
        return jwt.encode(claims, key or KEYS[algorithm], algorithm, headers={n: v for n, v in given.items() if v})

    return sign


@pytest.mark.parametrize("algorithm", KEYS)
async def test_what_the_issuer_has_signed_is_told(oidc, sign, algorithm):
    claims = await oidc.claims(sign(algorithm))
    assert (claims["sub"], claims["roles"]) == ("1", ["viewer"])


async def test_one_of_several_audiences_will_do(oidc, sign):
    assert await oidc.claims(sign(aud=["other", AUDIENCE]))


async def test_without_a_key_s_name_the_only_one_of_the_algorithm_is_taken(oidc, sign, issuer):
    assert await oidc.claims(sign(headers={"kid": ""}))


def unsigned(sign, algorithm="none"):
    _, body, _ = sign().split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "RS256"}).encode()).decode().rstrip("=")
    return f"{header}.{body}."


def by_public_key(sign):
    pem = RSA_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header, body, _ = unsigned(sign, "HS256").split(".")
    signature = hmac.digest(pem, f"{header}.{body}".encode(), hashlib.sha256)
    return f"{header}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def tampered(sign):
    header, body, signature = sign().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | {"roles": ["admin"]}
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{header}.{changed}.{signature}"


def with_header(sign, **header):
    """A token whose header says anything at all; what is signed no longer fits it."""
    _, body, signature = sign().split(".")
    text = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "RS256"} | header).encode()).decode().rstrip("=")
    return f"{text}.{body}.{signature}"


def with_claim(sign, name, text):
    """A token of the issuer with a claim that is written as a test likes, whether it is JSON or not."""
    mark = "in-the-place-of-a-claim"
    header, body, _ = sign(**{name: mark}).split(".")
    claims = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).replace(f'"{mark}"'.encode(), text.encode())
    signed = f"{header}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}"
    signature = RSA_KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


REFUSED = {
    "none": (unsigned, "not signed by an algorithm that is trusted"),
    "None": (lambda sign: unsigned(sign, "None"), "not signed by an algorithm that is trusted"),
    "HS256 with the public key": (by_public_key, "not signed by an algorithm that is trusted"),
    "tampered": (tampered, "signature of the login's token is not right"),
    "another's key": (lambda sign: sign(key=OTHER_KEY), "signature of the login's token is not right"),
    "another algorithm": (lambda sign: sign("RS512", key=RSA_KEY, kid="RS256"), "another algorithm than its key"),
    "unknown key": (lambda sign: sign(kid="nobody's"), "a key that its issuer does not name"),
    "expired": (lambda sign: sign(exp=1), "has expired"),
    "no end": (lambda sign: sign(exp=None), "lacks the claim exp"),
    "no subject": (lambda sign: sign(sub=None), "lacks the claim sub"),
    "no audience": (lambda sign: sign(aud=None), "lacks the claim aud"),
    "wrong audience": (lambda sign: sign(aud="other"), "another audience"),
    "wrong issuer": (lambda sign: sign(iss="https://evil.example.com"), "of another issuer"),
    "not yet valid": (lambda sign: sign(nbf=4e9), "not valid yet"),
    "issued later": (lambda sign: sign(iat=4e9), "not valid yet"),
    "times in words": (lambda sign: sign(nbf="now"), "times in no numbers"),
    "an extension": (
        lambda sign: sign(headers={"crit": ["x"], "x": "1"}),
        "extension that is not known|nor a readable JWT",
    ),
    "no JWT": (lambda _: "a.b.c", "nor a readable JWT"),
    "nothing": (lambda _: "..", "nor a readable JWT"),
    **{
        f"algorithm {value!r}": (
            lambda sign, value=value: with_header(sign, alg=value),
            "not signed by an algorithm that is trusted|nor a readable JWT",
        )
        for value in ([], {}, ["RS256"], {"RS256": 1}, 5, None, True, 1e400)
    },
    **{
        f"key {value!r}": (lambda sign, value=value: with_header(sign, kid=value), "nor a readable JWT|does not name")
        for value in ([], {}, ["RS256"], 5, True, "\ud800")
    },
    **{
        f"{name} {text[:12]}": (
            lambda sign, name=name, text=text: with_claim(sign, name, text),
            "times in no numbers|lacks the claim",
        )
        for name in ("exp", "nbf", "iat")
        for text in ("1" + "0" * 400, "-1" + "0" * 400, "NaN", "Infinity", "1e400", "true", "[]", "{}", '"1"', "null")
    },
    "exp of 5,000 digits": (lambda sign: with_claim(sign, "exp", "1" * 5000), "nor a readable JWT"),
    **{
        f"audience {text}": (lambda sign, text=text: with_claim(sign, "aud", text), "another audience|lacks the claim")
        for text in ("5", "[5]", '["reconciler", 5]', "{}", "[[]]", "null", "[]")
    },
    **{
        f"subject {text}": (lambda sign, text=text: with_claim(sign, "sub", text), "in no text whose|lacks the claim")
        for text in ("5", "[]", "{}", '""', "true", "null")
    },
    **{
        f"issuer {text}": (lambda sign, text=text: with_claim(sign, "iss", text), "of another issuer")
        for text in ("5", "[]", "{}", "null")
    },
    "claims that are no object": (lambda sign: f"{sign().split('.')[0]}.W10.AAAA", "nor a readable JWT"),
    "a header that is no object": (lambda sign: f"W10.{sign().split('.')[1]}.AAAA", "nor a readable JWT"),
    "too deep": (
        lambda sign: f"{base64.urlsafe_b64encode(b'[' * 5000).decode().rstrip('=')}.{sign().split('.')[1]}.AAAA",
        "nor a readable JWT",
    ),
    "too long": (lambda sign: sign(padding="x" * 20_000), "too long"),
}


@pytest.mark.parametrize(("make", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_good_is_refused_with_the_reason(oidc, sign, make, said):
    with pytest.raises(TokenRefusedError, match=said) as refused:
        await oidc.claims(make(sign))
    assert "eyJ" not in str(refused.value)
    assert await oidc.claims(sign()), "nothing else is disturbed"


@pytest.mark.parametrize(
    "text", ['[["viewer"]]', "[5, null]", '{"viewer": 1}', "5", "null", "NaN", '["\\ud800"]', '[{"a": []}]'], ids=str
)
async def test_roles_of_any_kind_let_nobody_in_and_break_nothing(oidc, sign, text):
    found = person_of(await oidc.claims(with_claim(sign, "roles", text)), role_claim="roles")
    assert isinstance(found, Refused)


@pytest.mark.parametrize("claim", ["roles.viewer", "a.b.c", "", "."])
async def test_a_path_of_roles_that_leads_through_no_mapping_leads_nowhere(oidc, sign, claim):
    assert isinstance(person_of(await oidc.claims(sign()), role_claim=claim), Refused)


@pytest.mark.parametrize(
    ("change", "good"), [({"exp": -59}, True), ({"exp": -60}, False), ({"nbf": 60}, True), ({"nbf": 61}, False)]
)
async def test_clocks_may_differ_by_a_minute(oidc, sign, clock, change, good):
    ((name, offset),) = change.items()
    token = sign(**{name: clock.now().timestamp() + offset})
    if good:
        assert await oidc.claims(token)
    else:
        with pytest.raises(TokenRefusedError):
            await oidc.claims(token)


async def test_a_token_of_somebody_else_costs_no_look_at_the_issuer(oidc, sign, issuer):
    for make in (REFUSED["wrong issuer"][0], unsigned, REFUSED["no JWT"][0]):
        with pytest.raises(TokenRefusedError):
            await oidc.claims(make(sign))
    assert issuer.asked == []


async def test_keys_are_fetched_once_however_many_ask(oidc, sign, issuer):
    await asyncio.gather(*(oidc.claims(sign()) for _ in range(20)))
    assert issuer.asked == ["/realm/.well-known/openid-configuration", "/realm/keys"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [({}, 3600), ({"Cache-Control": "public, max-age=600"}, 600), ({"Cache-Control": "max-age=99999"}, 3600)],
)
async def test_keys_are_kept_for_as_long_as_the_issuer_says_and_an_hour_at_most(
    oidc, sign, issuer, clock, header, seconds
):
    issuer.headers = header
    await oidc.claims(sign())
    await clock.advance(timedelta(seconds=seconds - 1))
    await oidc.claims(sign())
    assert len(issuer.asked) == 2
    await clock.advance(timedelta(seconds=1))
    await oidc.claims(sign())
    assert len(issuer.asked) == 4


async def test_a_new_key_is_fetched_when_it_is_first_met_but_not_for_every_guess(oidc, sign, issuer, clock):
    await oidc.claims(sign())
    issuer.keys.append(jwk(OTHER_KEY, "new"))
    for _ in range(5):
        with pytest.raises(TokenRefusedError):
            await oidc.claims(sign(key=OTHER_KEY, kid="new"))
    assert len(issuer.asked) == 2
    await clock.advance(timedelta(seconds=30))
    assert await oidc.claims(sign(key=OTHER_KEY, kid="new"))
    assert len(issuer.asked) == 4


async def test_a_key_that_was_taken_back_is_good_no_more(oidc, sign, issuer, clock):
    await oidc.claims(sign())
    issuer.keys = [key for key in issuer.keys if key["kid"] != "RS256"]
    await clock.advance(timedelta(hours=1))
    with pytest.raises(TokenRefusedError, match="does not name"):
        await oidc.claims(sign())


AWAY = {
    "an error": {"status": 500},
    "HTML": {"body": b"<html>"},
    "a list": {"body": b"[]"},
    "nothing": {"body": b""},
    "too much": {"body": b" " * 2_000_000},
    "too deep": {"body": b"[" * 100_000},
    "no keys": {"keys": []},
    "keys of another kind": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "RS256"}, {"kty": "RSA"}, 5, None]},
    "keys of odd values": {
        "keys": [
            {"kty": [], "kid": "RS256"},
            {"kty": "RSA", "n": 5, "e": [], "kid": "RS256"},
            {"kty": "RSA", "n": "AA", "e": "AA", "kid": "RS256"},
            {"kty": "EC", "crv": {}, "x": None, "y": 1, "kid": "RS256"},
            {"kty": "OKP", "crv": "Ed25519", "x": [], "kid": "RS256"},
            {"kty": "RSA", "alg": [], "n": "AQAB", "e": "AQAB", "kid": "RS256"},
        ]
    },
    "another issuer": {"about": {"issuer": "https://evil.example.com"}},
    "no place of keys": {"about": {"jwks_uri": None}},
    "a file as the place of keys": {"about": {"jwks_uri": "file:///etc/passwd"}},
    "link-local as the place of keys": {"about": {"jwks_uri": "http://169.254.169.254/keys"}},
}


@pytest.mark.parametrize("change", AWAY.values(), ids=AWAY)
async def test_an_issuer_that_answers_unusably_is_away(oidc, sign, issuer, clock, change):
    good = dict(vars(issuer))
    vars(issuer).update(change)
    with pytest.raises(IssuerUnavailableError):
        await oidc.claims(sign())
    vars(issuer).update({name: good[name] for name in change})
    await clock.advance(timedelta(seconds=30))
    assert await oidc.claims(sign())


async def test_an_issuer_that_is_away_is_not_asked_by_every_request_and_known_keys_go_on(oidc, sign, issuer, clock):
    await oidc.claims(sign())
    issuer.status = 503
    await clock.advance(timedelta(minutes=59))
    assert await oidc.claims(sign()), "while its keys are good nobody asks"
    await clock.advance(timedelta(minutes=1))
    for _ in range(5):
        with pytest.raises(IssuerUnavailableError, match="503"):
            await oidc.claims(sign())
    assert len(issuer.asked) == 3


async def test_an_issuer_that_is_not_there_is_away(caller, clock, sign, issuer):
    gone = OidcIssuer(issuer.url, AUDIENCE, caller, clock)
    token = sign()
    issuer.close()
    with pytest.raises(IssuerUnavailableError):
        await gone.claims(token)


async def test_the_issuer_is_called_by_the_operator_s_policy(issuer, clock, sign):
    caller = HttpCaller(policy_of("public", "", ""))
    with pytest.raises(IssuerUnavailableError, match="refused"):
        await OidcIssuer(issuer.url, AUDIENCE, caller, clock).claims(sign())
    await caller.close()
    assert issuer.asked == []
