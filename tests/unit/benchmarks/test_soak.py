from collections import Counter

from benchmarks.soak import due_between


def test_each_job_is_due_once_in_every_period():
    due = list(due_between(1000.0, 1100.0, 1300.0))
    assert Counter(key for _, key, _ in due) == dict.fromkeys((f"app-{n // 100}/api-{n}" for n in range(10_000)), 2)
    assert all(1100 <= instant < 1300 and slot <= instant <= slot + 100 for slot, _, instant in due)


def test_calls_are_due_evenly_over_a_period():
    seconds = Counter(int(instant) for _, _, instant in due_between(1000.0, 1100.0, 1200.0))
    assert sum(seconds.values()) == 10_000
    assert all(60 <= seconds[second] <= 140 for second in range(1100, 1200))


def test_calls_due_before_the_first_slot_are_none():
    assert min(slot for slot, _, _ in due_between(1000.0, 900.0, 1010.0)) == 1000
