"""How often a source may ask."""

import pytest

from reconciler.web.limits import Allowance, Rate


class Steady:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def steady():
    return Steady()


def test_a_burst_passes_and_then_one_after_each_span(steady):
    allowance = Allowance(Rate(burst=3, every=10.0), steady)
    assert [allowance.take("a") for _ in range(5)] == [0, 0, 0, 10, 10]
    steady.now += 9
    assert allowance.take("a") == 1
    steady.now += 1
    assert [allowance.take("a"), allowance.take("a")] == [0, 10]


def test_sources_do_not_touch_each_other(steady):
    allowance = Allowance(Rate(burst=1, every=10.0), steady)
    assert [allowance.take(source) for source in ("a", "b", "a")] == [0, 0, 10]


def test_addresses_of_one_ipv6_network_are_one_source(steady):
    allowance = Allowance(Rate(burst=1, every=10.0), steady)
    assert [allowance.take(f"2001:db8::{n}") for n in range(1, 4)] == [0, 10, 10]
    assert allowance.take("2001:db8:0:1::1") == 0


def test_to_look_takes_nothing(steady):
    allowance = Allowance(Rate(burst=1, every=10.0), steady)
    assert [allowance.wait("a"), allowance.wait("a"), allowance.take("a"), allowance.wait("a")] == [0, 0, 0, 10]


def test_a_whole_burst_is_there_again_after_a_rest(steady):
    allowance = Allowance(Rate(burst=2, every=10.0), steady)
    for _ in range(3):
        assert [allowance.take("a"), allowance.take("a")] == [0, 0]
        assert allowance.take("a") > 0
        steady.now += 20


def test_so_many_sources_are_remembered_and_no_more(steady):
    allowance = Allowance(Rate(burst=1, every=10.0), steady, limit=2)
    for source in ("a", "b", "c"):
        allowance.take(source)
    assert [allowance.wait(source) for source in ("a", "b", "c")] == [0, 10, 10]
