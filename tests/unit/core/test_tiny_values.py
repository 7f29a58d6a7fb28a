"""Files of nothing but tiny values: what one costs is bounded by how much of it is looked at."""

from time import process_time

import pytest

from reconciler.core import yaml
from reconciler.core.desired import build
from reconciler.core.manifests import MAX_FILE_PROBLEMS, parse
from reconciler.core.suggest import MOST_HINTED, closest
from reconciler.core.yaml import MAX_BYTES, MAX_NODES
from schemas.base import MAX_ITEMS

HEAD = (
    "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing}\nspec:\n  baseUrl: http://x.example.com\n"
)
API = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: a, application: billing}\nspec:\n"
IN_APIS = (HEAD + "  apis: [", "]\n")
PATCHES = ("apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: e}\nspec: {patches: [", "]}\n")
DATES = ("apiVersion: reconciler/v1\nkind: Calendar\nmetadata: {name: c}\nspec: {dates: [", "]}\n")
GENEROUS = 5  # seconds of this process; each takes well below one where nothing else runs

TINY = {
    "lists": ("[", "[],", "]"),
    "items": ("", "- a\n", ""),
    "keys": ("{", "k%x: ,", "}"),
    "one-key": ("{", "a: ,", "}"),
    "pairs": ("[", "a: ,", "]"),
    "mappings": ("[", "{a: },", "]"),
    "dashes": ("", "- - - - - - a\n", ""),
    "documents": ("", "---\n", ""),
    "kinds": ("", "--- {kind: Apj}\n", ""),
    "empty-mappings": ("", "--- {}\n", ""),
    "apis": (IN_APIS[0], "{},", IN_APIS[1]),
    "zones": (IN_APIS[0], "{timeZone: Europe/Amsterdaaaaaaaaam%x},", IN_APIS[1]),
    "schedules": (IN_APIS[0], "{schedule: {everi: 1}},", IN_APIS[1]),
    "following": (IN_APIS[0], "{name: job-%x-a,schedule: {after: {job: job-%x-b}},request: {path: /}},", IN_APIS[1]),
    "fields": (API, "  schedul%x: 1\n", ""),
    "patches": (PATCHES[0], "{application: a,api: b,spec: {schedul%x: 1}},", PATCHES[1]),
    "dates": (DATES[0], "a,", DATES[1]),
    "merged": ("{", "<<: {a: },", "}"),
}


def made(shape: str, most: int) -> bytes:
    """A file of this shape of at most so many units, and of no more than a file may have."""
    before, unit, after = TINY[shape]
    room = (MAX_BYTES - len(before) - len(after)) // (len(unit) + 4 * unit.count("%x"))
    units = (unit.replace("%x", f"{number:x}") for number in range(min(most, room)))
    return (before + "".join(units) + after).encode()


def just_fitting(shape: str) -> bytes:
    """The largest file of this shape that is not refused for the number of its values."""
    few, more = (nodes(made(shape, count)) for count in (10, 20))
    return made(shape, (MAX_NODES - few) * 10 // (more - few))


def nodes(content: bytes) -> int:
    """How many keys and values a file has."""
    composer = yaml._Composer(content)
    while composer.check_node():
        composer.compose()
    return composer.nodes


@pytest.mark.parametrize("shape", [each for each in TINY if each not in ("kinds", "empty-mappings")])
def test_a_file_of_a_mebibyte_of_tiny_values_is_refused_with_a_place_and_advice(shape):
    parsed = parse("f.yaml", made(shape, MAX_BYTES))
    last = parsed.problems[-1]
    assert parsed.broken
    assert last.message == f"the file has more than {MAX_NODES:,} keys and values; split it"
    assert last.line > 1 or last.column > 1 or shape == "documents"


@pytest.mark.parametrize("shape", TINY)
def test_the_largest_that_is_read_costs_little_and_has_few_problems(shape):
    began = process_time()
    parsed = parse("f.yaml", just_fitting(shape))
    found = build({"f.yaml": parsed})
    assert process_time() - began < GENEROUS
    assert len(parsed.problems) <= MAX_FILE_PROBLEMS + 100
    assert "keys and values" not in "".join(each.message for each in parsed.problems)
    followed = [each for each in found.problems if "there is no Api" in each.message]
    assert sum("did you mean" in each.message for each in followed) in (0, MOST_HINTED)


def test_two_thousand_apis_in_one_file_are_no_tiny_values():
    api = (
        "    - name: a%d\n      schedule: '0 2 * * *'\n      timeZone: Europe/Berlin\n      timeout: 30s\n"
        "      request: {method: POST, path: /run/%d, headers: {X-Of: billing}, json: {dry: false}}\n"
        "      retry: {limit: 3}\n"
    )
    parsed = parse("f.yaml", (HEAD + "  apis:\n" + "".join(api % (n, n) for n in range(2_000))).encode())
    assert (len(parsed.apis), parsed.problems) == (2_000, ())


def test_values_of_all_documents_of_a_file_count_together():
    half = "- a\n" * (MAX_NODES // 2)
    found = [*yaml.read("f.yaml", f"{half}---\n{half}".encode())]
    assert str(found[-1]).startswith(f"f.yaml:{MAX_NODES - 1}:3: the file has more than")


def test_a_file_with_a_thousand_problems_is_not_looked_at_further():
    parsed = parse("f.yaml", b"--- {kind: Api}\n" * 2_000 + b"---\n" + HEAD.encode())
    last = parsed.problems[-1]
    assert last.message == f"the file has more than {MAX_FILE_PROBLEMS:,} problems; what begins here is not looked at"
    assert (len(parsed.problems), parsed.broken, parsed.applications) == (MAX_FILE_PROBLEMS + 3, True, ())


def test_problems_beyond_those_put_into_words_are_counted_as_at_least_so_many():
    parsed = parse("f.yaml", (API + "".join(f"  f{number}: 1\n" for number in range(3_000))).encode())
    assert parsed.problems[-1].message == "and at least 900 more problems in this document"


def test_a_list_may_have_so_many_items_and_its_items_are_not_looked_at_where_it_has_more():
    parsed = parse("f.yaml", made("dates", MAX_ITEMS + 1))
    assert [str(each) for each in parsed.problems] == ["f.yaml:4:15: spec.dates: must have at most 10,000 items"]
    assert len(parse("f.yaml", made("dates", MAX_ITEMS)).problems) == 101


def test_of_many_names_those_that_share_a_piece_are_compared():
    known = [f"invoices-of-region-{number}" for number in range(3_000)]
    assert closest("invoises-of-region-1234", known) == "invoices-of-region-1234"
    assert closest("zzzzzzzz", known) is None
    assert closest("abc", [*known, "abd"]) == "abd"


def test_a_key_that_stands_in_a_file_thousands_of_times_is_told_a_hundred_times():
    parsed = parse("f.yaml", b"{" + b"".join(b"k%d: ," % n for n in range(12_000)) + b"k11999: ," * 10_000 + b"}")
    assert sum("stands here twice" in each.message for each in parsed.problems) == 98  # a hundred in all
