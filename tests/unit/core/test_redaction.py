"""What has been read as a secret is masked in every form it takes; what usually is one is masked by its name."""

from __future__ import annotations

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.redaction import MASK, SHORTEST, Redactor, forms, is_secret_name, masked_url
from reconciler.core.runs import EXCERPT_BYTES, excerpt

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
    assert redactor.masked(f"pass%252F%2522{piece}!") == "pass%252F%2522***!"


@pytest.mark.parametrize("piece", ["nightly-invoices-of-billing", "internationalisation", "2026112118150000"])
def test_words_and_numbers_within_a_value_are_no_secrets_by_themselves(piece):
    redactor = Redactor()
    redactor.learn(f'pass/"{piece}')
    assert redactor.masked(f"it says {piece} here") == f"it says {piece} here"
