"""The queue of claimed jobs between the thread that scans and the thread that renders."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.watch.jobs.open_job import OpenJob

CAP_FACTOR: Final = 16
"""Largest number of jobs in the queue, as a multiple of `prefetch`; at most `prefetch` of them are fresh."""


class JobQueue:
    """Jobs that wait for rendering; a job is in the queue at most once.

    The thread that scans adds fresh jobs and asks for `room`. The thread that renders takes jobs out, and adds the jobs
    that it will try again.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: deque[OpenJob] = deque()
        self._lock = threading.Lock()
        self.changed = threading.Event()
        """Event that wakes the thread that renders: a job was added, or the thread that scans has ended."""

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, open_job: OpenJob, seconds: float = 0.0) -> None:
        """Add a job that may begin after some seconds."""
        with self._lock:
            if open_job not in self._jobs:
                open_job.not_before = self._clock() + seconds
                self._jobs.append(open_job)
        self.changed.set()

    def take(self) -> OpenJob | None:
        """Take out the first job that is ready, fresh jobs before tried ones; None if no job is ready."""
        with self._lock:
            ready = [each for each in self._jobs if each.not_before <= self._clock()]
            if not ready:
                return None
            open_job = min(ready, key=lambda each: each.was_tried)
            self._jobs.remove(open_job)
            open_job.was_tried, open_job.is_unreadable = True, False
            return open_job

    def ready(self) -> int:
        """Return the number of jobs that could begin now."""
        with self._lock:
            return sum(open_job.not_before <= self._clock() for open_job in self._jobs)

    def room(self, prefetch: int) -> int:
        """Return how many more jobs may be claimed. Jobs that were tried take no room until the cap is reached.

        Jobs with an unreadable file, which may wait for ever, take none at all. They are few: each pauses the work.
        """
        with self._lock:
            fresh = sum(not open_job.was_tried for open_job in self._jobs)
            readable = sum(not open_job.is_unreadable for open_job in self._jobs)
        return min(prefetch - fresh, CAP_FACTOR * prefetch - readable)

    def clear(self) -> list[OpenJob]:
        """Take out all jobs."""
        with self._lock:
            jobs = list(self._jobs)
            self._jobs.clear()
        return jobs
