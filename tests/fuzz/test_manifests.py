"""A few thousand manifests by chance, in every run; ``make fuzz`` tries a million."""

from __future__ import annotations

from random import Random

import pytest

from reconciler.core.model import Problem
from reconciler.core.yaml import Document, read
from tests.fuzz import manifests, samples
from tests.fuzz.campaign import Order, Tally, work
from tests.fuzz.manifests import FILE, look_at
from tests.fuzz.samples import SENTINEL
from tests.fuzz.trial import LONGEST

CASES = 3_000


def tried(order: Order) -> Tally:
    whole = Tally()
    work(order, whole.add)
    return whole


def test_a_manifest_by_chance_is_read_and_planned_or_refused_with_reasons():
    tally = tried(Order(subject="manifests", seed="one", count=CASES))
    assert tally.failures == []
    assert tally.cases == CASES
    assert tally.slowest[0] < LONGEST
    assert all(tally.results[each] > CASES / 50 for each in ("clean", "problems", "unreadable"))


@pytest.mark.parametrize("sample", samples.MADE, ids=range(len(samples.MADE)))
def test_what_mutations_begin_with_is_right_by_itself(sample):
    assert manifests.check(sample.encode()) in ("clean", "problems")


def test_one_of_every_kind_is_mutated():
    kinds = {tree.get("kind") for tree in manifests._TREES if isinstance(tree, dict)}
    assert {"Application", "Api", "Calendar", "FreezeWindow", "Environment", "AccessToken"} <= kinds


def test_secrets_stand_where_they_are_looked_for():
    made = [manifests._secret_tree(Random(number)) for number in range(200)]  # noqa: S311 - what a seed decides
    values = [each.value for content in made for each in read(FILE, content) if isinstance(each, Document)]
    assert sum(manifests._secrets(value) for value in values) > len(made)


PROBLEM = {"file": FILE, "line": 1, "column": 1, "field": "spec", "message": "is wrong"}
SECRET_FILE = f'{{"spec": {{"password": "{SENTINEL}"}}}}'.encode()


@pytest.mark.parametrize(
    ("changes", "content", "said"),
    [
        ({"file": ""}, b"", "of no file"),
        ({"line": 0}, b"", "before the first"),
        ({"column": 0}, b"", "before the first"),
        ({"line": 3}, b"a: b\n", "behind the last"),
        ({"message": " "}, b"", "nothing is said"),
        ({"message": "a\x1b[2Jb"}, b"", "moves the cursor"),
        ({"field": "spec.\u202ex"}, b"", "moves the cursor"),
        ({"message": "x" * 3000}, b"", "too much"),
        ({"message": f"not `{SENTINEL}`"}, SECRET_FILE, "a secret's value"),
        ({"message": f"not `{SENTINEL[:20]}…`"}, SECRET_FILE, "a secret's value"),
    ],
)
def test_a_problem_that_says_too_little_or_too_much_is_found(changes, content, said):
    look_at(content, [Problem(**PROBLEM)])
    with pytest.raises(AssertionError, match=said):
        look_at(content, [Problem(**{**PROBLEM, **changes})])


def test_a_name_may_be_quoted_though_it_is_spelt_as_the_secret():
    look_at(f'{{"kind": "{SENTINEL}"}}'.encode(), [Problem(**{**PROBLEM, "message": f"not `{SENTINEL}`"})])
