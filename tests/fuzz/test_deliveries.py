"""A few thousand deliveries by chance, in every run; ``make fuzz`` tries 100,000."""

from __future__ import annotations

import json

import pytest

from tests.fuzz.campaign import Order
from tests.fuzz.deliveries import DOCUMENTED, look_at
from tests.fuzz.test_manifests import tried
from tests.fuzz.trial import LONGEST
from tests.unit.web.conftest import SECRET

CASES = 3_000
PROBLEM = {b"content-type": b"application/problem+json"}


def test_a_delivery_by_chance_gets_an_answer_that_is_documented():
    tally = tried(Order(subject="bodies", seed="one", count=CASES))
    assert tally.failures == []
    assert tally.cases == CASES
    assert tally.slowest[0] < LONGEST
    assert {int(each) for each in tally.results if each != "none"} <= DOCUMENTED


def test_deliveries_by_chance_come_to_every_kind_of_answer():
    results = tried(Order(subject="bodies", seed="two", count=CASES // 2)).results
    assert {"200", "202", "400", "401", "403", "404", "413", "415", "none"} <= results.keys()


@pytest.mark.parametrize(
    ("status", "changes", "said"),
    [
        (500, {"status": 500}, "undocumented"),
        (400, {"status": 401}, "two statuses"),
        (400, {"detail": ""}, "nothing is said"),
        (401, {"status": 401, "detail": f"not {SECRET}"}, "tells the secret"),
        (200, {"result": "woken"}, "200 as"),
    ],
)
def test_an_answer_that_is_none_of_ours_is_found(status, changes, said):
    document = {"status": 400, "detail": "wrong"}
    look_at(400, PROBLEM, json.dumps(document).encode())
    with pytest.raises(AssertionError, match=said):
        look_at(status, PROBLEM, json.dumps({**document, **changes}).encode())
