import pytest

from benchmarks.calls import Call, Lateness
from benchmarks.fixtures import keys
from benchmarks.processes import NotMeasuredError
from benchmarks.slots import COUNT, judged


def calls_of(slot):
    return [Call(slot + number / 1000, slot, key) for number, key in enumerate(keys(COUNT), 1)]


def test_each_slot_is_judged_and_all_together():
    calls = calls_of(5.0) + [call._replace(at=call.at + 1) for call in calls_of(10.0)]
    measured = judged([5.0, 10.0], calls, 100, 0)
    first, second = measured.slots
    assert (first.p50, first.p99, first.last) == pytest.approx((0.5, 0.99, 1))
    assert (second.p50, second.p99, second.last) == pytest.approx((1.5, 1.99, 2))
    assert measured.whole == Lateness(p50=first.last, p99=pytest.approx(1.98), last=second.last)


def test_a_slot_that_warms_up_does_not_count():
    late = [call._replace(at=call.at + 60) for call in calls_of(5.0)]
    assert judged([10.0], late + calls_of(10.0), 100, 0).whole.last == pytest.approx(1)


def test_a_call_that_never_came_is_no_figure():
    with pytest.raises(NotMeasuredError, match=r"1 calls never came .* 0 came again, of 1,000 due"):
        judged([5.0], calls_of(5.0)[1:], 100, 0)


def test_a_call_that_came_twice_is_no_figure():
    with pytest.raises(NotMeasuredError, match=r"0 calls never came .* 1 came again"):
        judged([5.0], [*calls_of(5.0), calls_of(5.0)[0]], 100, 0)


def test_jobs_of_another_application_are_others():
    with pytest.raises(NotMeasuredError, match="900 calls never came"):
        judged([5.0], calls_of(5.0), COUNT, 0)
