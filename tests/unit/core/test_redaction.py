"""What has been read as a secret is masked in every form it takes; what usually is one is masked by its name."""

from __future__ import annotations

import base64
import html
import json
import time
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import redaction
from reconciler.core.model import Drift, JobKey, SyncReport
from reconciler.core.redaction import MASK, SHORTEST, Redactor, forms, is_secret_name, masked_url
from reconciler.core.runs import EXCERPT_BYTES, excerpt

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALUE = "s3cr3t/+\"<&' ü-value"


def knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.learn(value)
    return redactor


WRITTEN = {
    "as it is": VALUE,
    "JSON": json.dumps(VALUE)[1:-1],
    "JSON in UTF-8": json.dumps(VALUE, ensure_ascii=False)[1:-1],
    "JSON of PHP": json.dumps(VALUE)[1:-1].replace("/", "\\/"),
    "URL": quote(VALUE, safe=""),
    "URL with slashes": quote(VALUE),
    "URL in small letters": quote(VALUE, safe="").replace("%2F", "%2f").replace("%3C", "%3c").replace("%2B", "%2b")
    .replace("%C3%BC", "%c3%bc"),
    "form": quote_plus(VALUE),
    "HTML": html.escape(VALUE),
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(VALUE.encode()).decode(),
    "base64 without its padding": base64.urlsafe_b64encode(VALUE.encode()).decode().rstrip("="),
    "hexadecimal": VALUE.encode().hex(),
    "HEXADECIMAL": VALUE.encode().hex().upper(),
    "Python": repr(VALUE)[1:-1],
    "Latin-1": VALUE.encode().decode("latin-1"),
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_value_is_masked_however_it_is_written(written):
    assert knowing(VALUE).masked(f"before {written} after {written}") == f"before {MASK} after {MASK}"


QUOTED = "a:b/c+d=e;f@x y"
UNUSUAL = {
    "URL as some clients quote it": "a:b/c%2Bd%3De%3Bf@x%20y",
    "form with a plus": "a:b/c%2Bd=e%3bf@x+y",
    "JSON of .NET": "a:b/c\\u002Bd=e;f@x y",
    "JSON in small letters": "a:b/c\\u002bd=e;f@x y",
    "HTML of Go": "a:b/c&#43;d=e;f@x y",
    "HTML of Mustache": "a:b&#x2F;c+d&#x3D;e;f@x y",
    "JSON in JSON in JSON": "a:b\\\\\\/c\\\\u002Bd=e;f@x y",
    "URL in URL": quote(quote("a:b/c+d=e;f@x y", safe=""), safe=""),
    "URL in JSON in HTML": html.escape(json.dumps("a:b/c%2Bd%3De%3Bf@x%20y")[1:-1]),
}  # fmt: skip


@pytest.mark.parametrize("written", UNUSUAL.values(), ids=UNUSUAL)
def test_a_value_is_masked_in_notations_that_nobody_lists(written):
    assert knowing(QUOTED).masked(f"GET /?k={written} failed") == f"GET /?k={MASK} failed"


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\\n"])
def test_base64_in_lines_is_masked_whole(separator):
    value = "not-random, " * 12
    encoded = base64.b64encode(value.encode()).decode()
    lines = separator.join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    assert knowing(value).masked(f"before {lines} after") == f"before {MASK} after"


@given(
    value=st.text(alphabet="aB1:/+=;@ '\"<&\\ü", min_size=6, max_size=20).filter(lambda text: "  " not in text),
    notations=st.lists(st.sampled_from(["URL", "JSON", "HTML"]), max_size=3),
)
def test_no_value_is_left_however_deep_it_is_escaped(value, notations):
    written = value
    for notation in notations:
        written = {"URL": lambda one: quote(one, safe=":@"), "JSON": lambda one: json.dumps(one)[1:-1],
                   "HTML": html.escape}[notation](written)  # fmt: skip
    assert MASK in knowing(value).masked(f"- {written} -")


def test_what_is_masked_in_two_notations_overlaps_in_one_mask():
    redactor = knowing("abc/defghi", "ghi+jklmno")
    assert redactor.masked("abc%2Fdefghi%2Bjklmno") == MASK


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "user:", "someone:"])
@pytest.mark.parametrize("more", ["", "x", "xy", ": and more"])
def test_base64_of_something_longer_gives_no_part_of_it_away(user, more):
    encoded = base64.b64encode(f"{user}{VALUE}{more}".encode()).decode()
    masked = knowing(VALUE).masked(f"Basic {encoded}")
    assert MASK in masked
    left = masked.removeprefix("Basic ").split(MASK)
    assert sum(map(len, left)) < len(base64.b64encode((user + more).encode())) + 9


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_no_value_is_left_in_any_text(value, before, after):
    assert value not in knowing(value).masked(f"{before}{value}{after}").replace(MASK, "")


