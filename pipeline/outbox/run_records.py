"""What each run says of itself in the outbox, so that others can tell how it went, while it works and after it died."""

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
_CLOCK_SECONDS: Final = 60.0
"""So much a clock may have been set back since a process began."""
SILENT_SECONDS: Final = 60.0
"""On another machine a run that wrote nothing for so long is dead."""


class RunRecord(BaseModel):
    """One for each command and source; a later run of the same takes its place."""

    model_config = ConfigDict(frozen=True)

    command: Literal["run", "pair", "watch", "drain"]
    source: str = Field(description="manifest, photograph or inbox; absolute")
    spool: str = Field("", description="absolute; of watch and drain")
    host: str = Field(default_factory=socket.gethostname)
    pid: int = Field(default_factory=os.getpid)
    preset: str
    settings: dict[str, dict[str, Any]] = Field(description="of pairs that have none of their own")
    pairs: int | None = Field(None, description="to be accounted for; null: nobody knows")
    counts: dict[str, int] = Field(default_factory=dict, description="done, skipped, failed, waiting")
    on_device: list[str] = Field(default_factory=list)
    state: Literal["running", "paused", "stopping", "ended"] = "running"
    reason: str = Field("", description="why it is paused, or what it ended with")
    started: str = Field(description="UTC, ISO 8601")
    written: str = Field(description="UTC, ISO 8601")
    ended: str | None = Field(None, description="UTC, ISO 8601; null while it works, or if it died")
    exit_code: int | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it still works, as far as can be told."""
        if self.ended is not None:
            return False
        if self.host != socket.gethostname():
            silent = datetime.now(UTC) - datetime.fromisoformat(self.written)
            return silent.total_seconds() < SILENT_SECONDS
        return is_process_alive(self.pid, datetime.fromisoformat(self.written).timestamp())


def is_process_alive(pid: int, seen: float) -> bool:
    """Whether a process of this machine, which was there then, still is.

    Args:
        pid: its number, which may have gone to another one since, after a restart for instance.
        seen: a moment at which it lived, in seconds since 1970.
    """
    try:
        process = psutil.Process(pid)
        return process.create_time() < seen + _CLOCK_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def path_of(root: Path, record: RunRecord) -> Path:
    """Where a run's record is in the outbox."""
    name = hashlib.sha256(os.fsencode(f"{record.command}\n{record.source}")).hexdigest()[:16]
    return root / STATE_FOLDER / FOLDER / f"{name}.json"


def write_run(root: Path, record: RunRecord) -> None:
    """Replace the record of a run; it need not survive a power cut.

    Raises:
        OSError: it cannot be written.
    """
    path = path_of(root, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_run(root: Path, like: RunRecord) -> RunRecord | None:
    """The record that is there of this command and source."""
    return _read(path_of(root, like))


def read_runs(root: Path) -> list[RunRecord]:
    """The records in an outbox, newest first; none where there are none, and none of what cannot be read.

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
    except (FileNotFoundError, ValidationError):  # of another version
        return None
