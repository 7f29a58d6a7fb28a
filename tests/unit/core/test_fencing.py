from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.fencing import deposed, standing
from reconciler.core.model import Cause, Outcome, Run
from tests.fakes import START, stored_job

RUN = Run(
    id="1",
    key=stored_job().key,
    slot=START,
    cause=Cause.SCHEDULE,
    outcome=Outcome.RUNNING,
    claimed_at=START,
    term=1,
)
OTHER = replace(RUN, id="2")
DONE, ADOPTED = replace(RUN, outcome=Outcome.SUCCEEDED), replace(RUN, term=2)


@pytest.mark.parametrize(
    ("batch", "stands"),
    [
        ([], []),
        ([RUN, OTHER], [RUN, OTHER]),
        ([RUN, RUN], [RUN]),
        ([RUN, DONE], [DONE]),
        ([RUN, OTHER, DONE], [DONE, OTHER]),
        ([DONE, replace(DONE, outcome=Outcome.FAILED)], [DONE]),
        ([DONE, ADOPTED], [DONE]),
        ([ADOPTED, DONE], [ADOPTED]),
        ([RUN, ADOPTED, replace(DONE, term=2)], [replace(DONE, term=2)]),
    ],
)
def test_of_the_writes_of_one_run_that_one_is_left_which_would_stand_in_the_end(batch, stands):
    assert standing(iter(batch)) == stands


@pytest.mark.parametrize(
    ("stands", "why"),
    [
        (3, "another process leads by now, with term 3; ours was 2"),
        (None, "the lease is gone; ours was 2"),
    ],
)
def test_a_refused_leader_is_told_who_leads_by_now(stands, why):
    assert str(deposed(stands, 2)) == why
