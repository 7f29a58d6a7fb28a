"""What of an issuer's words is trusted: where its keys are, which of them are for signing, which tokens it made so."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.adapters.oidc import OidcIssuer
from reconciler.core.model import HttpRequest, Reply
from reconciler.errors import IssuerUnavailableError, TokenRefusedError
from tests.fakes import FakeClock, ScriptedCaller

SAFE, PLAIN = "https://login.example.com", "http://login.example.com"
KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(key=KEY, **more):
    return jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "one"} | more


def _part(content):
    return _text(json.dumps(content).encode())


def _text(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class World:
    """An issuer that says where its keys are, and which they are."""

    def __init__(self, issuer=SAFE, place=f"{SAFE}/keys", keys=None):
        self.issuer, self.place = issuer, place
        self.keys = [jwk()] if keys is None else keys
        self.clock = FakeClock()
        self.caller = ScriptedCaller(self._answer)
        self.oidc = OidcIssuer(issuer, "reconciler", self.caller, self.clock)

    def _answer(self, request: HttpRequest) -> Reply:
        is_about = "well-known" in urlsplit(request.url).path
        content = {"issuer": self.issuer, "jwks_uri": self.place} if is_about else {"keys": self.keys}
        return Reply(status=200, body=json.dumps(content).encode(), latency_ms=1.0)

    def token(self, key=KEY, **headers):
        """A token of the issuer, with a header that may say anything: no library has looked at it."""
        now = self.clock.now().timestamp()
        claims = {"iss": self.issuer, "aud": "reconciler", "sub": "1", "exp": now + 300}
        signed = f"{_part({'alg': 'ES256', 'kid': 'one'} | headers)}.{_part(claims)}"
        signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(signed.encode(), key)
        return f"{signed}.{_text(signature)}"

    @property
    def asked(self):
        return [request.url for request in self.caller.requests]


@pytest.mark.parametrize(
    ("issuer", "place"),
    [(SAFE, f"{SAFE}/keys"), (SAFE, "https://keys.example.com/"), (PLAIN, f"{PLAIN}/keys"), (PLAIN, f"{SAFE}/keys")],
)
async def test_keys_are_fetched_from_an_address_that_is_as_safe_as_the_issuer_s(issuer, place):
    world = World(issuer, place)
    assert (await world.oidc.claims(world.token()))["sub"] == "1"
    assert world.asked[-1] == place


@pytest.mark.parametrize("place", [f"{PLAIN}/keys", "ftp://login.example.com/keys", "//login.example.com/keys", "keys"])
async def test_but_never_from_one_that_is_less_safe(place):
    world = World(SAFE, place)
    with pytest.raises(IssuerUnavailableError, match="no https address"):
        await world.oidc.claims(world.token())
    assert place not in world.asked


@pytest.mark.parametrize("use", ["enc", "", "SIG", None, ["sig"]])
async def test_a_key_that_is_for_something_else_signs_no_login(use):
    other = ec.generate_private_key(ec.SECP256R1())
    world = World(keys=[jwk(use=use), jwk(other, kid="two", use="sig")])
    with pytest.raises(TokenRefusedError, match="a key that its issuer does not name"):
        await world.oidc.claims(world.token())
    assert await world.oidc.claims(world.token(other, kid="two"))


async def test_a_key_that_does_not_say_what_it_is_for_will_do():
    world = World(keys=[jwk()])
    assert await world.oidc.claims(world.token())


@pytest.mark.parametrize(
    ("extension", "said"),
    [
        ({"crit": ["b64"], "b64": True}, "asks for an extension that is not known here"),
        ({"crit": ["x"], "x": 1}, "asks for an extension|nor a readable JWT"),
        ({"crit": []}, "asks for an extension|nor a readable JWT"),
    ],
    ids=["known to the library alone", "known to nobody", "none"],
)
async def test_a_token_that_asks_for_an_extension_is_refused_before_the_issuer_is_asked(extension, said):
    world = World()
    with pytest.raises(TokenRefusedError, match=said):
        await world.oidc.claims(world.token(**extension))
    assert world.asked == []