def test_what_is_shorter_than_six_characters_is_no_secret():
    assert forms("12345") == frozenset()
    redactor = knowing("12345")
    assert not redactor.knows_any
    assert redactor.masked("12345") == "12345"


def test_without_values_every_text_is_the_same_object():
    text = "some text"
    assert Redactor().masked(text) is text


def test_of_two_values_at_one_place_the_longer_is_masked():
    assert knowing("abcdef", "abcdefghij").masked("abcdefghij abcdef") == f"{MASK} {MASK}"
    assert knowing("abcdefghij", "abcdef").masked("abcdefghi") == MASK  # cut off by the end
    assert knowing("abcdefghij", "abcdef").masked("abcdef ghi") == f"{MASK} ghi"


def test_the_lines_of_a_key_are_masked_by_themselves():
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nshort\n-----END KEY-----\n"
    assert "MIIEvQIBADANBgkqhkiG9w0BAQEF" not in knowing(pem).masked("line 2: MIIEvQIBADANBgkqhkiG9w0BAQEF.")


@pytest.mark.parametrize("text", ["to /a/longersecre", "to /a/longersecre…", "to /a/longersecre… is not followed"])
def test_a_value_that_is_cut_off_is_masked_too(text):
    assert "longer" not in knowing("longersecret").masked(text)


def test_a_beginning_alone_is_no_value():
    assert knowing("longersecret").masked("longersec other") == "longersec other"


def test_what_stands_deep_within_is_masked_and_numbers_stay():
    redactor = knowing("longersecret")
    line = {"a": ["x longersecret", 1, None, True, 2.5], "b": {"c": ("longersecret",)}, "d": ValueError("longersecret")}
    assert redactor.masked_deep(line) == {"a": [f"x {MASK}", 1, None, True, 2.5], "b": {"c": [MASK]}, "d": MASK}


def test_an_excerpt_ends_before_the_value_that_it_would_cut():
    redactor = knowing("longersecret" * 10)
    body = b"x" * (EXCERPT_BYTES - 20) + b"longersecret" * 10 + b"y" * 100
    assert excerpt(body, redactor=redactor) == "x" * (EXCERPT_BYTES - 20) + MASK
    assert excerpt(b"longersecret" * 1000, redactor=redactor).replace(MASK, "") == ""
    body = b"x" * (EXCERPT_BYTES - 1) + b"longersecret" * 10
    assert excerpt(body, redactor=redactor) == "x" * (EXCERPT_BYTES - 1) + "*"
    body = ("ü" * 10 + "longersecret" * 10).encode("latin-1")
    assert excerpt(body, "text/plain; charset=latin-1", redactor) == "ü" * 10 + MASK


def test_tokens_that_are_renewed_for_ever_do_not_fill_the_memory():
    redactor = knowing("kept-in-use")
    for number in range(12_000):
        redactor.learn(f"value-{number:06}")
        if number % 100 == 0:
            redactor.learn("kept-in-use")
    assert redactor.masked("kept-in-use value-011999") == f"{MASK} {MASK}"
    assert redactor.masked("value-000001") == "value-000001"
    assert len(redactor._values) <= 10_000


