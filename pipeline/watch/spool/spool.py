"""The spool: where files are while they are worked on, and afterwards.

    work/<worker>/lock, beat          who works; a worker is dead when its lock is free (on a network: its beat is old)
    work/<worker>/<job>/in/<path>     claimed files, at their paths in the inbox
    work/<worker>/<job>/job.json      what is known of the job
    done/<date>/<job>/                retired
    failed/<job>/                     with reason.json
    returned/                         of files that were put back into the inbox when they were done

A claim is one rename, so of several workers one gets the file and the others see that it is gone. Everything that a
restart needs is on disk before the next step begins; `decide` tells what a restart does with what it finds.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import socket
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from filelock import FileLock, Timeout
from pydantic import ValidationError

from pipeline.disk import exists, make_folders, move, move_without_replacing, put, remove_tree
from pipeline.errors import EvictedError, UsageError
from pipeline.text import printable
from pipeline.watch.spool.records import FileFacts, Job, JobRecord, NotClaimedError, Returned
from pipeline.watch.spool.workers import _OWN_FILES, LEASE_SECONDS, _plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydantic import BaseModel

    from pipeline.disk import Disk
    from pipeline.outbox.metadata import JobFailure

RECORD: Final = "job.json"
REASON: Final = "reason.json"
_DISK_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT})
"""How a system says that no file can be claimed now; all else is told of one file."""
SIGN_PREFIX: Final = ".impasto-alive-"
PROBE_PREFIX: Final = ".impasto-probe-"
"""Of files that a worker leaves in the inbox for a moment."""


class Spool:
    """The spool of one inbox, as one worker uses it. Methods that change it raise OSError as the system does."""

    def __init__(self, root: Path, inbox: Path, disk: Disk, *, shared: bool = False) -> None:
        """`shared`: on a file system whose locks other machines may not see."""
        self.root, self._inbox, self._disk, self._shared = root, inbox, disk, shared
        self.worker = f"{_plain(socket.gethostname())}-{os.getpid()}-{secrets.token_hex(3)}"
        self._lock: FileLock | None = None

    @property
    def folder(self) -> Path:
        """This worker's."""
        return self.root / "work" / self.worker

    @property
    def is_shared(self) -> bool:
        """Whether other machines know of this worker by its beat alone."""
        return self._shared

    def enter(self) -> None:
        """Make the spool if need be, see that it can do its work, and be a worker in it.

        Raises:
            UsageError: it is on another file system than the inbox.
            OSError: it cannot be made or written.
        """
        for name in ("work", "done", "failed"):
            make_folders(self._disk, self.root / name)
        self._probe()
        # The lock is held before the folder has its name, so that nobody finds it without a holder.
        early = self.root / "work" / f".{self.worker}"
        self._disk.mkdir(early)
        lock = FileLock(early / "lock", timeout=0)
        lock.acquire()
        self._lock = lock
        self._disk.write(early / "beat", b"")
        move(self._disk, early, self.folder)

    def _probe(self) -> None:
        """A rename from the inbox into the spool, with a file of our own."""
        source, target = self._inbox / f"{PROBE_PREFIX}{self.worker}", self.root / f"probe-{self.worker}"
        self._disk.write(source, b"")
        try:
            self._disk.rename(source, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._disk.unlink(source)
            if error.errno == errno.EXDEV:
                raise UsageError(
                    f"watch.spool = {self.root}: is on another file system than the inbox {self._inbox}, so a file "
                    "cannot be claimed by renaming it.",
                    "Leave watch.spool empty, or give a folder on the inbox's file system.",
                ) from error
            raise
        self._disk.unlink(target)

    def leave(self) -> None:
        """Be no worker any more; jobs that are still there are for another one to take over."""
        if self._lock is None:
            return
        try:
            if exists(self._disk, self.folder) and not any(self._jobs_of(self.folder)):
                self._clear(self.folder)
        finally:
            self._lock.release()
            self._lock = None

    def _clear(self, folder: Path) -> None:
        """Remove a worker's folder, unless something came into it: what is in there is never removed."""
        for name in _OWN_FILES:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(folder / name)
        try:
            self._disk.rmdir(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                raise

    def claim(self, relative: str) -> Job:
        """Take a file out of the inbox.

        Raises:
            NotClaimedError: it is gone or held.
        """
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        job = Job(name, self.folder / name)
        self._check_held()
        self._disk.mkdir(job.folder)
        try:
            self.add(job, relative)
        except NotClaimedError:
            remove_tree(self._disk, job.folder)
            raise
        return job

    def _check_held(self) -> None:
        self._disk.lstat(self.root / "work")  # not there when it is the whole file system that is gone
        if not exists(self._disk, self.folder):
            raise EvictedError(
                f"{self.folder}: is gone: other workers took this one for dead and have its jobs.", "Start it again."
            )

    def add(self, job: Job, relative: str) -> None:
        """Take a further file for a job out of the inbox.

        Raises:
            NotClaimedError: it is gone or held.
        """
        source, target = self._inbox / relative, job.path(relative)
        try:
            make_folders(self._disk, target.parent)
            self._disk.rename(source, target)
        except FileNotFoundError as error:
            if not exists(self._disk, target):  # else the answer to a rename that succeeded was lost on the network
                raise NotClaimedError("it is gone", held=False) from error
        except OSError as error:
            if error.errno in _DISK_ERRNOS:
                raise
            raise NotClaimedError(f"cannot be moved: {error.strerror}", held=True) from error
        self._disk.sync_folder(target.parent)
        with contextlib.suppress(FileNotFoundError):  # the folder may be gone by now
            self._disk.sync_folder(source.parent)

    def files(self, job: Job) -> tuple[str, ...]:
        """The files of a job, by their paths in the inbox."""
        return self.files_at(job.folder)

    def files_at(self, folder: Path) -> tuple[str, ...]:
        """The same for a job's folder, wherever it is."""
        return tuple(sorted(_walk(self._disk, folder / "in", "")))

    def record(self, job: Job) -> JobRecord | None:
        """What is known of a job; None if nothing is, or if it cannot be read."""
        try:
            return JobRecord.model_validate_json(self._disk.read(job.folder / RECORD))
        except (FileNotFoundError, ValidationError):
            return None

    def write_record(self, job: Job, record: JobRecord) -> None:
        """Remember what is known of a job."""
        self._put(job, RECORD, record)

    def _put(self, job: Job, name: str, model: BaseModel) -> None:
        data = (model.model_dump_json(indent=2) + "\n").encode()
        put(self._disk, job.folder / name, data, job.folder / f".{name}.tmp")

    def has_reason(self, job: Job) -> bool:
        """Whether a job was about to be moved to `failed`."""
        return exists(self._disk, job.folder / REASON)

    def holds(self, job: Job) -> bool:
        """Whether a job is still this worker's."""
        return exists(self._disk, job.folder)

    def release(self, job: Job) -> bool:
        """Put the files of a job back into the inbox; False if a name there is taken by now, then the job stays."""
        files = self.files(job)
        # A ticket goes last: without it nobody would know what belongs together.
        for relative in sorted(files, key=lambda name: PurePosixPath(name).name == name):
            make_folders(self._disk, (self._inbox / relative).parent)
            if not move_without_replacing(self._disk, job.path(relative), self._inbox / relative):
                return False
        remove_tree(self._disk, job.folder)
        return True

    def archive(self, job: Job, date: str) -> Path:
        """Retire a job to `done/<date>/`."""
        return self._retire_to(self.root / "done" / date, job)

    def quarantine(self, job: Job, reason: JobFailure | None) -> Path:
        """Move a job to `failed/`; without a reason if that was written before a crash."""
        if reason is not None:
            self._put(job, REASON, reason)
        return self._retire_to(self.root / "failed", job)

    def _retire_to(self, folder: Path, job: Job) -> Path:
        make_folders(self._disk, folder)
        target = folder / job.id
        move(self._disk, job.folder, target)
        return target

    def delete(self, job: Job, date: str) -> None:
        """Retire a job and remove it; a crash in between leaves it retired."""
        remove_tree(self._disk, self.archive(job, date))

    def give_back(self, job: Job) -> bool:
        """Retire a job by putting its files back where they were, remembered as done; False as `release`."""
        make_folders(self._disk, self.root / "returned")
        for relative in self.files(job):
            facts = FileFacts.of(self._disk.lstat(job.path(relative)))
            note = Returned(path=printable(relative), size=facts.size, mtime_ns=facts.mtime_ns, inode=facts.inode)
            target = self._note_of(relative)
            put(self._disk, target, note.model_dump_json().encode(), target.with_suffix(f".{self.worker}"))
        return self.release(job)

    def was_given_back(self, relative: str, facts: FileFacts) -> bool:
        """Whether a file in the inbox is done and was put back, and has not changed since."""
        try:
            note = Returned.model_validate_json(self._disk.read(self._note_of(relative)))
        except (FileNotFoundError, ValidationError):
            return False
        return (note.size, note.mtime_ns, note.inode) == (facts.size, facts.mtime_ns, facts.inode)

    def _note_of(self, relative: str) -> Path:
        return self.root / "returned" / f"{hashlib.sha256(os.fsencode(relative)).hexdigest()}.json"

    def jobs(self) -> list[Job]:
        """This worker's, oldest first."""
        return list(self._jobs_of(self.folder))

    def _jobs_of(self, folder: Path) -> Iterator[Job]:
        for entry in self._disk.entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield Job(entry.name, folder / entry.name)

    def find(self, job_id: str) -> Path | None:
        """Where a job is: with whichever worker, done or failed."""
        work = self.root / "work"
        places = [work / entry.name for entry in self._disk.entries(work)]
        done = self.root / "done"
        dates = self._disk.entries(done) if exists(self._disk, done) else []
        places += [self.root / "failed", *(done / entry.name for entry in dates)]
        return next((place / job_id for place in places if exists(self._disk, place / job_id)), None)

    def fate(self, place: Path) -> Literal["done", "failed", "elsewhere"]:
        """What became of a job that was found in a place."""
        if place.parent == self.root / "failed":
            return "failed"
        return "done" if place.parent.parent == self.root / "done" else "elsewhere"

    def is_in_work(self, job_id: str) -> bool:
        """Whether any worker has a job."""
        work = self.root / "work"
        return any(exists(self._disk, work / entry.name / job_id) for entry in self._disk.entries(work))

    def beat(self) -> None:
        """Show other machines that this worker lives.

        Raises:
            EvictedError: they do not believe it.
        """
        try:
            os.utime(self.folder / "beat")
        except FileNotFoundError:
            self._check_held()
            self._disk.write(self.folder / "beat", b"")

    def take_over(self, bury: Callable[[str], None]) -> None:
        """Make the jobs of dead workers this worker's; `bury` is called with a dead worker's name before."""
        for entry in self._disk.entries(self.root / "work"):
            folder = self.root / "work" / entry.name
            if entry.name == self.worker or not entry.is_dir(follow_symlinks=False):
                continue
            with self._holding(folder) as is_dead:
                if is_dead:
                    worker = entry.name.removeprefix(".")
                    bury(worker)
                    for left in (self._inbox / f"{SIGN_PREFIX}{worker}", self._inbox / f"{PROBE_PREFIX}{worker}"):
                        with contextlib.suppress(FileNotFoundError):
                            self._disk.unlink(left)
                    self._take_from(folder)

    @contextlib.contextmanager
    def _holding(self, folder: Path) -> Iterator[bool]:
        """Whether a worker is dead, and its folder for this worker to clear."""
        if self._shared or folder.name.startswith("."):  # a hidden one is being made: its lock may not be held yet
            # A file of our own, touched now, has the time of the machine that keeps the disk.
            self.beat()
            try:
                yield self._disk.lstat(self.folder / "beat").st_mtime - self._last_sign_of(folder) > LEASE_SECONDS
            except FileNotFoundError:  # gone by now
                yield False
            return
        lock = FileLock(folder / "lock", timeout=0)
        try:
            lock.acquire()
        except (Timeout, FileNotFoundError, NotADirectoryError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _last_sign_of(self, folder: Path) -> float:
        try:
            return self._disk.lstat(folder / "beat").st_mtime
        except FileNotFoundError:
            return self._disk.lstat(folder).st_mtime

    def _take_from(self, folder: Path) -> None:
        for job in self._jobs_of(folder):
            with contextlib.suppress(FileNotFoundError):  # another was quicker
                move(self._disk, job.folder, self.folder / job.id)
        self._clear(folder)


def _walk(disk: Disk, folder: Path, prefix: str) -> Iterator[str]:
    try:
        entries = disk.entries(folder)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(disk, folder / entry.name, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}"
