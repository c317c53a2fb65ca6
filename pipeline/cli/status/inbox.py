"""The state of a watcher's inbox and its spool."""

from __future__ import annotations

import logging
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.cli.status.last_error import ERRORS_SHOWN, LastError
from pipeline.disk import Disk, exists
from pipeline.images.formats import endings
from pipeline.outbox.metadata import JobFailure
from pipeline.outbox.run_records import is_process_alive
from pipeline.run.picture_files import is_ignored
from pipeline.text import displayable, printable, shell_quoted, single_line
from pipeline.watch.inbox.names import classify
from pipeline.watch.inbox.walk import walk_statuses
from pipeline.watch.spool.records import FileFacts
from pipeline.watch.spool.spool import REASON, Spool
from pipeline.watch.spool.workers import LEASE_SECONDS, is_this_host

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_HOUR_SECONDS: Final = 3600.0
_NAME_PARTS: Final = 3
"""Parts of a worker's name: host, process, random digits."""


@dataclass(frozen=True)
class WorkerState:
    """A watcher that is alive or still has jobs."""

    name: str
    state: Literal["running", "paused", "stopping", "died"]
    reason: str
    on_device: str
    claimed: int
    """Number of jobs that it has claimed."""
    written: str
    """Time of its last status, UTC, ISO 8601."""

    @property
    def is_at_work(self) -> bool:
        """Whether the watcher is alive."""
        return self.state != "died"


@dataclass(frozen=True)
class InboxSurvey:
    """Numbers of files in an inbox and of jobs in its spool; a JSON object with --json."""

    path: str
    waiting: int
    """Number of photographs and tickets that no watcher has claimed."""
    oldest_waiting_seconds: float | None
    claimed: int
    done: int
    """Number of jobs in the spool's `done/`."""
    failed: int
    done_last_hour: int
    workers: tuple[WorkerState, ...]
    last_errors: tuple[LastError, ...]
    retry: str
    """Command that has failed jobs tried again."""
    kind: Literal["inbox"] = "inbox"

    @property
    def is_at_work(self) -> bool:
        """Whether any watcher is alive."""
        return any(worker.is_at_work for worker in self.workers)


class _WorkerStatus(BaseModel):
    """The part of a worker's status.json that is shown."""

    model_config = ConfigDict(extra="ignore")

    state: Literal["running", "paused", "stopping"] = "running"
    reason: str = ""
    on_device: str = ""
    written: str = ""
    image_endings: tuple[str, ...] = ()


def survey_inbox(inbox: Path, root: Path, formats: frozenset[str]) -> InboxSurvey:
    """Count files and jobs.

    Args:
        inbox: the inbox.
        root: its spool.
        formats: the formats of pictures, as `pipeline.images.formats` names them, if no watcher says which it takes.

    Raises:
        OSError: the disk failed.
    """
    disk = Disk()
    folders = list(_readable(disk, _folders(disk, root / "work")))
    statuses = [_status_of(disk, folder) for folder in folders]
    workers = tuple(_worker(disk, *each) for each in zip(folders, statuses, strict=True))
    pictures = sorted({ending for status in statuses for ending in status.image_endings}) or endings(formats)
    done = [job for date in _readable(disk, _folders(disk, root / "done")) for job in _folders(disk, date)]
    failed = _folders(disk, root / "failed")
    since = time.time() - _HOUR_SECONDS
    waiting = list(_waiting(disk, inbox, Spool(root, inbox, disk), tuple(pictures)))
    return InboxSurvey(
        path=single_line(str(inbox.absolute())),
        waiting=len(waiting),
        oldest_waiting_seconds=round(max(0.0, time.time() - min(waiting)), 1) if waiting else None,
        claimed=sum(worker.claimed for worker in workers),
        done=len(done),
        failed=len(failed),
        done_last_hour=sum(1 for job in done if job.stat(follow_symlinks=False).st_ctime > since),
        workers=workers,
        last_errors=tuple(_last_reasons(disk, failed)),
        retry=f"impasto retry {shell_quoted(str(inbox))}",
    )


def _folders(disk: Disk, path: Path) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in disk.entries(path) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _readable(disk: Disk, folders: list[os.DirEntry[str]]) -> Iterator[Path]:
    """Yield the folders that may be read, and log a warning for each other one, such as that of another user."""
    for folder in map(Path, folders):
        try:
            exists(disk, folder / "beat")  # which also shows whether the folder may be entered
            disk.entries(folder)
        except PermissionError as error:
            logger.warning("%s: cannot be read: %s. It is not counted.", folder, error.strerror)
        except FileNotFoundError:  # a worker has ended since it was listed
            continue
        else:
            yield folder


def _status_of(disk: Disk, folder: Path) -> _WorkerStatus:
    try:
        return _WorkerStatus.model_validate_json(disk.read(folder / "status.json"))
    except (FileNotFoundError, PermissionError, ValidationError):  # it has just started, or is another user's
        return _WorkerStatus()


def _worker(disk: Disk, folder: Path, status: _WorkerStatus) -> WorkerState:
    is_alive = is_worker_alive(folder.name, folder / "beat")
    return WorkerState(
        name=single_line(folder.name),
        state=status.state if is_alive else "died",
        reason=single_line(status.reason),
        on_device=single_line(status.on_device) if is_alive else "",
        claimed=len(_folders(disk, folder)),
        written=single_line(status.written),
    )


def is_worker_alive(name: str, beat: Path) -> bool:
    """Whether a worker is alive, judged by its process if it is on this machine, else by the age of its heartbeat."""
    parts = name.rsplit("-", 2)
    try:
        seen = beat.lstat().st_mtime
    except FileNotFoundError:
        return False
    if len(parts) == _NAME_PARTS and parts[1].isdecimal() and is_this_host(parts[0]):
        return is_process_alive(int(parts[1]), seen)
    return time.time() - seen < LEASE_SECONDS


def _last_reasons(disk: Disk, failed: list[os.DirEntry[str]]) -> Iterator[LastError]:
    for entry in sorted(failed, key=lambda job: job.name, reverse=True)[:ERRORS_SHOWN]:
        try:
            reason = JobFailure.model_validate_json(disk.read(Path(entry.path) / REASON))
        except PermissionError:
            yield LastError(single_line(entry.name), f"its {REASON} cannot be read", "", "")
        except (FileNotFoundError, ValidationError):
            yield LastError(single_line(entry.name), f"it has no {REASON}", "", "")
        else:
            names = single_line(", ".join(reason.files) or entry.name)
            yield LastError(names, displayable(reason.reason), displayable(reason.remedy), reason.failed)


def _waiting(disk: Disk, inbox: Path, spool: Spool, pictures: tuple[str, ...]) -> Iterator[float]:
    """Yield for each file that may be claimed when it came or was last written, in seconds since 1970."""
    for name, status in walk_statuses(disk, inbox, is_excluded=lambda name: is_ignored(name.rpartition("/")[2])):
        if isinstance(status, OSError):
            logger.warning("%s: cannot be read: %s. Its files are not counted.", printable(name), status.strerror)
            continue
        if not stat.S_ISREG(status.st_mode) or classify(name, pictures).form not in {"photo", "ticket"}:
            continue
        facts = FileFacts.of(status)
        if not spool.was_returned(name, facts):
            yield facts.ctime_ns / 1e9
