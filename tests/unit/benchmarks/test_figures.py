import pytest

from benchmarks.figures import fitted, quantile, report


def test_a_quantile_is_one_of_the_values():
    values = [float(number * 37 % 101) for number in range(1, 101)]
    assert [quantile(values, part) for part in (0.01, 0.5, 0.99, 1)] == [1, 50, 99, 100]


def test_a_quantile_of_few_values_is_the_next_one_up():
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3
    assert quantile([7.0], 0.01) == 7


@pytest.mark.parametrize(("values", "part"), [([], 0.5), ([1.0], 0), ([1.0], 1.01)])
def test_there_is_no_quantile_of_nothing_or_beyond_all(values, part):
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, part)


def test_a_line_goes_through_points_that_lie_on_one():
    line = fitted([(0, 5), (10, 7), (20, 9)])
    assert (line.start, line.slope, line.at(100)) == pytest.approx((5, 0.2, 25))


def test_a_line_is_nearest_to_points_that_lie_beside_it():
    line = fitted([(0, 0), (1, 3), (2, 3), (3, 6)])
    assert line == pytest.approx((0.3, 1.8))


def test_there_is_no_line_through_one_place():
    with pytest.raises(ValueError, match="two points"):
        fitted([(1, 5), (1, 6)])


def test_a_figure_is_held_against_its_goal(capsys):
    report("memory", [1, 3, 2], "MB", 2)
    report("memory", [1, 3, 2], "MB", 2, told=2.001)
    within, beyond = capsys.readouterr().out.splitlines()
    assert within.split() == ["memory", "2.000", "MB", "(from", "1.000", "to", "3.000)", "goal", "2:", "reached"]
    assert beyond.split() == ["memory", "2.001", "MB", "(from", "1.000", "to", "3.000)", "goal", "2:", "NOT", "reached"]


def test_a_figure_without_a_goal_is_only_told(capsys):
    report("memory", [2], "MB")
    assert "reached" not in capsys.readouterr().out
