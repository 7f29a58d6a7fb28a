"""YAML is read in one way only, and whatever could be read in two ways is said with its place."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Problem
from reconciler.core.yaml import Document, Place, field_name, read


def documents(text: str | bytes) -> list[Document]:
    found = list(read("f.yaml", text if isinstance(text, bytes) else text.encode()))
    assert all(isinstance(each, Document) for each in found), found
    return found


def value(text: str | bytes) -> object:
    (document,) = documents(text)
    assert document.problems == ()
    return document.value


def complaints(text: str | bytes) -> list[str]:
    """Every problem as ``line:column: field: message``, whether it ends the file or not."""
    found = []
    for each in read("f.yaml", text if isinstance(text, bytes) else text.encode()):
        if isinstance(each, Problem):
            problems = [each]
        else:
            problems = [
                Problem(file="f.yaml", line=place.line, column=place.column, field=field_name(path), message=message)
                for path, place, message in each.problems
            ]
        found += [str(problem).removeprefix("f.yaml:") for problem in problems]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-0", 0),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("010", "010"),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("0o7", "0o7"),
        ("+1", "+1"),
        (".5", ".5"),
        ("1.", "1."),
        ("2026-02-30", "2026-02-30"),
        ("09:45", "09:45"),
        ("tRUE", "tRUE"),
        ("nothing", "nothing"),
        ("'true'", "true"),
        ('"12"', "12"),
        ("'NO'", "NO"),
        ("ünïcode", "ünïcode"),
        ("9" * 64, int("9" * 64)),
    ],
)
def test_plain_text_means_what_json_would_mean_and_else_text(text, expected):
    found = value(f"a: {text}\n")["a"]
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_the_strings_that_are_written():
    assert value("on: 1\nNO: 2\n010: 3\n'1': 4\n'': 5\n") == {"on": 1, "NO": 2, "010": 3, "1": 4, "": 5}


def test_every_document_is_read_and_empty_ones_are_passed_over():
    found = documents("# nothing yet\n---\n---\na: 1\n---\n# nor here\n---\n- b\n")
    assert [each.value for each in found] == [{"a": 1}, ["b"]]
    assert [each.place for each in found] == [Place(4, 1), Place(8, 1)]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_documents_is_no_problem(text):
    assert documents(text) == []


def test_a_byte_order_mark_of_utf_8_is_passed_over():
    (document,) = documents(b"\xef\xbb\xbfa: 1")
    assert (document.value, document.place) == ({"a": 1}, (1, 1))


def test_anchors_and_merge_keys_are_understood():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: [*a, {x: 9, z: 4}]}\nd: {'<<': 5}\ne: [*a]\n"
    assert value(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 3, "y": 2},
        "c": {"x": 1, "y": 2, "z": 4},
        "d": {"<<": 5},
        "e": [{"x": 1, "y": 2}],
    }


MISREAD = "means true or false to some YAML readers: quote it, or write true or false"
NO_STRING = "a key must be a string, not a list or a mapping; text that begins with { or [ is quoted"
INDENTED = "tab character used for indentation; use spaces"
UNFINISHED = "the file ends within a list or mapping that is not closed"

FAULTS = [
    ("a: NO\n", [f"1:4: a: `NO` {MISREAD}"]),
    (
        "a: {b: [yes, n, 'no', oFf]}\n",
        [f"1:{c}: a.b[{i}]: `{w}` {MISREAD}" for c, i, w in ((9, 0, "yes"), (14, 1, "n"))]
        + [f"1:23: a.b[3]: `oFf` {MISREAD}"],
    ),
    ("a: 1\nb: 2\na: 3\n", ["3:1: a: `a` stands here twice; the first is on line 1"]),
    ("- {x: 1, x: 1}\n", ["1:10: [0].x: `x` stands here twice; the first is on line 1"]),
    ("1: a\n", ['1:1: 1: a key must be a string: write "1" in quotes']),
    ("b: {null: a}\n", ['1:5: b.null: a key must be a string: write "null" in quotes']),
    ("1.5: a\n", ['1:1: "1.5": a key must be a string: write "1.5" in quotes']),
    ("true: a\n", ['1:1: true: a key must be a string: write "true" in quotes']),
    ("? \n: a\n", ['1:2: "": a key is missing']),
    ("? [a]\n: b\n", [f"1:3: {NO_STRING}"]),
    ("x:\n  {a: 1}: 2\n", [f"2:3: x: {NO_STRING}"]),
    ("a: !foo 1\n", ["1:4: a: tags such as !foo are not understood here; remove it"]),
    ("a: !!str 1\n", ["1:4: a: tags such as !!str are not understood here; remove it"]),
    (
        "a: !!python/object:os.system [1]\n",
        ["1:4: a: tags such as !!python/object:os.system are not understood here; remove it"],
    ),
    ("!k a: 1\n", ["1:1: a: tags such as !k are not understood here; remove it"]),
    ("--- !x\n", ["1:5: tags such as !x are not understood here; remove it"]),
    ("a: .nan\n", ["1:4: a: `.nan` is not a finite number; quote it if text is meant"]),
    ("a: -.INF\n", ["1:4: a: `-.INF` is not a finite number; quote it if text is meant"]),
    ("a: 1e999\n", ["1:4: a: `1e999` is too large for a number; quote it if text is meant"]),
    ("a: " + "9" * 5000 + "\n", ["1:4: a: a number of more than 64 characters; quote it if text is meant"]),
    ('"a\\u202eb": 1\n', ['1:1: "a\\u202eb": the key contains the invisible character U+202E']),
    ('"a\\tb": 1\n', ['1:1: "a\\u0009b": the key contains the invisible character U+0009']),
    ("a: {<<: 1}\n", ['1:9: a."<<": `<<` merges mappings; quote it if a key of that name is meant']),
    ("a: {<<: [1]}\n", ['1:10: a."<<"[0]: `<<` merges mappings; quote it if a key of that name is meant']),
    ("a: {<<: {}, <<: {}}\n", ['1:13: a."<<": `<<` stands here twice; give one list of what is merged']),
    # several at once
    (
        "a: .inf\nb: yes\n2: c\n",
        [
            "1:4: a: `.inf` is not a finite number; quote it if text is meant",
            f"2:4: b: `yes` {MISREAD}",
            '3:1: 2: a key must be a string: write "2" in quotes',
        ],
    ),
]

UNREADABLE = [
    ("a:\n\tb: 1\n", f"2:1: {INDENTED}"),
    ("a:\n  b: 1\n  \tc: 2\n", f"3:3: {INDENTED}"),
    ("\ta: 1", f"1:1: {INDENTED}"),
    ("a: |\n\tx\n", f"2:1: {INDENTED}"),
    (b"\xef\xbb\xbf\ta: 1", f"1:1: {INDENTED}"),
    (
        "a: b: c\n",
        "1:5: a colon cannot stand here: quote text that holds a colon and a blank, and check the indentation",
    ),
    ("a:\n  b: 1\n c: 2\n", "3:2: this does not fit the lines above: check the indentation, and quotes within quotes"),
    ("a: 'it's'\n", "1:8: this does not fit the lines above: check the indentation, and quotes within quotes"),
    ("a: [1, 2\nb: 3\n", "1:4: a list that begins with [ is not closed, or lacks a comma"),
    ("a: {x: 1\nb: 3\n", "1:4: a mapping that begins with { is not closed, or lacks a comma"),
    ("a: [\n", f"2:1: {UNFINISHED}"),
    ('a: "abc\n', "1:4: a quoted text is not closed"),
    ("a: ,b", "1:4: a value is missing here; quote text that begins with one of , ] }"),
    ("a: [b,, c]", "1:7: a value is missing here; quote text that begins with one of , ] }"),
    ("a: - b\n", "1:4: a list item cannot begin here: put `- ` on a line of its own, and check the indentation"),
    ("- a\nb: 1\n", "2:1: a list goes on here without `- `; check the indentation"),
    ("a: 1\nb\n", "2:1: a key without a colon; write `key: value`"),
    ("a: * * * * *\n", '1:4: text that begins with * must be quoted, as in "* …"'),
    ("a: */5 * * * *\n", '1:4: text that begins with * must be quoted, as in "* …"'),
    ("a: & b\n", '1:4: text that begins with & must be quoted, as in "& …"'),
    ("a: *x\n", "1:4: an alias of an anchor that is not defined; quote text that begins with *"),
    ("a: &a 1\nb: &a 2\n", "2:4: this anchor is defined twice; give each a name of its own"),
    ("a: @daily\n", "1:4: a value cannot begin with @; quote it"),
    ("a: `x`\n", "1:4: a value cannot begin with `; quote it"),
    ("a: %x\n", "1:4: a value cannot begin with %; quote it"),
    ("- \tb: [\n-\t", "1:3: tab character before a value; use spaces"),
    ('a: "\\q"\n', "1:5: not an escape sequence; in double quotes write \\\\ for a backslash"),
    ('a: "\\ud800"', "1:7: not the code of a character"),
    ("a: |x\n y", "1:5: after | or > the text begins on the next line"),
    ("--- a\n...\nb: 1\n", "3:1: a new document begins with a line of three dashes"),
    ("%YAML 2.0\n---\na: 1", "1:1: only YAML 1.1 and 1.2 are understood; remove the %YAML line"),
    ("%FOO\n---\na: 1", "1:5: a line that begins with % is a directive; only %YAML is understood"),
    ("# x\n%TAG ! tag:x\n---\na: 1", "2:1: tags are not understood here; remove the %TAG line"),
    ("a: !<\n", "1:6: tags are not understood here; quote text that begins with !"),
    ("a: !foo!bar x\n", "1:4: tags are not understood here; quote text that begins with !"),
    ("!<%41", "1:6: not YAML: did not find the expected '>'"),
    (b"a: \xff\n", "1:4: not UTF-8: byte 0xff; save the file as UTF-8"),
    ("ä: 1\nö: ".encode() + b"\xc3(\n", "2:4: not UTF-8: byte 0xc3; save the file as UTF-8"),
    (b"\xff\xfea\0:\0 \0", "1:1: the file is UTF-16; save it as UTF-8"),
    (b"\xfe\xff\0a\0:\0 ", "1:1: the file is UTF-16; save it as UTF-8"),
    ("a: \0b\n", "1:4: the control character U+0000 is not allowed in YAML; is it a binary file, or UTF-16?"),
    (
        "a: 1\nb: \x1b[0m\n",
        "2:4: the control character U+001B is not allowed in YAML; remove it, or write it as an escape in quotes",
    ),
    ("x: " + "a" * (1 << 20), "1:1: the file is larger than 1 MiB; split it"),
    ("[" * 20_000, "1:64: values are nested more than 64 levels deep"),
    ("[" * 20_000 + "]" * 20_000, "1:64: values are nested more than 64 levels deep"),
    ("- " * 20_000, "1:127: values are nested more than 64 levels deep"),
    ("{a: " * 20_000, "1:253: values are nested more than 64 levels deep"),
    ("? " * 20_000, "1:127: values are nested more than 64 levels deep"),
    ("".join(" " * level + "a:\n" for level in range(1000)), "64:64: values are nested more than 64 levels deep"),
]


def bomb(inner: str) -> str:
    """Nine levels of ten aliases each: a thousand million values in some 500 bytes."""
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{i}: &a{i} {inner % ','.join([f'*a{i - 1}'] * 10)}" for i in range(1, 10)]
    return "\n".join(lines)


BOMBS = [
    (bomb("[%s]"), "5:5: a4: aliases make this document grow beyond measure; write the values out"),
    (bomb("{<<: [%s]}"), "5:5: a4: aliases make this document grow beyond measure; write the values out"),
    (bomb("{x: [%s]}"), "5:13: a4.x: aliases make this document grow beyond measure; write the values out"),
    (
        "a: &a " + "x" * 500_000 + "\nb: [*a, *a]\n",
        "2:4: b: aliases make this document grow beyond measure; write the values out",
    ),
    (
        "a: &a 1\nb: [" + ",".join(["*a"] * 101) + "]",
        "2:4: b: more than 100 aliases in one document; write the values out",
    ),
    (
        "a0: &a0 {k: 1}\n" + "\n".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}" for i in range(1, 12)),
        "12:6: a11: merge keys are nested more than 10 deep; write the values out",
    ),
    (
        "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 30 + "*a" + "]" * 30,
        "2:33: " + field_name(("b", *[0] * 29)) + ": aliases nest values more than 64 levels deep",
    ),
    ("a: &a [*a]", "1:4: a: an anchor stands within itself; write the value out"),
    ("a: &a {b: *a}", "1:4: a: an anchor stands within itself; write the value out"),
    ("a: &a {<<: *a}", "1:4: a: an anchor stands within itself; write the value out"),
    ("&a [*a]", "1:1: an anchor stands within itself; write the value out"),
]


@pytest.mark.parametrize(("text", "expected"), FAULTS, ids=lambda case: str(case)[:30])
def test_every_fault_of_a_document_is_said_with_its_place(text, expected):
    assert complaints(text) == expected


@pytest.mark.parametrize(("text", "expected"), UNREADABLE, ids=lambda case: str(case)[:30])
def test_a_file_that_cannot_be_read_is_explained_in_plain_words(text, expected):
    started = time.perf_counter()
    assert complaints(text) == [expected]
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(("text", "expected"), BOMBS, ids=lambda case: str(case)[:30])
def test_a_bomb_is_counted_instead_of_built(text, expected):
    started = time.perf_counter()
    (document,) = documents(text)
    assert time.perf_counter() - started < 0.5
    assert not document.whole
    assert complaints(text) == [expected]


def test_a_thousand_aliases_within_the_bounds_of_text_are_refused_once():
    assert len(complaints("a: &a 1\nb: [" + ",".join(["*a"] * 1000) + "]")) == 1


def test_documents_before_one_that_cannot_be_read_are_still_read():
    first, second = read("f.yaml", b"a: 1\n---\nb: [\n")
    assert first.value == {"a": 1}
    assert str(second) == f"f.yaml:4:1: {UNFINISHED}"


def test_a_file_that_is_full_of_faults_is_not_answered_with_as_many_problems():
    assert len(complaints("\n".join(f"a{i}: NO" for i in range(5000)))) == 100


class TestPlaces:
    text = "a:\n  - b: {c: 1}\n    d: x\nm: &m {k: 1}\nn: {<<: *m, z: 2}\no: {<<: [{p: 1}, *m]}\n"

    @pytest.fixture
    def document(self):
        (document,) = documents(self.text)
        return document

    @pytest.mark.parametrize(
        ("path", "key", "value"),
        [
            ((), (1, 1), (1, 1)),
            (("a",), (1, 1), (2, 3)),
            (("a", 0), (2, 5), (2, 5)),
            (("a", 0, "b"), (2, 5), (2, 8)),
            (("a", 0, "b", "c"), (2, 9), (2, 12)),
            (("a", 0, "d"), (3, 5), (3, 8)),
            (("a", 0, "d", "e"), (3, 5), (3, 8)),  # leads nowhere: the last place on the way
            (("a", 7), (1, 1), (2, 3)),
            (("a", 0, "x"), (2, 5), (2, 5)),
            (("a", "x"), (1, 1), (2, 3)),
            (("n", "k"), (4, 8), (4, 11)),  # merged: where it is written
            (("o", "k"), (4, 8), (4, 11)),
            (("n", "z"), (5, 13), (5, 16)),
        ],
    )
    def test_keys_and_values_are_found_by_path(self, document, path, key, value):
        assert document.key_at(path) == key
        assert document.value_at(path) == value

    def test_entries_are_those_of_mappings_only(self, document):
        assert dict(document.entries("a", 0)) == {"b": (2, 8), "d": (3, 8)}
        assert dict(document.entries("a")) == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("spec", "apis", 0, "schedule", "every"), "spec.apis[0].schedule.every"),
        (("metadata", "labels", "example.com/team"), 'metadata.labels."example.com/team"'),
        (("a", "x" * 200), 'a."' + "x" * 47 + '…"'),
        (("a\u202e\n",), '"a\\u202e\\u000a"'),
        ((), ""),
    ],
)
def test_a_path_is_shown_as_people_write_it(path, expected):
    assert field_name(path) == expected


PIECES = st.sampled_from(
    [
        *"[]{}:,-?&*!|>'\"%@`#~ \n\t",
        "a",
        "- ",
        ": ",
        "<<: ",
        "&a ",
        "*a",
        "1e9",
        ".nan",
        "NO",
        "---\n",
        "\x00",
        "\ufeff",
        "é",
    ]
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=60).map(lambda parts: "".join(parts).encode())))
def test_no_bytes_whatever_raise_or_yield_what_json_cannot_hold(content):
    for each in read("f.yaml", content):
        if isinstance(each, Document):
            assert plain(each.value)
            assert all(place >= (1, 1) for _, place, _ in each.problems)
        else:
            assert each.line >= 1
            assert each.column >= 1


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def test_a_wide_mapping_is_looked_up_as_quickly_as_a_narrow_one():
    text = "".join(f"k{i}: {{a: 1}}\n" for i in range(12_000)) + "base: &b {m: 1}\nlast:\n  <<: *b\n  z: 2\n"
    (document,) = documents(text)
    started = time.perf_counter()
    assert all(document.value_at((f"k{i}", "a")) == Place(i + 1, len(f"k{i}: {{a: ") + 1) for i in range(12_000))
    assert time.perf_counter() - started < 2
    assert document.value_at(("last", "m")) == Place(12_001, 14)
    assert document.key_at(("nowhere",)) == Place(1, 1)


def test_the_first_of_two_equal_keys_in_a_wide_mapping_is_found():
    wide = "".join(f"k{i}: 1\n" for i in range(40))
    (document,) = documents("a: 1\n" + wide + "? [b]\n: 2\na: 3\n")
    assert document.value_at(("a",)) == Place(1, 4)
