"""What is made of measured values: quantiles, a fitted line, a figure against its goal.

Forbidden here: measuring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple


class Line(NamedTuple):
    """A straight line: ``start`` at zero, rising by ``slope`` for each one to the right."""

    start: float
    slope: float

    def at(self, place: float) -> float:
        """Its height there."""
        return self.start + self.slope * place


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least this part of all values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or the part does not lie in (0, 1].
    """
    if not values or not 0 < part <= 1:
        raise ValueError("a quantile needs values, and a part above 0 and up to 1")
    return sorted(values)[math.ceil(part * len(values) - 1e-9) - 1]


def fitted(points: Sequence[tuple[float, float]]) -> Line:
    """The line through points (x, y) by least squares.

    Raises:
        ValueError: there are not two different x.
    """
    if len({x for x, _ in points}) < 2:
        raise ValueError("a line needs two points at different places")
    middle, height = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - height) for x, y in points) / spread
    return Line(height - slope * middle, slope)


def report(
    name: str, values: Sequence[float], unit: str, goal: float | None = None, *, told: float | None = None
) -> None:
    """Print a figure, its lowest and highest, and whether it is within its goal.

    Args:
        name: what was measured.
        values: as often as it was.
        unit: of the values.
        goal: at most so much; ``None`` where nothing was promised.
        told: the figure; the median of the values unless given.
    """
    figure = median(values) if told is None else told
    shown = f"{figure:>9.3f} {unit:<3} (from {min(values):.3f} to {max(values):.3f})"
    verdict = "" if goal is None else f"goal {goal:g}: {'reached' if figure <= goal else 'NOT reached'}"
    print(f"{name:<58} {shown:<44} {verdict}".rstrip(), flush=True)
