"""What became of every file that was seen: nothing may get lost without being noticed."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.disk import exists
from pipeline.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.watch.spool.records import Job
    from pipeline.watch.spool.spool import Spool

Fate = Literal["done", "duplicate", "failed", "elsewhere"]


@dataclass(frozen=True)
class Balance:
    """`seen = done + duplicate + failed + waiting + in_inbox + elsewhere`, in files."""

    seen: int
    done: int
    duplicate: int
    failed: int
    waiting: int
    """Claimed, and still to be done."""
    in_inbox: int
    elsewhere: int
    """Taken by another watcher, or taken away by its owner."""
    missing: tuple[str, ...]
    """Files of which nothing is known any more."""

    @property
    def is_even(self) -> bool:
        """Whether every file is accounted for."""
        known = self.done + self.duplicate + self.failed + self.waiting + self.in_inbox + self.elsewhere
        return not self.missing and self.seen == known


class FileAccounting:
    """Kept while a watcher runs, by both of its threads. Of finished jobs only the number is kept."""

    def __init__(self) -> None:
        self.seen = 0
        self.counts: dict[Fate, int] = {"done": 0, "duplicate": 0, "failed": 0, "elsewhere": 0}
        self.in_inbox: set[str] = set()
        self.jobs: dict[str, tuple[str, ...]] = {}
        self._missing: list[str] = []
        self._lock = threading.RLock()

    def see(self, relative: str) -> None:
        """A file is in the inbox."""
        with self._lock:
            if relative not in self.in_inbox:
                self.in_inbox.add(relative)
                self.seen += 1

    def lose_sight(self, relative: str) -> None:
        """A file is not in the inbox any more, and we did not take it."""
        with self._lock:
            if relative in self.in_inbox:
                self.in_inbox.remove(relative)
                self.counts["elsewhere"] += 1

    def ignore(self, relative: str) -> None:
        """A file in the inbox is there to stay: a style, or one that was put back."""
        with self._lock:
            if relative in self.in_inbox:
                self.in_inbox.remove(relative)
                self.seen -= 1

    def claim(self, job: Job, relative: str) -> None:
        """A file is now a job's."""
        with self._lock:
            self.see(relative)
            self.in_inbox.remove(relative)
            self.jobs[job.id] = (*self.jobs.get(job.id, ()), relative)

    def recover(self, job: Job, files: tuple[str, ...]) -> None:
        """A job of an earlier process is ours."""
        with self._lock:
            self.seen += len(files)
            self.jobs[job.id] = files

    @contextlib.contextmanager
    def returning(self, job: Job, left: Callable[[], tuple[str, ...]]) -> Iterator[None]:
        """The files of a job go back into the inbox; the other thread has to wait until that is written down.

        Args:
            job: whose files go back.
            left: asked afterwards for those that could not.
        """
        with self._lock:
            try:
                yield
            finally:
                stay = left()
                files = self.jobs.pop(job.id, ())
                back = {name for name in files if name not in stay}
                self.seen -= len(back & self.in_inbox)  # a crash had left them in both places
                self.in_inbox |= back
                if stay:
                    self.jobs[job.id] = stay

    def knows(self, job: Job) -> bool:
        """Whether a job is one of those that are open."""
        with self._lock:
            return job.id in self.jobs

    def vanish(self, job: Job) -> None:
        """A job's folder is empty: right after a restart, before the claim or after the last file was put back."""
        with self._lock:
            self._missing += [printable(name) for name in self.jobs.pop(job.id, ())]

    def finish(self, job: Job, fate: Fate, kept_at: Path | None, disk: Disk) -> None:
        """A job has ended; its folder is to be at `kept_at`, unless there is to be none."""
        with self._lock:
            files = self.jobs.pop(job.id, ())
            self.counts[fate] += len(files)
            if kept_at is not None and not exists(disk, kept_at):
                self._missing += [printable(name) for name in files]

    def balance(self, inbox: Path, spool: Spool, disk: Disk) -> Balance:
        """Compare with what is on disk.

        Raises:
            OSError: it cannot be read.
        """
        here = {name for name in self.in_inbox if exists(disk, inbox / name)}
        elsewhere = self.counts["elsewhere"] + len(self.in_inbox - here)
        missing, waiting = list(self._missing), 0
        for job_id, files in self.jobs.items():
            place = spool.find(job_id)
            if place is not None and place.parent != spool.folder:
                elsewhere += len(files)
                continue
            found = set(spool.files_at(place)) if place else set()
            waiting += len(found)
            back = {name for name in files if name not in found and exists(disk, inbox / name)}
            here |= back
            missing += [printable(name) for name in files if name not in found | back]
        counts = self.counts
        return Balance(
            self.seen, counts["done"], counts["duplicate"], counts["failed"], waiting, len(here), elsewhere,
            tuple(missing),
        )  # fmt: skip
