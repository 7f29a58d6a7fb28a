import pytest

from benchmarks.calls import Call, Lateness, Reckoning, late_by_slot, read, reckon
from benchmarks.target import lines

REQUEST = (
    b"GET /items/7 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nX-Reconciler-Job: app-0/api-7\r\n"
    b"x-reconciler-scheduled-at: 2026-01-05T10:00:05.000Z"
)


def test_what_a_target_has_noted_can_be_read(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text("\n".join(lines([(1767607205.25, REQUEST), (1767607206, REQUEST)])))
    assert read(notes) == [Call(1767607205.25, 1767607205, "app-0/api-7"), Call(1767607206, 1767607205, "app-0/api-7")]


def test_no_calls_are_read_where_none_came(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text("")
    assert read(notes) == []


def test_lateness_counts_from_the_slot_of_each_call():
    calls = [Call(10.25, 10, "a/b"), Call(15.5, 15, "a/b"), Call(16, 10, "a/c")]
    assert late_by_slot(calls) == {10: [0.25, 6], 15: [0.5]}


def test_lateness_is_told_by_the_middle_the_tail_and_the_last():
    assert Lateness.of([number / 1000 for number in range(1000, 0, -1)]) == Lateness(p50=0.5, p99=0.99, last=1)


def test_a_call_that_never_came_is_lost_and_one_that_came_again_is_extra():
    due = [(10.0, "a/b"), (10.0, "a/c"), (15.0, "a/b")]
    calls = [Call(10.1, 10, "a/b"), Call(10.2, 10, "a/b"), Call(10.3, 10, "a/b"), Call(15.1, 15, "a/b")]
    assert reckon(due, calls) == Reckoning(due=3, lost=[(10, "a/c")], extra=2)


def test_a_call_that_was_not_due_in_the_span_does_not_count():
    assert reckon([(10.0, "a/b")], [Call(10, 10, "a/b"), Call(5, 5, "a/b")]) == Reckoning(due=1, lost=[], extra=0)


@pytest.mark.parametrize("missing", ["X-Reconciler-Job", "x-reconciler-scheduled-at"])
def test_a_request_that_no_reconciler_made_is_no_call(missing):
    other = REQUEST.replace(missing.encode(), b"X-Other")
    with pytest.raises(KeyError):
        list(lines([(1, other)]))
