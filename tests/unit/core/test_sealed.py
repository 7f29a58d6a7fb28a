"""Sealed values and keys as text; which field each sealed value of a manifest is bound to; putting others there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Problem, SecretRef, SecretUse
from reconciler.core.sealed import PRIVATE, PUBLIC, KeyText, Sealed, bound_to, field_of
from reconciler.core.sealed_places import SealedValue, resealed, sealed_values
from reconciler.errors import SealingError

TEXT = f"v1.0a1b2c3d.{'A' * 64}"
OTHER = f"v1.0a1b2c3d.{'B' * 64}"


@given(st.binary(min_size=48, max_size=500))
def test_a_sealed_value_is_read_as_it_was_written(data):
    sealed = Sealed("0a1b2c3d", data)
    assert Sealed.parse(str(sealed)) == sealed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no sealed value"),
        ("v2.0a1b2c3d.AAAA", "no sealed value"),
        ("v1.0A1B2C3D.AAAA", "no sealed value"),
        ("v1.0a1b2c3d", "no sealed value"),
        ("v1.0a1b2c3d.AAAAA", "not whole"),
        ("v1.0a1b2c3d.A A", "not whole"),
    ],
)
def test_what_is_none_or_not_whole_is_refused(text, said):
    with pytest.raises(SealingError, match=said):
        Sealed.parse(text)


def test_a_key_is_read_as_it_was_written():
    key = KeyText(PUBLIC, "0a1b2c3d", bytes(range(32)))
    assert KeyText.parse(f"{key}\n", PUBLIC) == key


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (str(KeyText(PRIVATE, "0a1b2c3d", bytes(32))), PUBLIC, "this is a private key"),
        (str(KeyText(PUBLIC, "0a1b2c3d", bytes(32))), PRIVATE, "this is a public key"),
        ("", PUBLIC, "holds no public sealing key"),
        ("ssh-ed25519 AAAA", PRIVATE, "holds no private sealing key"),
        (f"{PUBLIC} 0a1b2c3d", PUBLIC, "not whole"),
        (f"{PUBLIC} 0a1b2c3d AA", PUBLIC, "not whole"),
        (f"{PUBLIC} 0a1b2c3d A*AA", PUBLIC, "not whole"),
        (f"{PUBLIC} xx {'A' * 43}=", PUBLIC, "not whole"),
    ],
)
def test_a_key_that_is_none_is_refused_without_showing_it(text, kind, said):
    with pytest.raises(SealingError, match=said) as caught:
        KeyText.parse(text, kind)
    assert "AAAA" not in str(caught.value)


def test_a_value_is_bound_to_application_and_field():
    assert bound_to("billing", "header:x-key") == b"cron-reconciler/sealed/v1\0billing\0header:x-key"


@pytest.mark.parametrize(
    ("place", "api", "field"),
    [
        ("header:X-Key", None, "header:x-key"),
        ("header:X-Key", "nightly", "api/nightly/header:x-key"),
        ("query:Tok", "nightly", "api/nightly/query:Tok"),
        ("form:p", "nightly", "api/nightly/form:p"),
        ("body:/a/0", "nightly", "api/nightly/body:/a/0"),
        ("body:", "nightly", "api/nightly/body:"),
        ("auth:password", None, "auth:password"),
        ("auth:header:X-Key", None, "auth:header:x-key"),
        ("auth:body:/Header:X", None, "auth:body:/Header:X"),
        ("body:/header:X", "n", "api/n/body:/header:X"),
    ],
)
def test_the_field_that_a_value_is_bound_to(place, api, field):
    assert field_of(place, api) == field
    assert (
        SecretUse(place=place, ref=SecretRef(kind="sealed", name=TEXT), shared=api is None).field(api or "x") == field
    )


@pytest.mark.parametrize(("place", "api"), [("", None), ("headers:X", None), ("header:", "a"), ("body:a", "a")])
def test_there_are_no_other_places(place, api):
    with pytest.raises(SealingError, match="no place for a secret"):
        field_of(place, api)


@pytest.mark.parametrize("place", ["form:p", "body:/a"])
def test_a_body_is_an_apis(place):
    with pytest.raises(SealingError, match="--api"):
        field_of(place, None)


HEAD = "apiVersion: reconciler/v1\n"
APPLICATION = HEAD + "kind: Application\nmetadata: {name: billing}\nspec: "
API = HEAD + "kind: Api\nmetadata: {name: nightly, application: billing}\nspec: "
ENVIRONMENT = HEAD + "kind: Environment\nmetadata: {name: e}\nspec: {patches: ["
S = f"{{sealed: {TEXT}}}"
J = f"{{$secret: {S}}}"


def found(text: str) -> list[SealedValue | Problem]:
    return list(sealed_values("f.yaml", text.encode()))


@pytest.mark.parametrize(
    ("text", "application", "bound"),
    [
        (f"{APPLICATION}{{defaults: {{headers: {{X-Key: {S}}}}}}}", "billing", "header:x-key"),
        (f"{APPLICATION}{{defaults: {{query: {{t: {S}}}}}}}", "billing", "query:t"),
        (f"{APPLICATION}{{auth: {{bearer: {{token: {S}}}}}}}", "billing", "auth:token"),
        (f"{APPLICATION}{{auth: {{hmac: {{secrets: [{S}]}}}}}}", "billing", "auth:secret"),
        (f"{APPLICATION}{{auth: {{handshake: {{headers: {{X: {S}}}}}}}}}", "billing", "auth:header:x"),
        (f"{APPLICATION}{{auth: {{handshake: {{json: {{a: {J}}}}}}}}}", "billing", "auth:body:/a"),
        (f"{APPLICATION}{{apis: [{{name: a, auth: {{basic: {{password: {S}}}}}}}]}}", "billing", "api/a/auth:password"),
        (f"{APPLICATION}{{apis: [{{name: a, request: {{form: {{p: {S}}}}}}}]}}", "billing", "api/a/form:p"),
        (f"{API}{{request: {{headers: {{X: {S}}}}}}}", "billing", "api/nightly/header:x"),
        (f"{API}{{request: {{json: {{a/b: [1, {J}]}}}}}}", "billing", "api/nightly/body:/a~1b/1"),
        (f"{API}{{request: {{json: {J}}}}}", "billing", "api/nightly/body:"),
        (f"{ENVIRONMENT}{{application: b, spec: {{defaults: {{query: {{t: {S}}}}}}}}}]}}", "b", "query:t"),
        (f"{ENVIRONMENT}{{application: b, api: c, spec: {{request: {{query: {{t: {S}}}}}}}}}]}}", "b", "api/c/query:t"),
    ],
)
def test_each_sealed_value_tells_for_whom_it_is(text, application, bound):
    (value,) = found(text)
    assert (value.application, value.bound, value.text, value.fault) == (application, bound, TEXT, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{APPLICATION}{{description: {S}}}", "no secret can stand here"),
        (f"{APPLICATION}{{request: {{headers: {{X: {S}}}}}}}", "no secret can stand here"),
        (f"{APPLICATION}{{auth: {{handshake: {{path: {S}}}}}}}", "no secret can stand here"),
        (f"{API}{{defaults: {{headers: {{X: {S}}}}}}}", "no secret can stand here"),
        (f"{API}{{request: {{url: {S}}}}}", "no secret can stand here"),
        (f"{HEAD}kind: Calendar\nspec: {{dates: {S}}}", "no secret can stand here"),
        (f"kind: Api\nspec: {{request: {{headers: {{X: {S}}}}}}}", "the name is missing"),
        (f"{APPLICATION}{{apis: [{{request: {{headers: {{X: {S}}}}}}}]}}", "the name is missing"),
        (f"{ENVIRONMENT}{{application: 'b*', spec: {{defaults: {{query: {{t: {S}}}}}}}}}]}}", "instead of a pattern"),
    ],
)
def test_one_that_can_be_of_no_use_says_why(text, said):
    (value,) = found(text)
    assert said in value.fault
    assert str(value.problem(value.fault)).startswith("f.yaml:")


def test_data_of_a_json_body_is_none():
    assert found(f"{API}{{request: {{json: {{a: {S}}}}}}}") == []
    assert found(f"{APPLICATION}{{auth: {{handshake: {{json: {S}}}}}}}") == []


def test_what_cannot_be_read_is_told_because_there_may_be_more():
    (problem,) = found("a: [")
    assert isinstance(problem, Problem)
    (problem, value) = found(f"{API}{{request: {{headers: {{X: {S}, X: b}}}}}}")
    assert isinstance(problem, Problem)
    assert value.text == TEXT
    aliases = "a: &a [x]\n" + "".join(f"b{n}: [{', '.join(['*a'] * 90)}]\n" for n in range(90))
    assert all(isinstance(each, Problem) for each in found(aliases))


def test_other_values_are_put_in_and_nothing_else_changes():
    content = f"# kept  as it is\na: {{sealed: {TEXT}}} # too\r\nb: '{TEXT}'\n".encode()
    assert resealed(content, {TEXT: OTHER}) == content.replace(TEXT.encode(), OTHER.encode())
    assert resealed(b"a: v1.0a1b2c3d.AAAA\\\n  AAAA", {TEXT: OTHER}) == TEXT
