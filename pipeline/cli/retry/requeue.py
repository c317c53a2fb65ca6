"""Prepare failures for another attempt: remove failure records from the outbox, and put failed jobs into the inbox.

This module renders nothing. A watcher claims the files that are back in its inbox, and the next run of a manifest
renders its failed pairs.
"""

from __future__ import annotations

import contextlib
import fnmatch
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.cli.status.outbox import run_state
from pipeline.cli.status.survey import kind_of
from pipeline.disk import Disk, storage_errors
from pipeline.errors import UsageError
from pipeline.outbox.failures import name_of
from pipeline.outbox.listing import list_outbox
from pipeline.outbox.ownership import own_failure
from pipeline.outbox.paths import FAILED_FOLDER, STATE_FOLDER
from pipeline.outbox.publish import Outbox
from pipeline.outbox.run_records import read_runs
from pipeline.text import single_line
from pipeline.watch.spool.records import Job, read_records
from pipeline.watch.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SERVICES: Final = frozenset({"watch", "drain"})
"""Commands that work on an inbox."""
FORGOTTEN: Final = "forgotten"
BACK: Final = "back in the inbox"
LEFT: Final = "left"


@dataclass(frozen=True)
class Retry:
    """The action taken on one failure."""

    name: str
    """Name of the pair, or of the job's files."""
    action: str
    """The action: `forgotten`, `back in the inbox`, or `left`."""
    reason: str
    """Reason why it was left; otherwise empty."""


@dataclass(frozen=True)
class Retried:
    """The actions taken on all failures, and the commands that the user should run next."""

    retries: tuple[Retry, ...]
    commands: tuple[str, ...]
    """Commands to run next, one for each run or watcher that has failures and is not running."""

    @property
    def count(self) -> int:
        """Number of failures that will be tried again."""
        return sum(1 for each in self.retries if each.action != LEFT)

    @property
    def left(self) -> int:
        """Number of failures that were left."""
        return len(self.retries) - self.count


def retry(folder: Path, only: Sequence[str] = (), *, dry_run: bool = False) -> Retried:
    """Prepare failures for another attempt.

    Args:
        folder: an outbox, or the inbox of a watcher. For the outbox of a watcher, its inbox is included.
        only: names of pairs or files, or patterns such as `sea/*`; empty: all.
        dry_run: change nothing.

    Raises:
        UsageError: the folder is neither an outbox nor an inbox, or nothing that failed has such a name.
        LockedError: a run works on the outbox.
        StorageError: the disk failed.
    """
    disk = Disk()
    with storage_errors(folder):
        if kind_of(folder) == "inbox":
            found = Retried(tuple(_of_inbox(folder, folder / STATE_FOLDER, only, disk, dry_run=dry_run)), ())
        else:
            found = _of_outbox(folder, only, disk, dry_run=dry_run)
    if only and not found.retries:
        names = ", ".join(map(single_line, only))
        raise UsageError(f"{folder}: nothing that failed is called {names}.", "impasto status names what failed.")
    return found


def _of_outbox(root: Path, only: Sequence[str], disk: Disk, *, dry_run: bool) -> Retried:
    records = read_runs(root)
    spools = {record.spool: record for record in records if record.spool and Path(record.spool, "failed").is_dir()}
    services = list(spools.values())  # several watchers may share a spool
    box = Outbox(root, disk)
    jobs: list[Retry] = []
    with contextlib.nullcontext() if dry_run else box.locked():  # before anything changes
        with_job = {name for each in services for name in _names_of_jobs(Path(each.spool), disk)}  # before jobs move
        for each in services:
            jobs += _of_inbox(Path(each.source), Path(each.spool), only, disk, dry_run=dry_run)
        pairs = list(_of_failures(box, only, with_job, disk, dry_run=dry_run))
    idle = [run for run in (run_state(record, root) for record in records) if not run.is_at_work]
    commands = dict.fromkeys(run.again for run in idle if (jobs if run.command in _SERVICES else pairs))
    return Retried((*jobs, *pairs), tuple(commands))


def _of_failures(box: Outbox, only: Sequence[str], with_job: set[str], disk: Disk, *, dry_run: bool) -> Iterator[Retry]:
    """Remove failure records, except those of jobs: they go when the photograph, back in the inbox, succeeds."""
    for path in sorted(list_outbox(box.root, disk).without_foreign(box.root, disk).failures):
        file_name = path.removeprefix(f"{FAILED_FOLDER}/").removesuffix(".json")
        claim = own_failure(disk, box.root / path)
        name = name_of(path, claim) if claim is not None else file_name
        if name in with_job or not _matches(only, name, file_name):
            continue
        if claim is None:
            reason = f"{single_line(path)} cannot be read; if no pair of yours has this name, move it away"
            yield Retry(single_line(name), LEFT, reason)
        elif dry_run or box.failures.remove(box.root / path):
            yield Retry(single_line(name), FORGOTTEN, "")


def _of_inbox(inbox: Path, root: Path, only: Sequence[str], disk: Disk, *, dry_run: bool) -> Iterator[Retry]:
    spool = Spool(root, inbox, disk)
    for entry in disk.entries(root / "failed"):
        if not entry.is_dir(follow_symlinks=False):
            continue
        job = Job(entry.name, Path(entry.path))
        try:
            yield from _of_job(job, spool, only, disk, dry_run=dry_run)
        except PermissionError as error:  # it is another user's
            why = single_line(f"{entry.path}: cannot be read or moved: {error.strerror}")
            yield Retry(single_line(job.id), LEFT, f"{why}; give the folder to this user (chown -R)")


def _of_job(job: Job, spool: Spool, only: Sequence[str], disk: Disk, *, dry_run: bool) -> Iterator[Retry]:
    files = spool.files(job)
    if not _matches(only, job.id, *files, *_results(job, disk)):
        return
    name = single_line(", ".join(files)) or job.id
    if dry_run or spool.put_back(job):
        # A job without files: they were moved back by hand, or by a retry that was interrupted.
        yield Retry(name, BACK if files else FORGOTTEN, "")
    else:
        where = single_line(str(job.folder))
        yield Retry(name, LEFT, f"another file of this name is in the inbox; the failed one is in {where}")


def _names_of_jobs(root: Path, disk: Disk) -> Iterator[str]:
    for entry in disk.entries(root / "failed"):
        with contextlib.suppress(PermissionError):  # `_of_inbox` reports that
            yield from _results(Job(entry.name, Path(entry.path)), disk)


def _results(job: Job, disk: Disk) -> Iterator[str]:
    """Yield the names that the results of a job would have, with and without ending."""
    for record in read_records(disk, job).values():  # there is none if the job failed before its results had names
        for name in record.results.values():
            yield name
            yield str(PurePosixPath(name).with_suffix(""))


def _matches(only: Sequence[str], *names: str) -> bool:
    return not only or any(name == wanted or fnmatch.fnmatchcase(name, wanted) for name in names for wanted in only)
