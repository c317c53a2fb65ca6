"""Claimed jobs on their way from the thread that looks to the thread that renders."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.watch.jobs.open_job import OpenJob

CAP_FACTOR: Final = 16
"""So many times `prefetch` jobs at most are claimed and wait for something."""


class JobQueue:
    """Jobs that are to be begun, the first that is ready first; a job is in it once. For two threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: deque[OpenJob] = deque()
        self._lock = threading.Lock()
        self.woken = threading.Event()
        """Set when there is something new for the thread that renders."""

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, opened: OpenJob, seconds: float = 0.0) -> None:
        """A job that may be begun so many seconds from now."""
        with self._lock:
            if opened not in self._jobs:
                opened.not_before = self._clock() + seconds
                self._jobs.append(opened)
        self.woken.set()

    def take(self) -> OpenJob | None:
        """The first that is ready; those that were tried in vain come after those that were not."""
        with self._lock:
            ready = [each for each in self._jobs if each.not_before <= self._clock()]
            if not ready:
                return None
            opened = min(ready, key=lambda each: each.was_begun)
            self._jobs.remove(opened)
            opened.was_begun = True
            return opened

    def ready(self) -> int:
        """How many could be begun."""
        with self._lock:
            return sum(opened.not_before <= self._clock() for opened in self._jobs)

    def room(self, prefetch: int) -> int:
        """For how many more; those that were tried in vain take none, unless they are very many."""
        with self._lock:
            fresh = sum(not opened.was_begun for opened in self._jobs)
        return min(prefetch - fresh, CAP_FACTOR * prefetch - len(self))

    def clear(self) -> list[OpenJob]:
        """All of them, which are in it no more."""
        with self._lock:
            jobs = list(self._jobs)
            self._jobs.clear()
        return jobs
