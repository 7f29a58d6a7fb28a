"""What a misspelt word was probably meant to be."""

from __future__ import annotations

import pytest

from reconciler.core.suggest import closest, did_you_mean, excerpt


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("requets", "request"),
        ("REQUEST", "request"),
        ("timezone", "timeZone"),
        ("zzz", None),
        ("", None),
        ("r" * 49, None),
    ],
)
def test_the_closest_known_word(word, expected):
    assert closest(word, ["request", "timeZone", "retry"]) == expected


def test_so_many_words_that_comparing_would_take_long_are_not_compared():
    assert closest("job-1", [f"job-{i}x" for i in range(5001)]) is None


@pytest.mark.parametrize(
    ("word", "expected"), [("requets", " (did you mean `request`?)"), ("request", ""), ("zzz", "")]
)
def test_the_hint_is_left_out_where_it_would_say_nothing(word, expected):
    assert did_you_mean(word, ["request"]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", "plain"), ("x" * 49, "x" * 47 + "…"), ("a\nb\u202e", "a\\u000ab\\u202e"), ("é", "é")],
)
def test_foreign_text_is_short_and_visible(text, expected):
    assert excerpt(text) == expected
