"""Whether the evaluation in progress takes so long that the device must be stuck."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE: Final = 40.0
"""Longest time of an evaluation, as a multiple of the longest of the same pair before it. The step to the next larger
scale multiplies the time by four at most, and a card that others use by ten."""
_FLOOR: Final = 5.0
"""Time that an evaluation may take in any case, as a multiple of the seconds of silence that a process may keep. A pair
whose last evaluation is over is still resized and saved, perhaps over a slow network."""
_FIRST: Final = 30.0
"""The same until the first evaluation of a pair, and while pairs are only loaded."""


class Watchdog:
    """Watches the thread that has the device. That thread calls `begin` and `note`."""

    def __init__(self, silence_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch nothing at first.

        Args:
            silence_seconds: seconds of silence that a process may keep.
            clock: returns seconds.
        """
        self._silence_seconds, self._clock = silence_seconds, clock
        self._deadline: float | None = None
        """Time until which the stage must give a sign of life; None: it has nothing to do."""
        self._last: dict[str, float] = {}
        """Time of the last event of each pair on the device."""
        self._longest: dict[str, float] = {}
        """Longest evaluation of each pair on the device, in seconds."""

    @property
    def is_stuck(self) -> bool:
        """Whether the device has been silent for too long."""
        deadline = self._deadline
        return deadline is not None and self._clock() > deadline

    def take(self) -> None:
        """Record that the stage has got a pair, which it loads first."""
        if self._deadline is None:
            self._deadline = self._clock() + _FIRST * self._silence_seconds

    def begin(self, name: str) -> None:
        """Record that the device begins with a pair."""
        now = self._clock()
        self._last[name] = now
        self._deadline = now + _FIRST * self._silence_seconds

    def note(self, name: str) -> None:
        """Record an evaluation of a pair."""
        now = self._clock()
        longest = max(self._longest.get(name, 0.0), now - self._last.get(name, now))
        self._last[name], self._longest[name] = now, longest
        self._deadline = now + max(_FLOOR * self._silence_seconds, _PATIENCE * longest)

    def end(self, name: str, left: int) -> None:
        """Record that a pair has left the stage, in which `left` others are. Any thread may call it."""
        self._last.pop(name, None)
        self._longest.pop(name, None)
        if not self._last:
            self._deadline = None
            if left:
                self.take()

    def rest(self) -> None:
        """Record that the device has nothing to do, since the stage does not work."""
        self._deadline = None
        self._last.clear()
        self._longest.clear()
