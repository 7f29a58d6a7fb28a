"""Names, durations, zones and texts: what is accepted, and what is refused with which words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.base import (
    CallRate,
    Duration,
    Labels,
    Metadata,
    Name,
    PositiveDuration,
    check_zone,
    clean_text,
    format_duration,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2h30m", 9000),
        ("1d", 86_400),
        ("250ms", 0.25),
        ("1d2h3m4s5ms", 93_784.005),
        ("0s", 0),
        ("5m", 300),
        ("3650d", 3650 * 86_400),
    ],
)
def test_durations_are_whole_numbers_with_units(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "not a duration"),
        ("5", "not a duration"),
        ("5 s", "not a duration"),
        ("1.5h", "not a duration"),
        ("-5s", "not a duration"),
        ("30m2h", "not a duration"),
        ("5s\n", "not a duration"),
        ("٣s", "not a duration"),
        ("9" * 10 + "s", "not a duration"),
        ("3651d", "at most 3650d"),
        (5, "a string with a unit"),
        (None, "a string with a unit"),
    ],
)
def test_what_is_no_duration_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        parse_duration(value)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (9000, "2h30m"), (0.25, "250ms")])
def test_durations_are_written_the_way_a_manifest_does(seconds, text):
    assert format_duration(timedelta(seconds=seconds)) == text


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 3650 * 86_400_000))
def test_a_duration_survives_writing_and_reading(milliseconds):
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


def test_a_duration_of_no_length_is_refused_only_where_it_makes_no_sense():
    assert TypeAdapter(Duration).validate_python("0s") == timedelta(0)
    with pytest.raises(ValidationError, match="longer than zero"):
        TypeAdapter(PositiveDuration).validate_python("0s")
    assert TypeAdapter(PositiveDuration).dump_json(timedelta(seconds=90)) == b'"1m30s"'
    assert TypeAdapter(PositiveDuration).validate_python(timedelta(seconds=1)) == timedelta(seconds=1)


@pytest.mark.parametrize("name", ["a", "a-b", "0", "a" * 63, "x1-y2"])
def test_names_are_dns_labels(name):
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "ä", "a\n", "a/b"])
def test_what_is_no_dns_label_is_no_name(name):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("text", ["", "plain", "ünïcode ✓", "עברית"])
def test_visible_text_passes(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "code"), [("a\u202eb", "U+202E"), ("a\tb", "U+0009"), ("\x7f", "U+007F"), ("\x85", "U+0085")]
)
def test_invisible_characters_are_named_by_their_code(text, code):
    with pytest.raises(ValueError, match=code.replace("+", r"\+")):
        clean_text(text)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "US/Eastern"])
def test_zones_of_the_machine_are_accepted(zone):
    assert check_zone(zone) == zone


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Europe/Berln",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "a\0b",
        "x" * 5000,
        "ä",
        "a/" * 9000 + "b",
        "a." * 9000,
        "Europe/.Berlin",
    ],
)
def test_other_zones_are_refused_without_being_repeated(zone):
    with pytest.raises(ValueError, match=r"^there is no such time zone"):
        check_zone(zone)


@pytest.mark.parametrize(
    "labels", [{"": "x"}, {"k" * 254: "x"}, {"a": "v" * 254}, {"a\u202e": "x"}, {"a": "\n"}, {"a": 1}]
)
def test_labels_are_short_visible_text(labels):
    assert TypeAdapter(Labels).validate_python({"example.com/team": ""}) == {"example.com/team": ""}
    with pytest.raises(ValidationError):
        TypeAdapter(Labels).validate_python(labels)


def test_what_is_read_cannot_be_changed_and_unknown_fields_are_refused():
    metadata = Metadata(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        metadata.name = "b"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Metadata.model_validate({"name": "a", "nam": "b"})


@pytest.mark.parametrize(
    ("text", "calls", "span", "written"),
    [
        ("100/1m", 100, timedelta(minutes=1), "100/1m"),
        ("10/s", 10, timedelta(seconds=1), "10/1s"),
        ("1/ms", 1, timedelta(milliseconds=1), "1/1ms"),
        ("5/1h30m", 5, timedelta(minutes=90), "5/1h30m"),
        ("7/d", 7, timedelta(days=1), "7/1d"),
    ],
)
def test_a_rate_is_calls_in_a_span(text, calls, span, written):
    rate = TypeAdapter(CallRate)
    assert rate.validate_python(text) == (calls, span)
    assert rate.dump_python((calls, span), mode="json") == written
    assert rate.validate_python((calls, span)) == (calls, span)


@pytest.mark.parametrize(
    "value", ["0/s", "10", "10/", "/s", "10/0s", "10/1", "10 / s", "-1/s", "1.5/s", "10/w", 10, None]
)
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(ValidationError, match=r"rate|not a duration"):
        TypeAdapter(CallRate).validate_python(value)
