"""The course of an objective, small enough for thousands of them on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_POINTS: Final = 24
LEVELS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
"""64 heights, low to high: finer than the pixels that a curve is drawn with."""


def quantise(trace: Sequence[tuple[int, float]]) -> str:
    """A trace as heights, one character of `LEVELS` each, at equal distances.

    The objective falls by orders of magnitude, so heights are of its logarithm, between its least and its greatest.

    Args:
        trace: (evaluation, total) as in the metadata; a total that is not finite is left out.
    """
    kept = _spread([step for step in trace if math.isfinite(step[1])], MOST_POINTS)
    heights = [math.log(max(total, 1e-12)) for _, total in kept]
    low, high = min(heights, default=0.0), max(heights, default=0.0)
    scale = (len(LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(LEVELS[round((height - low) * scale)] for height in heights)


def _spread(trace: Sequence[tuple[int, float]], most: int) -> Sequence[tuple[int, float]]:
    """So many at about equal distances; the first and the last are among them."""
    if len(trace) <= most:
        return trace
    return [trace[round(place * (len(trace) - 1) / (most - 1))] for place in range(most)]