def test_thousands_of_values_are_looked_for_as_quickly_as_one():
    few, many = knowing(VALUE), knowing(*(f"{number:05}-secret-value" for number in range(2_000)))
    text = "an answer of usual length, in which nothing is secret at all. " * 30

    def spent(redactor: Redactor) -> float:
        best = 9.9
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(20):
                redactor.masked(text)
            best = min(best, time.perf_counter() - began)
        return best

    assert spent(many) < 3 * spent(few) + 0.005


@pytest.mark.parametrize(
    "name",
    ["Authorization", "cookie", "X-Api-Key", "x-apikey", "apiKey", "access_token", "client-secret", "Password", "sig",
     "X-Amz-Signature", "key", "X-Auth", "jwt", "PRIVATE-TOKEN", "sessionid", "pwd"],
)  # fmt: skip
def test_usual_names_of_credentials(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["Accept", "author", "monkey", "Idempotency-Key", "page", "design", "assignee", ""])
def test_names_of_something_else(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/a", "https://x.example/a"),
        ("https://x.example/?api_key=abc&a=1&token", "https://x.example/?api_key=***&a=1&token"),
        ("https://x.example/?token=&a=", "https://x.example/?token=&a="),
        ("GET https://x.example/?sig=abc", "GET https://x.example/?sig=***"),
    ],
)
def test_a_url_is_shown_without_usual_credentials(url, shown):
    assert masked_url(url) == shown


@pytest.mark.parametrize(
    "piece", ["FQauuqbhmPWfIcfSR", "0_CI_DdmHFqlQC-FQauuqbh", "abcdefghijklmnop1", "ABCDEFGHIJKLMNOPq"]
)
def test_a_random_piece_is_masked_however_its_surroundings_are_written(piece):
    redactor = Redactor()
    redactor.learn(f'pass/"{piece}')
    assert redactor.masked(f"pass=2F=22{piece}!") == "pass=2F=22***!"


@pytest.mark.parametrize("piece", ["nightly-invoices-of-billing", "internationalisation", "2026112118150000"])
def test_words_and_numbers_within_a_value_are_no_secrets_by_themselves(piece):
    redactor = Redactor()
    redactor.learn(f'pass/"{piece}')
    assert redactor.masked(f"it says {piece} here") == f"it says {piece} here"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"user": "me", "password": "hunter22"}', '{"user":"me","password":"***"}'),
        (
            '{"a": [{"client_secret": "x", "apiKey": 7, "n": 1}]}',
            '{"a":[{"client_secret":"***","apiKey":"***","n":1}]}',
        ),
        ('{"token": {"value": ["x", null, true, ""]}}', '{"token":{"value":["***",null,true,""]}}'),
        (
            "grant_type=password&client_secret=x&pass%77ord=y&token=",
            "grant_type=password&client_secret=***&pass%77ord=***&token=",
        ),
        ('{"dryRun": false}', '{"dryRun": false}'),
        ("password: not a form, and no JSON", "password: not a form, and no JSON"),
        ("[" * 100_000, MASK),
        ("", ""),
        (None, None),
    ],
    ids=["json", "within", "below", "form", "nothing-in-it", "text", "too-deep", "empty", "none"],
)
def test_in_bodies_fields_that_usually_hold_credentials_are_masked(body, shown):
    assert redaction.masked_body(body) == shown


def test_of_a_record_the_named_fields_are_masked_also_within():
    found = Drift(key=JobKey("a", "b"), where="store", found=f"x {VALUE}", declared=None)
    report = SyncReport(
        id="1", source=VALUE, revision="r", result="failed", started_at=NOW, duration_ms=1.0,
        error=f"no {VALUE}", problems=(f"1:1: {VALUE}", "2:2: other"), drift=(found,),
    )  # fmt: skip
    masked = knowing(VALUE).masked_fields(report, "error", "problems", "drift", "found", "declared")
    assert (masked.error, masked.problems) == (f"no {MASK}", (f"1:1: {MASK}", "2:2: other"))
    assert (masked.drift[0].found, masked.drift[0].declared, masked.source) == (f"x {MASK}", None, VALUE)
    assert Redactor().masked_fields(report, "error") is report
