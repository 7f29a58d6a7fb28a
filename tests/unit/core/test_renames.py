from __future__ import annotations

import pytest

from reconciler.core.model import JobKey
from reconciler.core.renames import carried_by, marked
from tests.fakes import stored_job

A, B, C = JobKey("app", "a"), JobKey("app", "b"), JobKey("app", "c")


@pytest.mark.parametrize("renamed", [{}, {A: B}, {A: B, C: JobKey("app", "d")}, {A: C, B: C}], ids=str)
def test_names_that_nobody_gives_up_and_takes_at_once_need_no_mark(renamed):
    assert carried_by(renamed, []) is None


@pytest.mark.parametrize("renamed", [{A: B, B: A}, {A: B, B: C}, {A: A}], ids=str)
def test_names_that_are_given_up_and_taken_at_once_are_marked(renamed):
    assert carried_by(renamed, [])


def test_the_same_renaming_has_the_same_mark_in_any_order():
    jobs = [stored_job("app/b"), stored_job("app/c")]
    assert carried_by({A: B, B: C}, jobs) == carried_by({B: C, A: B}, iter(reversed(jobs)))


def test_another_renaming_and_another_revision_have_another_mark():
    first = carried_by({A: B, B: A}, [stored_job("app/a", revision="r1")])
    assert first != carried_by({A: B, B: C}, [stored_job("app/a", revision="r1")])
    assert first != carried_by({A: B, B: A}, [stored_job("app/a", revision="r2")])


def test_other_jobs_written_along_do_not_matter():
    exchanged = {A: B, B: A}
    assert carried_by(exchanged, [stored_job("app/c", revision="r7")]) == carried_by(exchanged, [])


def test_a_document_is_marked_where_the_renaming_has_a_mark():
    document = {"_id": "app/b"}
    assert marked(document, "m1") == {"_id": "app/b", "carriedBy": "m1"}
    assert marked(document, None) == document == {"_id": "app/b"}
