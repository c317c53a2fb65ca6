"""The workers of a spool: the folder of each, its lock and heartbeat, and what happens to a dead worker's jobs."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import socket
import stat
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import exists, move
from pipeline.errors import EvictedError, UsageError
from pipeline.trees import NOT_EMPTY
from pipeline.watch.spool.place import EVENT_PROBE_PREFIX, PROBE_PREFIX, make_spool, record_inbox
from pipeline.watch.spool.records import Job, SpoolRemovedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.watch.spool.place import SpoolPlace

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 120.0
"""Age in seconds of a heartbeat at which its worker counts as dead, where locks cannot tell."""
_CLAIMED_PROBE_PREFIX: Final = "probe-"
"""Start of the name that such a file has in the spool."""
_NOT_OURS: Final = (FileNotFoundError, IsADirectoryError, PermissionError)
"""Errors of removing a trial file that is gone, or whose name somebody else has taken."""
_OWN_FILES: Final = ("beat", "status.json", "status.tmp", "lock")
"""Files of a worker's folder that belong to the worker and to none of its jobs."""


class Worker:
    """This process as a worker of a spool.

    A worker is dead when nobody holds its lock or, on a file system that keeps no locks between machines, when its
    heartbeat is old. The main thread calls `enter`, `take_over` once, and `leave` in the end. In between the scanning
    thread calls `take_over` and `beat`; on a shared file system another thread calls `beat`, too. Methods raise OSError
    as the system does.
    """

    def __init__(self, place: SpoolPlace, *, is_shared: bool) -> None:
        self._place = place
        self.is_shared = is_shared
        """Whether other machines, which may not see the lock, know this worker by its heartbeat alone."""
        self._lock: FileLock | None = None
        self._device: int | None = None
        """Device of the inbox's file system when this process became a worker."""
        self.foreign: set[Path] = set()
        """Folders of workers of other users, whose jobs cannot be taken over; of each a warning was logged."""

    @property
    def name(self) -> str:
        """Name of the worker, which no other worker has."""
        return self._place.worker

    def enter(self) -> None:
        """Make the spool unless it exists, check that files can be claimed into it, and become one of its workers.

        A worker whose spool was removed calls this again.

        Raises:
            UsageError: the spool is on another file system than the inbox, is another inbox's, or somebody else may
                have put it there.
            OSError: the spool cannot be made or written.
        """
        place, disk = self._place, self._place.disk
        make_spool(disk, place.root, place.inbox)
        for name in ("work", "done", "failed"):
            place.make(place.root / name)
        self._probe()
        record_inbox(disk, place.root, place.inbox)
        self._device = disk.lstat(place.inbox).st_dev
        if self._lock is not None:  # that of a spool that was removed
            self._lock.release()
        # The folder gets its final name when its lock is already held, so that nobody finds it without a holder.
        unnamed = place.root / "work" / f".{place.worker}"
        place.make(unnamed)  # an attempt that failed half way may have left it
        lock = FileLock(unnamed / "lock", timeout=0)
        lock.acquire()
        self._lock = lock
        disk.write(unnamed / "beat", b"")
        move(disk, unnamed, place.folder)
        self._remove_old_probes()

    def _probe(self) -> None:
        """Rename a trial file from the inbox into the spool, as a claim does."""
        place, disk = self._place, self._place.disk
        source, target = (
            place.inbox / f"{PROBE_PREFIX}{place.worker}",
            place.root / f"{_CLAIMED_PROBE_PREFIX}{place.worker}",
        )
        disk.create(source)
        try:
            disk.rename(source, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                disk.unlink(source)
            if error.errno == errno.EXDEV:
                raise UsageError(
                    f"watch.spool = {place.root}: is on another file system than the inbox {place.inbox}, so a file "
                    "cannot be claimed by renaming it.",
                    "Leave watch.spool empty, or give a folder on the inbox's file system.",
                ) from error
            raise
        disk.unlink(target)

    def _remove_old_probes(self) -> None:
        """Remove the trial files of processes that were killed before they were workers, and of a doctor."""
        place, disk = self._place, self._place.disk
        now = disk.lstat(place.folder / "beat").st_mtime
        workers = {entry.name.removeprefix(".") for entry in disk.entries(place.root / "work")}
        prefixes = {place.inbox: (EVENT_PROBE_PREFIX, PROBE_PREFIX), place.root: (_CLAIMED_PROBE_PREFIX,)}
        for folder, starts in prefixes.items():
            for name in [entry.name for entry in disk.entries(folder) if entry.name.startswith(starts)]:
                if any(name == f"{start}{worker}" for start in starts for worker in workers):
                    continue
                with contextlib.suppress(*_NOT_OURS):
                    if now - disk.lstat(folder / name).st_mtime > LEASE_SECONDS:
                        disk.unlink(folder / name)

    def leave(self) -> None:
        """Stop being a worker; jobs that are left are for another worker to take over."""
        if self._lock is None:
            return
        disk, folder = self._place.disk, self._place.folder
        try:
            if exists(disk, folder) and not any(jobs_in(disk, folder)):
                self._clear(folder)
        finally:
            self._lock.release()
            self._lock = None

    def _clear(self, folder: Path) -> None:
        """Remove a worker's folder unless it holds more than the worker's own files, such as a new job."""
        for name in _OWN_FILES:
            with contextlib.suppress(FileNotFoundError):
                self._place.disk.unlink(folder / name)
        try:
            self._place.disk.rmdir(folder)
        except OSError as error:
            if error.errno not in NOT_EMPTY:
                raise

    def check_alive(self) -> None:
        """Check that no other worker has taken this one for dead.

        Raises:
            EvictedError: the worker's folder is gone.
            SpoolRemovedError: the spool is gone, but not the inbox.
            OSError: the spool cannot be reached.
        """
        place = self._place
        try:
            place.disk.lstat(place.root / "work")
        except FileNotFoundError as error:  # no eviction, since the spool or its whole file system is gone
            if place.disk.lstat(place.inbox).st_dev != self._device:
                text = "another file system is mounted there than when impasto started"
                raise OSError(errno.ENODEV, text, str(place.inbox)) from error
            raise SpoolRemovedError from error
        if not exists(place.disk, place.folder):
            raise EvictedError(
                f"{place.folder}: is gone: other workers took this one for dead and have its jobs.", "Start it again."
            )

    def beat(self) -> None:
        """Send a heartbeat: set the time of a file in the worker's folder.

        Raises:
            EvictedError: other workers took this one for dead.
            SpoolRemovedError: the spool is gone, but not the inbox.
        """
        beat = self._place.folder / "beat"
        try:
            self._place.disk.touch(beat)
        except FileNotFoundError:
            self.check_alive()
            self._place.disk.write(beat, b"")

    def take_over(self, on_dead_worker: Callable[[str], None]) -> None:
        """Make the jobs of dead workers jobs of this worker.

        Args:
            on_dead_worker: called with the name of each dead worker before its jobs are moved.
        """
        place, disk = self._place, self._place.disk
        for entry in disk.entries(place.root / "work"):
            folder = place.root / "work" / entry.name
            if entry.name == place.worker or not entry.is_dir(follow_symlinks=False):
                continue
            try:
                self._take_over_if_dead(folder, on_dead_worker)
            except PermissionError as error:  # it was started by another user; work goes on without its jobs
                if folder not in self.foreign:
                    self.foreign.add(folder)
                    text = "%s: a worker's jobs cannot be taken over: %s. Give the folder to this user (chown -R)."
                    logger.warning(text, folder, error.strerror)

    def _take_over_if_dead(self, folder: Path, on_dead_worker: Callable[[str], None]) -> None:
        place, disk = self._place, self._place.disk
        with self._locked_if_dead(folder) as is_dead:
            if is_dead:
                worker = folder.name.removeprefix(".")
                on_dead_worker(worker)
                for prefix in (EVENT_PROBE_PREFIX, PROBE_PREFIX):
                    with contextlib.suppress(*_NOT_OURS):
                        disk.unlink(place.inbox / f"{prefix}{worker}")
                self._take_jobs(folder)

    @contextlib.contextmanager
    def _locked_if_dead(self, folder: Path) -> Iterator[bool]:
        """Yield whether the worker of a folder is dead, and hold its lock until then where locks are used."""
        if self.is_shared or folder.name.startswith("."):  # a hidden folder is new: its lock may not be held yet
            # A heartbeat that is sent now has the disk's time, as those of other workers have.
            self.beat()
            try:
                now = self._place.disk.lstat(self._place.folder / "beat").st_mtime
                is_dead = now - self._last_beat(folder) > LEASE_SECONDS
            except FileNotFoundError:  # the folder, or this worker's own, is gone by now
                is_dead = False
            yield is_dead
            return
        path = folder / "lock"
        if exists(self._place.disk, path) and not stat.S_ISREG(self._place.disk.lstat(path).st_mode):
            yield False  # locking opens the file to which a link leads
            return
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except (Timeout, FileNotFoundError, NotADirectoryError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _last_beat(self, folder: Path) -> float:
        """Return the time of a worker's last heartbeat, else of its folder, in seconds since 1970."""
        try:
            return self._place.disk.lstat(folder / "beat").st_mtime
        except FileNotFoundError:
            return self._place.disk.lstat(folder).st_mtime

    def _take_jobs(self, folder: Path) -> None:
        disk = self._place.disk
        with contextlib.suppress(FileNotFoundError):  # another worker took all of them first
            for job in jobs_in(disk, folder):
                with contextlib.suppress(FileNotFoundError):  # another worker took this one first
                    move(disk, job.folder, self._place.folder / job.id)
        self._clear(folder)


def jobs_in(disk: Disk, folder: Path) -> Iterator[Job]:
    """Yield the jobs in a worker's folder, oldest first."""
    for entry in disk.entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield Job(entry.name, folder / entry.name)


def new_worker_name() -> str:
    """Return a name that no other worker has."""
    return f"{_host_part(socket.gethostname())}-{os.getpid()}-{secrets.token_hex(3)}"


def is_this_host(part: str) -> bool:
    """Whether the first part of a worker's name is this machine's."""
    return part == _host_part(socket.gethostname())


def _host_part(host: str) -> str:
    return "".join(character if character.isalnum() or character == "-" else "_" for character in host)[:40] or "host"
