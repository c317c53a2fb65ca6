"""Records of runs in the outbox, which show other processes the state of a run, even after its process died."""

from __future__ import annotations

import hashlib
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.outbox.paths import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER: Final = "runs"
"""Folder of the records in the outbox's state."""
_CLOCK_SECONDS: Final = 60.0
"""Largest number of seconds by which the clock may have been set back since a process began."""
SILENT_SECONDS: Final = 60.0
"""Seconds without a new record after which a run on another machine counts as dead."""


class RunRecord(BaseModel):
    """The record of a run; a later run of the same command and source replaces it."""

    model_config = ConfigDict(frozen=True)

    command: Literal["run", "pair", "watch", "drain"]
    source: str = Field(description="absolute path of the manifest, photograph or inbox")
    spool: str = Field("", description="absolute path of the spool; only of watch and drain")
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
    """Return the path of a run's record in the outbox."""
    name = hashlib.sha256(os.fsencode(f"{record.command}\n{record.source}")).hexdigest()[:16]
    return root / STATE_FOLDER / FOLDER / f"{name}.json"


def write_run(root: Path, record: RunRecord) -> None:
    """Replace the record of a run, whole; it is not synced, since it need not survive a power cut.

    Raises:
        OSError: it cannot be written.
    """
    path = path_of(root, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_run(root: Path, record: RunRecord) -> RunRecord | None:
    """Return the outbox's record with the command and source of this record; None if there is none that can be read."""
    return _read(path_of(root, record))


def read_runs(root: Path) -> list[RunRecord]:
    """Return the records in an outbox that can be read, newest first.

    Raises:
        OSError: the disk failed.
    """
    return sorted(_records(root / STATE_FOLDER / FOLDER), key=lambda record: record.started, reverse=True)


def _records(folder: Path) -> Iterator[RunRecord]:
    for path in folder.glob("*.json"):
        record = _read(path)
        if record is not None:
            yield record


def _read(path: Path) -> RunRecord | None:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # a record of another version
        return None
