"""A night is so long: pairs are spread over the time there is, by fewer evaluations where it is short."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair

FLOOR: Final = 0.25
"""Of the evaluations asked for: with fewer a picture is not worth its time."""
_OWN_RESERVE: Final = 0.97
"""Of the time that is handed out; the rest is for what is not foreseen."""
_INERTIA: Final = 0.7
"""Of the old opinion about how much longer pairs take than expected, when a new pair is done."""

Seconds = float
Evaluations = tuple[int, ...]


def scaled(evaluations: Evaluations, share: float) -> Evaluations:
    """Fewer evaluations at each scale, at least one, and not below the floor."""
    return tuple(max(1, round(max(FLOOR, min(1.0, share)) * count)) for count in evaluations)


def share_of(seconds: float, wanted: float) -> float:
    """Of the evaluations asked for that there is time for, where they would take so many seconds."""
    return _OWN_RESERVE * seconds / wanted if wanted else 1.0


@dataclass
class _Entry:
    pair: Pair
    size: tuple[int, int]
    evaluations: Evaluations
    is_begun: bool = False


class TimeBudget:
    """Decides how many evaluations each pair has, when it is its turn."""

    def __init__(
        self,
        seconds: float,
        expect: Callable[[Pair, tuple[int, int], Evaluations], Seconds],
        *,
        devices: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The time runs from now.

        Args:
            seconds: that there are.
            expect: seconds of a pair of a size, with so many evaluations, on one device.
            devices: that work at once.
            clock: in seconds.
        """
        self._expect, self._devices, self._clock = expect, devices, clock
        self._end = clock() + seconds
        self._left: dict[str, _Entry] = {}
        """By what they share their time with."""
        self._groups: dict[str, str] = {}
        """Of each pair, by the name of its result."""
        self._given: dict[str, Evaluations] = {}
        self._slowness = 1.0
        """Measured times divided by expected ones."""

    def add(self, pair: Pair, size: tuple[int, int], group: str | None = None) -> None:
        """A pair is to be rendered; all of one group take the time of one."""
        group = self._groups[pair.file_name] = group or pair.file_name
        self._left.setdefault(group, _Entry(pair, size, pair.settings.pyramid.planned))

    @property
    def is_over(self) -> bool:
        """Whether no further pair is to be begun."""
        return self._clock() >= self._end

    @property
    def share(self) -> float:
        """Of the evaluations asked for, that there is time for: of all pairs that are not begun."""
        begun = waiting = 0.0
        for entry in self._left.values():
            seconds = self._slowness * self._expect(entry.pair, entry.size, entry.evaluations)
            if entry.is_begun:
                begun += seconds
            else:
                waiting += seconds
        return share_of((self._end - self._clock()) * self._devices - begun, waiting)

    def begin(self, pair: Pair) -> Evaluations | None:
        """The evaluations of a pair whose turn it is; None if they are those asked for."""
        group = self._groups.get(pair.file_name, "")
        entry = self._left.get(group)
        if entry is not None and group not in self._given:
            entry.evaluations = self._given[group] = scaled(entry.evaluations, self.share)
            entry.is_begun = True
        given = self._given.get(group)
        return None if given == pair.settings.pyramid.planned else given

    def end(self, pair: Pair, seconds: float | None) -> None:
        """A pair is done after so many seconds on the device, none if it had another's result, or has failed (None)."""
        entry = self._left.pop(self._groups.get(pair.file_name, ""), None)
        if entry is not None and seconds:
            measured = seconds / max(1e-9, self._expect(entry.pair, entry.size, entry.evaluations))
            self._slowness = _INERTIA * self._slowness + (1 - _INERTIA) * measured
