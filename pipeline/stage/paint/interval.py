"""The interval between two writes of a file about a pair in progress."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST_SHARE: Final = 0.05
"""Largest share of a device's time that writing may take. On a slow disk, files are written less often."""


class WriteInterval:
    """The time between two writes: a number of seconds, or longer if writing takes a large share of them."""

    def __init__(self, seconds: float, clock: Callable[[], float], batch: int = 1) -> None:
        """Begin to wait for the first write.

        Args:
            seconds: shortest time in seconds between the end of a write and the start of the next.
            clock: returns the time in seconds.
            batch: number of pairs that advance together, each of which has such writes.
        """
        self._seconds, self._clock, self._batch = seconds, clock, batch
        self._end, self._wait = clock(), seconds

    @property
    def is_over(self) -> bool:
        """Whether the file should be written now."""
        return self._clock() - self._end >= self._wait

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Measure a write; the next interval begins when it ends."""
        begin = self._clock()
        yield
        self._end = self._clock()
        self._wait = max(self._seconds, self._batch * (self._end - begin) / LARGEST_SHARE)
