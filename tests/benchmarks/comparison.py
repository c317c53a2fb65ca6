"""Comparison of candidates with one another, and of controls with candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.judge import Measured

Point = tuple[float, float]
"""Structure distance C and style distance S."""
Outcome = Literal["win", "loss", "open"]


@dataclass(frozen=True)
class Verdict:
    """The measures of one candidate's result, or of a control."""

    name: str
    """Name of the candidate or control."""
    pair: str
    measured: Measured
    failed: tuple[str, ...]
    """Gates that it does not pass."""
    seconds: float | None = None
    """Seconds on the device; None: nothing was rendered."""

    @property
    def point(self) -> Point:
        """C and S."""
        return self.measured.structure, self.measured.style


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Return the points to which no other is as good on both axes, by rising C and so by falling S."""
    front: list[Point] = []
    for structure, style in sorted(points):
        if not front or style < front[-1][1]:
            front.append((structure, style))
    return front


def outcome(point: Point, curve: Sequence[Point]) -> Outcome:
    """Return whether a result of one method beats the results that another method has with several weights.

    The curve is the Pareto front of its points, with straight lines between neighbours: what the other method could
    reach with a weight in between. Let it go from (C₁, S₁), its most faithful point, to (Cₙ, Sₙ), its most painted one.

    - C₁ ≤ C ≤ Cₙ: a win if S is less than the curve's at the same C, else a loss.
    - C < C₁: a win if S ≤ S₁, since (C₁, S₁) is then beaten on both axes, else open: no weight of the curve is as
      faithful.
    - C > Cₙ: a loss if S ≥ Sₙ, since (Cₙ, Sₙ) then beats the point on both axes, else open: no weight of the curve is
      as painted.

    A curve of one point so asks which of two results is better on both axes.

    Args:
        point: C and S of the one result.
        curve: C and S of the other method's results, in any order; at least one.
    """
    structure, style = point
    front = pareto_front(curve)
    structures, styles = zip(*front, strict=True)
    if structure < structures[0]:
        return "win" if style <= styles[0] else "open"
    if structure > structures[-1]:
        return "loss" if style >= styles[-1] else "open"
    return "win" if style < np.interp(structure, structures, styles) else "loss"


@dataclass(frozen=True)
class ControlCheck:
    """The pairs in which a control passes all gates, and what it would win there."""

    name: str
    passed: tuple[str, ...]
    """Pairs in which it passes all gates."""
    beating: tuple[str, ...]
    """Pairs among them in which both S and C are better than those of some candidate."""
    winning: tuple[str, ...]
    """Pairs among them in which S·(1 + C) is better than that of every candidate: no measure allows that."""


def check_control(name: str, controls: Iterable[Verdict], candidates: Iterable[Verdict]) -> ControlCheck:
    """Return what a control wins.

    Args:
        name: the control's name.
        controls: verdicts on controls.
        candidates: verdicts on the candidates of the same pairs.
    """
    real: dict[str, list[Verdict]] = {}
    for verdict in candidates:
        real.setdefault(verdict.pair, []).append(verdict)
    passed = [each for each in controls if each.name == name and not each.failed and each.pair in real]
    beating = [each for each in passed if any(_is_better(each.point, other.point) for other in real[each.pair])]
    winning = [
        each for each in passed if each.measured.product < min(other.measured.product for other in real[each.pair])
    ]
    return ControlCheck(name, *(tuple(each.pair for each in found) for found in (passed, beating, winning)))


def _is_better(one: Point, other: Point) -> bool:
    return one[0] < other[0] and one[1] < other[1]
