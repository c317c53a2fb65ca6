"""Records of runs in the outbox, which show other processes the state of a run, even after its process died.

Each process has a record of its own, and writes it every `WRITE_SECONDS` from a timer, whatever it is at.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.outbox.paths import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER: Final = "runs"
"""Folder of the records in the outbox's state."""
_CLOCK_SECONDS: Final = 60.0
"""Largest number of seconds by which the clock may have been set back since a process began."""
WRITE_SECONDS: Final = 10.0
"""Seconds between two writes of a record."""
MAX_OVER: Final = 100
"""Largest number of records of runs that are over; `impasto pair` leaves one for each photograph."""
_UNFINISHED_NAME: Final = re.compile(r"[0-9a-f]{16}\.\d+")
"""Names of records that are being written."""
_UNFINISHED_SECONDS: Final = 24 * 3600.0
"""Age in seconds at which an unfinished record is removed."""
SILENT_SECONDS: Final = 6 * WRITE_SECONDS
"""Seconds without a new record after which a run on another machine counts as dead."""


class RunRecord(BaseModel):
    """The record of a process that works on an outbox."""

    model_config = ConfigDict(frozen=True)

    command: Literal["run", "pair", "watch", "drain"]
    source: str = Field(description="absolute path of the manifest, photograph or inbox")
    spool: str = Field("", description="absolute path of the spool; only of watch and drain")
    shard: str = Field("", description="part of the manifest, as I/N; empty: all of it")
    host: str = Field(default_factory=socket.gethostname)
    pid: int = Field(default_factory=os.getpid)
    preset: str
    settings: dict[str, dict[str, Any]] = Field(description="settings of pairs that have none of their own")
    pairs: int | None = Field(None, description="number of pairs in the run; null: unknown")
    counts: dict[str, int] = Field(
        default_factory=dict, description="numbers of pairs that are done, skipped, failed, waiting"
    )
    on_device: list[str] = Field(default_factory=list, description="names of the pairs on the device")
    state: Literal["running", "paused", "stopping", "ended"] = "running"
    reason: str = Field("", description="reason why the run is paused or has ended")
    started: str = Field(description="UTC, ISO 8601")
    written: str = Field(description="UTC, ISO 8601")
    ended: str | None = Field(None, description="UTC, ISO 8601; null while the run works, or if its process died")
    exit_code: int | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the run is still alive, as far as this machine can tell."""
        if self.ended is not None:
            return False
        if self.host != socket.gethostname():
            age = datetime.now(UTC) - datetime.fromisoformat(self.written)
            return age.total_seconds() < SILENT_SECONDS
        return is_process_alive(self.pid, datetime.fromisoformat(self.written).timestamp())


def is_process_alive(pid: int, seen: float) -> bool:
    """Return whether a process of this machine, which was alive at a certain time, is still alive.

    Args:
        pid: number of the process; another process may have it by now, for instance after a restart.
        seen: time at which the process was alive, in seconds since 1970.
    """
    try:
        process = psutil.Process(pid)
        return process.create_time() < seen + _CLOCK_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def path_of(root: Path, record: RunRecord) -> Path:
    """Return the path of a process's record in the outbox."""
    identity = f"{record.command}\n{record.source}\n{record.host}\n{record.pid}"
    name = hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]
    return root / STATE_FOLDER / FOLDER / f"{name}.json"


def write_run(root: Path, record: RunRecord) -> None:
    """Replace the record of a process, whole; it is not synced, since it need not survive a power cut.

    Raises:
        OSError: it cannot be written, for instance since the outbox is no longer mounted.
    """
    path = path_of(root, record)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_runs(root: Path) -> list[RunRecord]:
    """Return the records in an outbox that can be read and are not outdated, newest first.

    Raises:
        OSError: the disk failed.
    """
    found = _read_all(root)
    outdated = _outdated(found)
    return [record for path, record in found.items() if path not in outdated]


def remove_outdated(root: Path) -> None:
    """Remove outdated records, and the oldest of runs that are over if there are more than `MAX_OVER`.

    The last record of each inbox stays, since `impasto retry` finds spools by it. What killed processes did not finish
    writing is removed after a day.

    Raises:
        OSError: the disk failed.
    """
    found = _read_all(root)
    outdated = _outdated(found)
    over = [path for path, record in found.items() if path not in outdated and not (record.is_alive or record.spool)]
    for path in (*outdated, *over[MAX_OVER:], *_unfinished(root)):
        path.unlink(missing_ok=True)


def _unfinished(root: Path) -> list[Path]:
    """Return old files of processes that were killed while they wrote a record."""
    unfinished = []
    for path in (root / STATE_FOLDER / FOLDER).iterdir():
        if _UNFINISHED_NAME.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):  # its process has just finished it
                if time.time() - path.lstat().st_mtime > _UNFINISHED_SECONDS:
                    unfinished.append(path)
    return unfinished


def _outdated(records: Mapping[Path, RunRecord]) -> set[Path]:
    """Return the records of runs that are over, and of whose command, source, spool and shard one is alive or newer.

    Args:
        records: the records, newest first.
    """
    outdated, seen = set(), set()
    for path, record in sorted(records.items(), key=lambda each: each[1].is_alive, reverse=True):
        work = record.command, record.source, record.spool, record.shard
        if work in seen and not record.is_alive:
            outdated.add(path)
        seen.add(work)
    return outdated


def _read_all(root: Path) -> dict[Path, RunRecord]:
    """Return all records that can be read, newest first."""
    found = ((path, _read(path)) for path in (root / STATE_FOLDER / FOLDER).glob("*.json"))
    records = {path: record for path, record in found if record is not None}
    return dict(sorted(records.items(), key=lambda each: each[1].started, reverse=True))


def _read(path: Path) -> RunRecord | None:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # a record of another version
        return None
