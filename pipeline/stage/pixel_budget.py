"""A limit on the pictures in memory, in pixels, since a limit on the number of pairs would ignore their sizes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

MAX_PIXELS: Final = 64_000_000
"""Largest number of pixels of pictures that are decoded, wait, or are saved at the same time: 768 MB."""


class Closed(Exception):  # noqa: N818 - no error
    """The budget was closed while a thread waited for room."""


class PixelBudget:
    """Pixels that threads take, in the order of their calls, and release. Any thread may call all methods."""

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self.taken = 0
        """Number of pixels taken and not released."""
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    def take(self, pixels: int) -> None:
        """Wait for room for this many pixels; a pair of more than the whole budget waits until it is alone.

        Raises:
            Closed: the budget was closed.
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

    def take_now(self, pixels: int) -> bool:
        """Take this many pixels if there is room for them and nobody waits; return whether they are taken."""
        with self._changed:
            is_free = not (self._is_closed or self._waiting) and self._has(pixels)
            self.taken += pixels * is_free
            return is_free

    def _has(self, pixels: int) -> bool:
        return self.taken == 0 or self.taken + pixels <= self._max_pixels

    @property
    def is_waited_for(self) -> bool:
        """Whether a thread waits for room."""
        return bool(self._waiting)

    def release(self, pixels: int) -> None:
        """Release this many pixels."""
        with self._changed:
            self.taken -= pixels
            self._changed.notify_all()

    def close(self) -> None:
        """Raise `Closed` in all threads that wait for room now or later."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
