"""The time budget of a run: pairs get fewer evaluations where the time is short, so that all of them are rendered."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair

FLOOR: Final = 0.25
"""Smallest fraction of the requested evaluations; a picture with fewer evaluations would be too poor."""
STEPS: Final = 16
"""Number of different fractions: only pairs with equal evaluations can advance together on a card."""
_PLANNED: Final = 0.97
"""Fraction of the time that the plan fills; the rest is a reserve."""
_SMOOTHING: Final = 0.7
"""Weight of the previous slowness estimate when a new measurement arrives (exponential smoothing)."""

Seconds = float
Evaluations = tuple[int, ...]
"""Evaluations at each scale, coarse to fine."""


def scaled(evaluations: Evaluations, fraction: float) -> Evaluations:
    """Return a fraction of the evaluations at each scale, at least two at each, since the first is that of the start.

    The fraction is kept between `FLOOR` and 1, and rounded down to a multiple of 1 / `STEPS`.
    """
    rounded = max(FLOOR, min(1.0, math.floor(STEPS * fraction) / STEPS))
    return tuple(max(min(2, count), round(rounded * count)) for count in evaluations)


def fraction_within(seconds: float, wanted: float) -> float:
    """Return the fraction of the requested evaluations that fits into `seconds`, if all take `wanted` seconds."""
    return _PLANNED * seconds / wanted if wanted else 1.0


@dataclass
class _Group:
    """Pairs that share one optimisation, and so its time."""

    pair: Pair
    size: tuple[int, int]
    evaluations: Evaluations
    is_started: bool = False


class TimeBudget:
    """Decides how many evaluations each pair gets when it starts."""

    def __init__(
        self,
        seconds: float,
        expect: Callable[[Pair, tuple[int, int], Evaluations], Seconds],
        *,
        devices: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            seconds: the time budget.
            expect: returns the seconds of a pair of this size with these evaluations, on one device.
            devices: number of devices that work at once.
            clock: returns seconds.
        """
        self._expect, self._clock = expect, clock
        self.devices = devices
        """Number of devices that work at once; it may change."""
        self._end = clock() + seconds
        self._pending: dict[str, _Group] = {}
        """Groups whose pairs are not all done, by name."""
        self._groups: dict[str, str] = {}
        """Name of each pair's group, by the name of its result."""
        self._granted: dict[str, Evaluations] = {}
        """Evaluations that were decided on, by name of the group."""
        self._slowness = 1.0
        """Measured times divided by expected ones."""

    def add(self, pair: Pair, size: tuple[int, int], group: str | None = None) -> None:
        """Add a pair that will be rendered; all pairs of a group take the time of one."""
        group = self._groups[pair.file_name] = group or pair.file_name
        self._pending.setdefault(group, _Group(pair, size, pair.settings.pyramid.planned))

    @property
    def is_over(self) -> bool:
        """Whether the time is over, so that no further pair may start."""
        return self._clock() >= self._end

    @property
    def fraction(self) -> float:
        """Fraction of the requested evaluations that there is time for, over all pairs that have not started."""
        started = waiting = 0.0
        for entry in self._pending.values():
            seconds = self._slowness * self._expect(entry.pair, entry.size, entry.evaluations)
            if entry.is_started:
                started += seconds
            else:
                waiting += seconds
        return fraction_within((self._end - self._clock()) * self.devices - started, waiting)

    def begin(self, pair: Pair) -> Evaluations | None:
        """Return the evaluations of a pair that starts; None if they are those of its settings."""
        group = self._groups.get(pair.file_name, "")
        entry = self._pending.get(group)
        if entry is not None and group not in self._granted:
            entry.evaluations = self._granted[group] = scaled(entry.evaluations, self.fraction)
            entry.is_started = True
        granted = self._granted.get(group)
        return None if granted == pair.settings.pyramid.planned else granted

    def end(self, pair: Pair, seconds: float | None) -> None:
        """Record that a pair has ended.

        Args:
            pair: the pair.
            seconds: its time on the device; 0 if it shares the optimisation of another, None if it failed.
        """
        entry = self._pending.pop(self._groups.get(pair.file_name, ""), None)
        if entry is not None and seconds:
            measured = seconds / max(1e-9, self._expect(entry.pair, entry.size, entry.evaluations))
            self._slowness = _SMOOTHING * self._slowness + (1 - _SMOOTHING) * measured
