"""The accounting of all files that a watcher has seen, by which a lost file is noticed."""

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
    """Numbers of files by their fate.

    seen = done + duplicate + failed + waiting + in_inbox + elsewhere
    """

    seen: int
    done: int
    duplicate: int
    failed: int
    waiting: int
    """Number of files that are claimed and not yet done."""
    in_inbox: int
    elsewhere: int
    """Number of files that another watcher has taken, or that were removed from the inbox."""
    missing: tuple[str, ...]
    """Files that should be on disk and are not, by their printable paths in the inbox."""

    @property
    def is_even(self) -> bool:
        """Whether every file is accounted for."""
        known = self.done + self.duplicate + self.failed + self.waiting + self.in_inbox + self.elsewhere
        return not self.missing and self.seen == known


def _may_exist(disk: Disk, path: Path) -> bool:
    """Whether a file is there, or is not known to be gone, since its folder may not be entered any more."""
    try:
        return exists(disk, path)
    except PermissionError:
        return True


class FileAccounting:
    """Counts files while a watcher runs. Finished files are only counted; all others are known by their paths.

    The scanning thread reports the files that it sees and claims, and the main thread the ends of jobs. Both may call
    any method; a lock protects the counts.
    """

    def __init__(self) -> None:
        self.seen = 0
        """Number of files seen."""
        self.counts: dict[Fate, int] = {"done": 0, "duplicate": 0, "failed": 0, "elsewhere": 0}
        """Number of files whose fate is known, by fate."""
        self.in_inbox: set[str] = set()
        """Unclaimed files, by path in the inbox."""
        self.jobs: dict[str, list[str]] = {}
        """Paths in the inbox of the files of each open job, by the job's id."""
        self._missing: list[str] = []
        self._lock = threading.RLock()

    def see(self, relative: str) -> None:
        """Report that a file is in the inbox."""
        with self._lock:
            if relative not in self.in_inbox:
                self.in_inbox.add(relative)
                self.seen += 1

    def lose_sight(self, relative: str) -> None:
        """Report that a file is no longer in the inbox, and that this worker has not claimed it."""
        with self._lock:
            if relative in self.in_inbox:
                self.in_inbox.remove(relative)
                self.counts["elsewhere"] += 1

    def ignore(self, relative: str) -> None:
        """Do not count a file that stays in the inbox, since it is a style or was returned."""
        with self._lock:
            if relative in self.in_inbox:
                self.in_inbox.remove(relative)
                self.seen -= 1

    def claim(self, job: Job, relative: str) -> None:
        """Report that a file was claimed for a job."""
        with self._lock:
            self.see(relative)
            self.in_inbox.remove(relative)
            self.jobs.setdefault(job.id, []).append(relative)

    def recover(self, job: Job, files: tuple[str, ...]) -> None:
        """Report a job of an earlier process that this worker continues."""
        with self._lock:
            self.seen += len(files)
            self.jobs[job.id] = list(files)

    @contextlib.contextmanager
    def putting_back(self, job: Job, left: Callable[[], tuple[str, ...]]) -> Iterator[None]:
        """Count the files of a job as being in the inbox again, after the body of the `with` has put them back.

        Other threads wait meanwhile, so that none of them sees a file in the inbox before it is counted there.

        Args:
            job: the job.
            left: called afterwards; returns the files that could not be put back.
        """
        with self._lock:
            try:
                yield
            finally:
                remaining = left()
                files = self.jobs.pop(job.id, ())
                back = {name for name in files if name not in remaining}
                self.seen -= len(back & self.in_inbox)  # after a crash these files were in both places
                self.in_inbox |= back
                if remaining:
                    self.jobs[job.id] = list(remaining)

    def knows(self, job: Job) -> bool:
        """Whether a job is open."""
        with self._lock:
            return job.id in self.jobs

    def vanish(self, job: Job) -> None:
        """Report that the folder of a job was found empty.

        A crash before the claim or after the last file was put back leaves such a folder; then it has no known file.
        """
        with self._lock:
            self._missing += [printable(name) for name in self.jobs.pop(job.id, ())]

    def finish(self, job: Job, fate: Fate, kept_at: Path | None, disk: Disk) -> None:
        """Report that a job has ended.

        Args:
            job: the job.
            fate: the fate of its files.
            kept_at: folder that must now contain the job's files; None if they are not kept.
            disk: disk on which the folder is checked.

        Raises:
            OSError: the folder cannot be checked.
        """
        with self._lock:
            files = self.jobs.pop(job.id, ())
            self.counts[fate] += len(files)
            if kept_at is not None and not exists(disk, kept_at):
                self._missing += [printable(name) for name in files]

    def balance(self, inbox: Path, spool: Spool, disk: Disk) -> Balance:
        """Compare the counts with the files on disk.

        Args:
            inbox: the inbox.
            spool: the spool of this worker.
            disk: disk on which the files are checked.

        Raises:
            OSError: the inbox or the spool cannot be read.
        """
        present = {name for name in self.in_inbox if _may_exist(disk, inbox / name)}
        elsewhere = self.counts["elsewhere"] + len(self.in_inbox - present)
        returned = {name for name in present if spool.is_returned(name)}  # they are counted by their jobs
        present -= returned
        seen = self.seen - len(returned)
        missing, waiting = list(self._missing), 0
        for job_id, files in self.jobs.items():
            folder = spool.find(job_id)
            if folder is not None and folder.parent != spool.folder:
                elsewhere += len(files)
                continue
            found = set(spool.files_at(folder)) if folder else set()
            waiting += len(found)
            back = {name for name in files if name not in found and _may_exist(disk, inbox / name)}
            present |= back
            missing += [printable(name) for name in files if name not in found | back]
        counts = self.counts
        return Balance(
            seen, counts["done"], counts["duplicate"], counts["failed"], waiting, len(present), elsewhere,
            tuple(missing),
        )  # fmt: skip
