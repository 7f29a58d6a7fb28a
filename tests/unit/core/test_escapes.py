"""What somebody escaped is read back, and each character knows where it stood."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.escapes import DEEPEST, MOST, MOST_CHARACTERS, Layer, layers


def texts(text: str) -> list[str]:
    return [layer.text for layer in layers(text)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a%2Fb", "a/b"),
        ("%c3%bc", "ü"),
        ("%FC!", "ü!"),
        ("a\\u002fb", "a/b"),
        ("\\ud83d\\ude00", "😀"),
        ("\\ud83d", "�"),
        ("\\x2F", "/"),
        ('\\"\\/\\\\', '"/\\'),
        ("a\\tb", "a\tb"),
        ("&#43;&#x2F;&#X2f;", "+//"),
        ("&quot;&amp;&eacute;", '"&é'),
    ],
)
def test_an_escape_is_read_back(written, meant):
    assert texts(written)[0] == meant


@pytest.mark.parametrize("text", ["&nothing;", "&#9999999;", "&bne;"])
def test_what_is_no_single_character_stays(text):
    assert texts(text) == []


@pytest.mark.parametrize("text", ["", "plain", "100 % of it", "a + b", "C:\\dir"])
def test_a_text_without_escapes_is_itself_alone(text):
    assert texts(text) == []


@pytest.mark.parametrize("end", ["%", "%2", "\\", "\\u00", "\\x2", "&#4", "&am"])
def test_an_escape_that_is_cut_off_is_left_out(end):
    assert texts(f"value{end}") == ["value"]


def test_line_breaks_are_taken_out():
    assert "abcdef" in texts("abc\r\n  def")
    assert "abcdef" in texts("abc\\ndef")  # within JSON


def test_a_plus_may_be_a_space():
    assert {"a+b/", "a b/"} <= set(texts("a+b%2F"))


def test_what_is_no_escape_in_the_notation_that_was_used_stays():
    assert "a<\\\\" in texts("a&amp;lt;\\\\")


@pytest.mark.parametrize("length", [100, 400, 900])
def test_a_hostile_text_is_read_back_in_so_many_ways_and_no_more(length):
    found = texts("%41+%2525&amp;\\u0041 " * length)
    assert 0 < len(found) <= MOST
    assert sum(map(len, found)) <= MOST_CHARACTERS


@pytest.mark.parametrize("depth", range(1, DEEPEST + 1))
def test_escapes_of_escapes_are_read_back(depth):
    text = "a/b"
    for _ in range(depth):
        text = quote(text, safe="")
    assert texts(text)[-1] == "a/b"


WRITERS = {
    "URL": (lambda one: quote(one, safe=""), "zß/+\"<&' \\%\n😀"),
    "JSON": (lambda one: json.dumps(one)[1:-1], "zß/+\"<&' \\\n😀"),
    "HTML": (html.escape, "zß/+\"<&'\n😀"),
}


@pytest.mark.parametrize("how", WRITERS)
@given(data=st.data())
def test_every_character_knows_where_it_stood(how, data):
    write, alphabet = WRITERS[how]
    text = data.draw(st.text(alphabet=alphabet, min_size=1, max_size=12))
    written = "".join(map(write, text))
    itself = Layer(f"{written}.", range(len(written) + 1), range(1, len(written) + 2))
    layer = next(layer for layer in (*layers(itself.text), itself) if layer.text == f"{text}.")
    for number, character in enumerate(text):
        assert written[layer.places[number] : layer.ends[number]] == write(character)
