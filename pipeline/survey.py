"""What an outbox and an inbox look like at the moment, from the names of their files: quick, whatever is in them.

Nothing is locked, made or changed, so it may be asked at any time, beside a run or after one that died.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.disk import Disk, storage_errors
from pipeline.errors import UsageError
from pipeline.images.kinds import endings
from pipeline.intake.names import classify, is_ignored, printable
from pipeline.intake.records import Reason
from pipeline.intake.settle import Facts
from pipeline.intake.spool import LEASE_SECONDS, REASON, Spool, is_this_host
from pipeline.outbox.metadata import Failure
from pipeline.outbox.publish import STATE_FOLDER
from pipeline.outbox.report.links import shell_quoted, shown
from pipeline.outbox.report.listing import list_outbox
from pipeline.outbox.runs import RunRecord, is_process_alive, read_runs
from pipeline.settings import ImageSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.outbox.report.listing import Listing

LATEST: Final = 5
"""So many errors are told."""
_HOUR_SECONDS: Final = 3600.0
_MOST_PARTS: Final = 3
"""Of a worker's name: host, process, random digits."""


@dataclass(frozen=True)
class LastError:
    """Of a pair, or of a job of the inbox."""

    name: str
    reason: str
    remedy: str
    failed: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class RunState:
    """What became of a run."""

    command: str
    source: str
    spool: str
    """Of `watch` and `drain`, else empty."""
    host: str
    pid: int
    state: Literal["running", "paused", "stopping", "ended", "died"]
    reason: str
    """Why it is paused, or what it ended with."""
    on_device: tuple[str, ...]
    counts: dict[str, int]
    started: str
    written: str
    exit_code: int | None
    pairs_per_hour: float | None
    """Since its start."""
    seconds_left: float | None
    """At this rate; None if nobody knows."""

    @property
    def is_at_work(self) -> bool:
        """Whether it still goes on."""
        return self.state not in {"ended", "died"}


@dataclass(frozen=True)
class OutboxSurvey:
    """Counts by the names of files: a picture with metadata is done. What a file says is for `impasto report`."""

    path: str
    done: int
    failed: int
    damaged: int
    """Pictures without metadata, metadata without picture, folders that cannot be read."""
    done_last_hour: int
    runs: tuple[RunState, ...]
    """The newest first."""
    last_errors: tuple[LastError, ...]
    kind: Literal["outbox"] = "outbox"

    @property
    def is_at_work(self) -> bool:
        """Whether any run goes on."""
        return any(run.is_at_work for run in self.runs)


@dataclass(frozen=True)
class WorkerState:
    """A watcher that has jobs, or lives."""

    name: str
    state: Literal["running", "paused", "stopping", "died"]
    reason: str
    on_device: str
    claimed: int
    """Jobs."""
    written: str
    """UTC, ISO 8601; when it last said so."""

    @property
    def is_at_work(self) -> bool:
        """Whether it still goes on."""
        return self.state != "died"


@dataclass(frozen=True)
class InboxSurvey:
    """Files in the inbox, and jobs in its spool."""

    path: str
    waiting: int
    """Photographs and tickets that nobody has claimed."""
    oldest_waiting_seconds: float | None
    claimed: int
    done: int
    """Jobs in `done/`."""
    failed: int
    done_last_hour: int
    workers: tuple[WorkerState, ...]
    last_errors: tuple[LastError, ...]
    kind: Literal["inbox"] = "inbox"

    @property
    def is_at_work(self) -> bool:
        """Whether any watcher goes on."""
        return any(worker.is_at_work for worker in self.workers)


Survey = OutboxSurvey | InboxSurvey


def survey(folder: Path) -> Survey:
    """Look at an outbox or an inbox.

    Raises:
        UsageError: it is neither.
        StorageError: it cannot be read.
    """
    with storage_errors(folder):
        if kind_of(folder) == "inbox":
            return survey_inbox(folder, folder / STATE_FOLDER)
        return survey_outbox(folder)


