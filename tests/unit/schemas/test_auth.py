"""What may be written under `auth`, and what is said of a slip of the pen."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.auth import ApiAuth, Auth

KEY = {"env": "BILLING_KEY"}
OAUTH2 = {"tokenUrl": "https://t.example/", "clientId": "me", "clientSecret": KEY}
VALUE = "hunter2-hunter2"


def complaint(written: object, model: type[Auth] = Auth) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(written)
    error = caught.value.errors(include_input=False)[0]
    path = ".".join(str(step) for step in error["loc"] if not str(step).startswith("["))
    return f"{path}: {error['msg'].removeprefix('Value error, ')}"


@pytest.mark.parametrize(
    "written",
    [
        {"basic": {"username": "me", "password": KEY}},
        {"basic": {"username": KEY, "password": KEY}},
        {"bearer": {"token": KEY}},
        {"header": {"name": "X-Key", "value": KEY}},
        {"oauth2": OAUTH2},
        {"oauth2": OAUTH2 | {"clientId": KEY, "scopes": ["a", "b:c"], "audience": "them", "style": "body"}},
        {"hmac": {"secret": KEY}},
        {"hmac": {"secrets": [KEY]}},
        {"hmac": {"secrets": [KEY, {"file": "/x"}]}},
        {"handshake": {}},
        {"handshake": {"path": "/x", "method": "PUT", "headers": {"A": KEY}, "query": {"b": KEY}, "json": {"c": 1}}},
        {"handshake": {"url": "https://x.example/", "method": "GET"}},
    ],
)
def test_each_way_may_be_declared(written):
    for model in (Auth, ApiAuth):
        auth = model.model_validate(written)
        assert auth.kind == next(iter(written))
        assert auth.way is getattr(auth, auth.kind)
        dumped = auth.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
        assert model.model_validate(dumped) == auth


def test_an_api_may_switch_it_off_and_an_application_has_nothing_to_switch_off():
    assert ApiAuth.model_validate({"none": True}).kind == "none"
    assert complaint({"none": False}, ApiAuth) == "none: write `none: true`, or leave `auth` out"
    assert complaint({"none": True}).startswith("none: Extra inputs")


@pytest.mark.parametrize("written", [{}, {"bearer": {"token": KEY}, "hmac": {"secret": KEY}}, {"bearer": None}])
def test_exactly_one_way_is_given(written):
    assert complaint(written) == ": give exactly one of basic, bearer, header, oauth2, hmac, handshake"


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ({"basic": {"username": "me", "password": VALUE}}, "basic.password"),
        ({"bearer": {"token": VALUE}}, "bearer.token"),
        ({"header": {"name": "X", "value": VALUE}}, "header.value"),
        ({"oauth2": OAUTH2 | {"clientSecret": VALUE}}, "oauth2.clientSecret"),
        ({"hmac": {"secret": VALUE}}, "hmac.secret"),
        ({"hmac": {"secrets": [KEY, VALUE]}}, "hmac.secrets.1"),
    ],
)
def test_a_value_stands_in_no_field_that_is_secret(written, where):
    said = complaint(written)
    assert said == f"{where}: a secret value is named by exactly one of env, file and sealed: {{env: NAME}}"
    assert VALUE not in said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"basic": {"username": "a:b", "password": KEY}}, "a user name has no colon"),
        ({"basic": {"username": "", "password": KEY}}, "at least 1 character"),
        ({"header": {"name": "Host", "value": KEY}}, "set by the reconciler itself"),
        ({"oauth2": OAUTH2 | {"scopes": ["a b"]}}, "a scope has no spaces"),
        ({"oauth2": OAUTH2 | {"tokenUrl": "ftp://x"}}, "begins with http"),
        ({"oauth2": OAUTH2 | {"style": "header"}}, "'basic' or 'body'"),
        ({"hmac": {}}, "give either `secret` or `secrets`"),
        ({"hmac": {"secret": KEY, "secrets": [KEY]}}, "give either `secret` or `secrets`"),
        ({"hmac": {"secrets": []}}, "at least 1 item"),
        ({"hmac": {"secrets": [KEY, KEY, KEY]}}, "at most 2 items"),
        ({"handshake": {"url": "https://x.example/", "path": "/"}}, "give either `url` or `path`"),
        ({"handshake": {"method": "GET", "json": {}}}, "a GET request carries no body"),
        ({"handshake": {"json": {"a": {"$secret": {"evn": "A"}}}}}, "a secret value is named by"),
    ],
)
def test_what_has_no_meaning_is_told(written, said):
    assert said in complaint(written)
