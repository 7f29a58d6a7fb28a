"""Values in their places: what goes out, and what cannot."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import HttpRequest, SecretRef, SecretUse
from reconciler.core.secrets import filled
from reconciler.errors import SecretError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def request(*places: str, url: str = "https://x.example/a", body: str | None = None, **headers: str) -> HttpRequest:
    uses = tuple(SecretUse(place=place, ref=SecretRef(kind="env", name="KEY")) for place in places)
    return HttpRequest(method="POST", url=url, headers=headers, body=body, secrets=uses)


def test_a_request_without_secrets_stays_what_it_is():
    assert filled(request(body="x", A="b"), {}) == request(body="x", A="b")


def test_a_header_goes_out_beside_the_others():
    made = filled(request("header:X-Key", A="b"), {"header:X-Key": "välue 1"})
    assert dict(made.headers) == {"A": "b", "X-Key": "välue 1"}


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "a\0", "\x7f", "€", " a", "a ", "\n"])
def test_a_value_that_no_header_can_hold_is_refused_without_saying_it(value):
    with pytest.raises(SecretError, match="secret env KEY: ") as caught:
        filled(request("header:X-Key"), {"header:X-Key": value})
    assert len(value) < 4 or value not in str(caught.value)


@given(texts)
def test_a_parameter_is_encoded(value):
    made = filled(request("query:t", url="https://x.example/a?b=1"), {"query:t": value})
    assert made.url.isascii()
    assert parse_qsl(urlsplit(made.url).query, keep_blank_values=True) == [("b", "1"), ("t", value)]
    assert filled(request("query:t"), {"query:t": "a"}).url == "https://x.example/a?t=a"


@given(texts)
def test_a_form_value_is_encoded(value):
    made = filled(request("form:p", body="u=me"), {"form:p": value})
    assert parse_qsl(made.body) == [("u", "me"), ("p", value)]
    assert filled(request("form:p", body=""), {"form:p": "a"}).body == "p=a"


@given(texts)
def test_in_a_json_body_it_is_a_string_at_its_place(value):
    body = '{"a/b~c":[1,null],"d":{"e":null},"f":null,"g":1.5}'
    places = ("body:/a~1b~0c/1", "body:/d/e")
    made = filled(request(*places, body=body), dict.fromkeys(places, value))
    assert json.loads(made.body) == {"a/b~c": [1, value], "d": {"e": value}, "f": None, "g": 1.5}


def test_it_may_be_the_whole_body():
    assert filled(request("body:", body="null"), {"body:": 'a"b'}).body == '"a\\"b"'
    assert filled(request("body:"), {"body:": "a"}).body == '"a"'


def test_what_is_of_auth_is_put_in_elsewhere():
    assert filled(request("auth:token"), {}) == request("auth:token")