def kind_of(folder: Path) -> Literal["inbox", "outbox"]:
    """What a folder is.

    Raises:
        UsageError: it is neither.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder.", "Name an outbox, or the inbox of a watcher.")
    if (folder / STATE_FOLDER / "work").is_dir():
        return "inbox"
    if (folder / STATE_FOLDER).is_dir():
        return "outbox"
    raise UsageError(
        f"{folder}: is neither an outbox nor the inbox of a watcher: it has no folder {STATE_FOLDER}.",
        "Name the folder given to --outbox; it is known from there where an inbox with watch.spool has its files.",
    )


def survey_outbox(root: Path) -> OutboxSurvey:
    """Count what there is.

    Raises:
        OSError: the disk failed.
    """
    disk = Disk()
    listing = list_outbox(root, disk)
    described = {path.removesuffix(".json"): stamp for path, stamp in listing.metadata.items()}
    done = described.keys() & listing.pictures.keys()
    since = (time.time() - _HOUR_SECONDS) * 1e9
    return OutboxSurvey(
        path=shown(str(root.absolute())),
        done=len(done),
        failed=len(listing.failures),
        damaged=len(described.keys() ^ listing.pictures.keys()) + len(listing.unreadable),
        done_last_hour=sum(1 for name in done if described[name][0] > since),
        runs=tuple(run_state(record) for record in read_runs(root)),
        last_errors=tuple(_last_failures(root, listing, disk)),
    )


def _last_failures(root: Path, listing: Listing, disk: Disk) -> Iterator[LastError]:
    latest = sorted(listing.failures, key=lambda path: listing.failures[path], reverse=True)
    for path in latest[:LATEST]:
        name = shown(path.partition("/")[2].removesuffix(".json"))
        try:
            record = Failure.model_validate_json(disk.read(root / path))
        except FileNotFoundError:  # it has succeeded meanwhile
            continue
        except ValidationError:
            yield LastError(name, "its record cannot be read", "If it is not yours, remove it.", "")
        else:
            yield LastError(name, shown(record.reason), shown(record.remedy), record.failed)


def run_state(record: RunRecord) -> RunState:
    """What a record says, and whether that still holds."""
    state: Any = record.state if record.ended is not None or record.is_alive else "died"
    seconds = _seconds_between(record.started, record.written)
    done = record.counts.get("done", 0)
    per_hour = done * _HOUR_SECONDS / seconds if done and seconds else None
    waiting = record.counts.get("waiting")
    left = waiting / per_hour * _HOUR_SECONDS if per_hour and waiting is not None and state == "running" else None
    return RunState(
        **record.model_dump(include={"command", "host", "pid", "counts", "started", "written", "exit_code"}),
        source=shown(record.source),
        spool=shown(record.spool),
        state=state,
        reason=shown(record.reason),
        on_device=tuple(map(shown, record.on_device)),
        pairs_per_hour=None if per_hour is None else round(per_hour, 1),
        seconds_left=None if left is None else round(left),
    )


def _seconds_between(begin: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def again(run: RunState, outbox: str) -> str:
    """The command that goes on where a run ended; its further options are not known."""
    return f"impasto {run.command} {shell_quoted(run.source)} --outbox {shell_quoted(outbox)}"


# Inbox


class _Board(BaseModel):
    """The part of a worker's status.json that is told here."""

    model_config = ConfigDict(extra="ignore")

    state: Literal["running", "paused", "stopping"] = "running"
    reason: str = ""
    on_device: str = ""
    written: str = ""


def survey_inbox(inbox: Path, root: Path) -> InboxSurvey:
    """Count files and jobs.

    Args:
        inbox: the folder.
        root: its spool.

    Raises:
        OSError: the disk failed.
    """
    disk = Disk()
    workers = tuple(_worker(disk, Path(entry.path)) for entry in _folders(disk, root / "work"))
    done = [job for date in _folders(disk, root / "done") for job in _folders(disk, Path(date.path))]
    failed = _folders(disk, root / "failed")
    since = time.time() - _HOUR_SECONDS
    waiting = list(_waiting(inbox, Spool(root, inbox, disk)))
    return InboxSurvey(
        path=shown(str(inbox.absolute())),
        waiting=len(waiting),
        oldest_waiting_seconds=round(max(0.0, time.time() - min(waiting)), 1) if waiting else None,
        claimed=sum(worker.claimed for worker in workers),
        done=len(done),
        failed=len(failed),
        done_last_hour=sum(1 for job in done if job.stat(follow_symlinks=False).st_ctime > since),
        workers=workers,
        last_errors=tuple(_last_reasons(disk, failed)),
    )


def _folders(disk: Disk, path: Path) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in disk.entries(path) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _worker(disk: Disk, folder: Path) -> WorkerState:
    try:
        board = _Board.model_validate_json(disk.read(folder / "status.json"))
    except (FileNotFoundError, ValidationError):  # it has just begun
        board = _Board()
    lives = is_worker_alive(folder.name, folder / "beat")
    return WorkerState(
        name=folder.name,
        state=board.state if lives else "died",
        reason=board.reason,
        on_device=shown(board.on_device) if lives else "",
        claimed=len(_folders(disk, folder)),
        written=board.written,
    )


def is_worker_alive(name: str, beat: Path) -> bool:
    """By its process on this machine, else by its beat."""
    parts = name.rsplit("-", 2)
    if len(parts) == _MOST_PARTS and parts[1].isdecimal() and is_this_host(parts[0]):
        return is_process_alive(int(parts[1]))
    try:
        return time.time() - beat.lstat().st_mtime < LEASE_SECONDS
    except FileNotFoundError:
        return False


def _last_reasons(disk: Disk, failed: list[os.DirEntry[str]]) -> Iterator[LastError]:
    for entry in sorted(failed, key=lambda job: job.name, reverse=True)[:LATEST]:
        try:
            reason = Reason.model_validate_json(disk.read(Path(entry.path) / REASON))
        except (FileNotFoundError, ValidationError):
            yield LastError(entry.name, f"it has no {REASON}", "", "")
        else:
            names = ", ".join(map(printable, reason.files)) or entry.name
            yield LastError(names, shown(reason.reason), shown(reason.remedy), reason.failed)


def _waiting(inbox: Path, spool: Spool) -> Iterator[float]:
    """When each file that may be claimed came or was last written, in seconds since 1970."""
    pictures = endings(ImageSettings().kinds)

    def walk(folder: str) -> Iterator[float]:
        try:
            entries = list(os.scandir(inbox / folder))
        except FileNotFoundError:
            return
        for entry in entries:
            relative = f"{folder}{entry.name}"
            if is_ignored(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from walk(f"{relative}/")
            elif entry.is_file(follow_symlinks=False) and classify(relative, pictures).form in {"photo", "ticket"}:
                try:
                    facts = Facts.of(entry.stat(follow_symlinks=False))
                except FileNotFoundError:  # claimed since it was listed
                    continue
                if not spool.was_given_back(relative, facts):
                    yield facts.ctime_ns / 1e9

    yield from walk("")
