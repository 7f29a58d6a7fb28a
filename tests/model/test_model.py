"""The decision core in simulated time, against the model. ``make model`` is the long form."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine
from tests.model.removed import REMOVED

EXAMPLES = os.environ.get("MODEL_EXAMPLES")
SHORT = settings(
    max_examples=40,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(SHORT, max_examples=int(EXAMPLES or 1), stateful_step_count=40, derandomize=False)
FIRST_FOUND = settings(SHORT, max_examples=200, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_every_slot_has_one_outcome_whatever_befalls_whom():
    run_state_machine_as_test(Machine, settings=LONG if EXAMPLES else SHORT)


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("claims", "was called 2 times|which had ended"),
        ("terms", "though term|make calls|had ended|was called"),
        ("arrears", "has 0 records"),
        ("mark", "has 0 records"),
    ],
)
def test_without_one_of_its_protections_something_is_found_broken(what, found):
    with pytest.raises(AssertionError, match=found):
        run_state_machine_as_test(REMOVED[what], settings=FIRST_FOUND)
