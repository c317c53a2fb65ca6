"""The course of an objective as a short text, so that a page can have thousands of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_POINTS: Final = 24
"""Largest number of points of a curve."""
LEVELS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
"""Digits for the 64 heights of a curve, low to high, which are more than the pixels that a curve is drawn with."""


def quantise(trace: Sequence[tuple[int, float]]) -> str:
    """Return a trace as heights at equal distances, one character of `LEVELS` each.

    The objective falls by orders of magnitude, so a height is the logarithm of the total, scaled from the trace's least
    to its greatest.

    Args:
        trace: (evaluation, total) as in the metadata; a total that is not finite is left out.
    """
    points = _spread([step for step in trace if math.isfinite(step[1])], MOST_POINTS)
    heights = [math.log(max(total, 1e-12)) for _, total in points]
    low, high = min(heights, default=0.0), max(heights, default=0.0)
    scale = (len(LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(LEVELS[round((height - low) * scale)] for height in heights)


def _spread(trace: Sequence[tuple[int, float]], count: int) -> Sequence[tuple[int, float]]:
    """Return at most `count` points at about equal distances, with the first and the last among them."""
    if len(trace) <= count:
        return trace
    return [trace[round(index * (len(trace) - 1) / (count - 1))] for index in range(count)]
