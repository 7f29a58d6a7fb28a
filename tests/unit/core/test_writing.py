from __future__ import annotations

from reconciler.core.model import JobKey, Writing


def test_what_goes_is_named_by_its_id_whether_it_can_be_read_or_not():
    writing = Writing(removed_jobs=[JobKey("app", "a"), JobKey("app", "b")], removed_records=["app/broken", "?"])
    assert writing.removed_job_ids == ("app/a", "app/b", "app/broken", "?")


def test_a_writing_of_nothing_removes_nothing():
    assert not Writing()
    assert Writing().removed_job_ids == ()
