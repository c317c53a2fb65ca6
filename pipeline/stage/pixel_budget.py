"""How much may be in work at once: pixels, not items, since a night has thumbnails and posters in it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

MOST_PIXELS: Final = 64_000_000
"""Of pictures that are being decoded, wait, or are being saved: 768 MB."""


class Closed(Exception):  # noqa: N818 - no error
    """Nobody wants the pixels any more."""


class PixelBudget:
    """Pixels that are taken and given back, by threads, in the order in which they asked."""

    def __init__(self, most: int = MOST_PIXELS) -> None:
        self._most, self.taken = most, 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    def take(self, pixels: int) -> None:
        """Wait until there is room; one that is larger than all the room there is has it for itself.

        Raises:
            Closed: `close` was called.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._is_closed or (self._waiting[0] is ticket and self._has(pixels)))
                if self._is_closed:
                    raise Closed
                self.taken += pixels
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _has(self, pixels: int) -> bool:
        return self.taken == 0 or self.taken + pixels <= self._most

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._waiting)

    def give_back(self, pixels: int) -> None:
        """Make room."""
        with self._changed:
            self.taken -= pixels
            self._changed.notify_all()

    def close(self) -> None:
        """Send away whoever waits or comes."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
