"""The spool: the folders of claimed files, during the work on them and afterwards.

    work/<worker>/lock, beat          the worker's lock and heartbeat; see `pipeline.watch.spool.workers`
    work/<worker>/<job>/in/<path>     claimed files, at their paths in the inbox
    work/<worker>/<job>/job.json      facts about the job: `JobRecord`; a large ticket has job-1.json and so on as well
    done/<date>/<job>/                finished jobs
    failed/<job>/                     failed jobs, each with reason.json
    inbox.json                        the spool's inbox
    returned/                         records of finished files that were returned to the inbox

A claim is one rename, so that only one of several workers gets the file, and the others find it gone. All that a
restart needs is on disk before the next step begins; `decide_job` decides what a restart does with each job.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
import stat
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from pipeline.disk import exists, make_folders, move, move_without_replacing, put
from pipeline.text import printable
from pipeline.trees import remove_empty_folders, remove_tree, walk
from pipeline.watch.spool.place import SPOOL_MODE, SpoolPlace
from pipeline.watch.spool.records import (
    FileFacts,
    Job,
    JobRecord,
    NotClaimedError,
    ReturnedFile,
    read_records,
    record_name,
    returned_name,
)
from pipeline.watch.spool.workers import Worker, jobs_in, new_worker_name

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pydantic import BaseModel

    from pipeline.disk import Disk
    from pipeline.outbox.metadata import JobFailure

logger = logging.getLogger(__name__)

REASON: Final = "reason.json"
_DISK_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT})
"""Errors that mean that no file can be claimed now; all other errors concern only one file."""


class Spool:
    """The jobs of one inbox, for one worker. Methods that change the spool raise OSError as the system does.

    The scanning thread claims and adds files. The main thread archives, quarantines, deletes, returns and puts back.
    Both threads read, and threads that save results call `files`.
    """

    def __init__(self, root: Path, inbox: Path, disk: Disk, *, shared: bool = False) -> None:
        """Use a folder as a spool; nothing is read or made before `worker.enter`.

        Args:
            root: folder of the spool.
            inbox: folder from which files are claimed.
            disk: disk through which the spool is read and changed.
            shared: whether other machines, which may not see locks, use the file system, too.
        """
        for folder in (inbox, root):
            disk.guard(folder)
        self.place = SpoolPlace(root, inbox, disk, new_worker_name())
        self._disk = disk
        self.worker = Worker(self.place, is_shared=shared)
        """This process as a worker of the spool."""
        self._has_warned = False
        """Whether a record of a returned file could not be read, of which a warning was logged."""

    @property
    def root(self) -> Path:
        """Folder of the spool."""
        return self.place.root

    @property
    def folder(self) -> Path:
        """Folder of this worker, with its jobs."""
        return self.place.folder

    def claim(self, relative: str) -> Job:
        """Move a file out of the inbox, as the first file of a new job.

        Args:
            relative: path of the file in the inbox.

        Raises:
            NotClaimedError: the file is gone or held.
            EvictedError: other workers took this one for dead.
        """
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        job = Job(name, self.folder / name)
        self.worker.check_alive()
        self._disk.mkdir(job.folder, SPOOL_MODE)
        try:
            self.add(job, relative)
        except NotClaimedError:
            remove_empty_folders(self._disk, job.folder)
            raise
        return job

    def add(self, job: Job, relative: str) -> None:
        """Move a further file for a job out of the inbox.

        Raises:
            NotClaimedError: the file is gone or held.
        """
        source, target = self.place.inbox / relative, job.path(relative)
        try:
            self.place.make(target.parent)
            self._disk.rename(source, target)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not exists(self._disk, target):  # else the rename succeeded, but the network lost the answer
                raise NotClaimedError("it is gone", held=False) from error
        except OSError as error:
            if error.errno in _DISK_ERRNOS:
                raise
            raise NotClaimedError(f"cannot be moved: {error.strerror}", held=True) from error
        self._disk.sync_folder(target.parent)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # its owner may have removed the folder
            self._disk.sync_folder(source.parent)
        if not stat.S_ISREG(self._disk.lstat(target).st_mode):  # it replaced the file after the last look
            self._give_back(job, relative)
            raise NotClaimedError("it was replaced", held=False)

    def _give_back(self, job: Job, relative: str) -> None:
        """Move a folder, link, FIFO or device that was claimed in place of a file back into the inbox.

        If its name is taken or its folder is gone by now, it gets a name of its own at the top of the inbox.
        """
        for name in (relative, f"replaced-{job.id}"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if move_without_replacing(self._disk, job.path(relative), self.place.inbox / name):
                    return

    def files(self, job: Job) -> tuple[str, ...]:
        """Return the files of a job, as paths in the inbox, in order."""
        return self.files_at(job.folder)

    def files_at(self, folder: Path) -> tuple[str, ...]:
        """Return the files of a job whose folder may be another worker's, or in `done` or `failed`."""
        files = []
        try:
            for name, entry in walk(self._disk, folder / "in"):
                if isinstance(entry, OSError):
                    raise entry
                files.append(name)
        except FileNotFoundError:  # a crash came before the first claim
            return ()
        return tuple(sorted(files))

    def records(self, job: Job) -> dict[int, JobRecord]:
        """Return the valid records of a job by their numbers; see `read_records`."""
        return read_records(self._disk, job)

    def write_record(self, job: Job, record: JobRecord, number: int = 0) -> None:
        """Write one of the records of a job."""
        self._put(job, record_name(number), record)

    def _put(self, job: Job, name: str, model: BaseModel) -> None:
        data = (model.model_dump_json(indent=2) + "\n").encode()
        put(self._disk, job.folder / name, data, job.folder / f".{name}.tmp")

    def has_reason(self, job: Job) -> bool:
        """Whether a job is on its way to `failed`."""
        return exists(self._disk, job.folder / REASON)

    def holds(self, job: Job) -> bool:
        """Whether a job is still this worker's."""
        return exists(self._disk, job.folder)

    def put_back(self, job: Job) -> bool:
        """Put the files of a job back into the inbox.

        Returns:
            False if the name of a file, or of its folder, is taken in the inbox; then this file and the files after it
            stay in the job.
        """
        files = self.files(job)
        # The ticket, which is at the top, goes last: it says which files belong together.
        for relative in sorted(files, key=lambda name: PurePosixPath(name).name == name):
            if not self._put_file_back(job.path(relative), self.place.inbox / relative):
                return False
        remove_tree(self._disk, job.folder)
        return True

    def _put_file_back(self, source: Path, target: Path) -> bool:
        try:
            make_folders(self._disk, target.parent)
            return move_without_replacing(self._disk, source, target)
        except (FileNotFoundError, NotADirectoryError):
            if not exists(self._disk, source):
                raise
            return False  # a file or a link has the name of a folder, or the folder was removed at this moment

    def archive(self, job: Job, date: str) -> Path:
        """Move a job to `done/<date>/`, and return its folder there."""
        return self._move_into(self.root / "done" / date, job)

    def quarantine(self, job: Job, reason: JobFailure | None) -> Path:
        """Move a job to `failed/`, and return its folder there.

        Args:
            job: the job.
            reason: the reason; None if it was written before a crash.
        """
        if reason is not None:
            self._put(job, REASON, reason)
        return self._move_into(self.root / "failed", job)

    def _move_into(self, folder: Path, job: Job) -> Path:
        self.place.make(folder)
        target = folder / job.id
        move(self._disk, job.folder, target)
        return target

    def delete(self, job: Job, date: str) -> None:
        """Move a job to `done`, then remove it; a crash in between leaves it in `done`."""
        remove_tree(self._disk, self.archive(job, date))

    def return_files(self, job: Job, basis: str = "", results: Collection[str] = ()) -> bool:
        """Move the files of a finished job back into the inbox, and record that they are done.

        Args:
            job: the job.
            basis: digest of all that the results depend on beside the files; empty if it is not known.
            results: file names of the results in the outbox.

        Returns:
            False if the name of a file is taken; see `put_back`.
        """
        self.place.make(self.root / "returned")
        for relative in self.files(job):
            facts = FileFacts.of(self._disk.lstat(job.path(relative)))
            record = ReturnedFile(
                path=printable(relative),
                size=facts.size,
                mtime_ns=facts.mtime_ns,
                inode=facts.inode,
                basis=basis,
                results=tuple(results),
            )
            target = self._return_record(relative)
            put(self._disk, target, record.model_dump_json().encode(), target.with_suffix(f".{self.worker.name}"))
        return self.put_back(job)

    def returned(self, relative: str, facts: FileFacts) -> ReturnedFile | None:
        """Return the record of a file that was returned and has not changed since; None for other files.

        A record that cannot be read counts as none: then the file is claimed, found to be painted, and returned again.
        """
        try:
            record = ReturnedFile.model_validate_json(self._disk.read(self._return_record(relative)))
        except (FileNotFoundError, ValidationError):
            return None
        except OSError as error:
            level = logging.DEBUG if self._has_warned else logging.WARNING
            self._has_warned = True
            text = "%s: a record of a returned file cannot be read (%s) and is left out of account."
            logger.log(level, text, self.root / "returned", error.strerror)
            return None
        is_same = (record.size, record.mtime_ns, record.inode) == (facts.size, facts.mtime_ns, facts.inode)
        return record if is_same else None

    def was_returned(self, relative: str, facts: FileFacts) -> bool:
        """Whether a file was returned to the inbox, and has not changed since."""
        return self.returned(relative, facts) is not None

    def is_returned(self, relative: str) -> bool:
        """Whether a file lies in the inbox as `return_files` left it, as far as it can be looked at."""
        try:
            facts = FileFacts.of(self._disk.lstat(self.place.inbox / relative))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        return self.was_returned(relative, facts)

    def _return_record(self, relative: str) -> Path:
        return self.root / "returned" / returned_name(relative)

    def jobs(self) -> list[Job]:
        """Return the jobs of this worker, oldest first."""
        return list(jobs_in(self._disk, self.folder))

    def find(self, job_id: str) -> Path | None:
        """Return a job's folder in any part of the spool; None if it is nowhere, or a worker of another user has it."""
        parents = self._worker_folders()
        done = self.root / "done"
        dates = self._disk.entries(done) if exists(self._disk, done) else []
        parents += [self.root / "failed", *(done / entry.name for entry in dates)]
        return next((parent / job_id for parent in parents if exists(self._disk, parent / job_id)), None)

    def fate(self, folder: Path) -> Literal["done", "failed", "elsewhere"]:
        """Return the fate of a job, by the folder that `find` returned."""
        if folder.parent == self.root / "failed":
            return "failed"
        return "done" if folder.parent.parent == self.root / "done" else "elsewhere"

    def is_in_work(self, job_id: str) -> bool:
        """Whether any worker, dead or alive, has a job; those of other users do not count, since they may never end."""
        return any(exists(self._disk, folder / job_id) for folder in self._worker_folders())

    def _worker_folders(self) -> list[Path]:
        work = self.root / "work"
        folders = [work / entry.name for entry in self._disk.entries(work)]
        return [folder for folder in folders if folder not in self.worker.foreign]
