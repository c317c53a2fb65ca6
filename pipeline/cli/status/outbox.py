"""How an outbox stands, and the runs that work on it or did."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ValidationError

from pipeline.disk import Disk
from pipeline.outbox.listing import list_outbox
from pipeline.outbox.metadata import Failure
from pipeline.outbox.run_records import RunRecord, read_runs
from pipeline.text import displayable, shell_quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.outbox.listing import Listing

_HOUR_SECONDS: Final = 3600.0


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
    again: str
    """The command that goes on where it ended; its further options are not known, nor what stands in capitals."""

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
    retry: str
    """The command that has what failed tried again."""
    kind: Literal["outbox"] = "outbox"

    @property
    def is_at_work(self) -> bool:
        """Whether any run goes on."""
        return any(run.is_at_work for run in self.runs)


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
        path=displayable(str(root.absolute())),
        done=len(done),
        failed=len(listing.failures),
        damaged=len(described.keys() ^ listing.pictures.keys()) + len(listing.unreadable),
        done_last_hour=sum(1 for name in done if described[name][0] > since),
        runs=tuple(run_state(record, root) for record in read_runs(root)),
        last_errors=tuple(_last_failures(root, listing, disk)),
        retry=f"impasto retry {shell_quoted(str(root))}",
    )


def _last_failures(root: Path, listing: Listing, disk: Disk) -> Iterator[LastError]:
    latest = sorted(listing.failures, key=lambda path: listing.failures[path], reverse=True)
    for path in latest[:LATEST]:
        name = displayable(path.partition("/")[2].removesuffix(".json"))
        try:
            record = Failure.model_validate_json(disk.read(root / path))
        except FileNotFoundError:  # it has succeeded meanwhile
            continue
        except ValidationError:
            yield LastError(name, "its record cannot be read", "If it is not yours, remove it.", "")
        else:
            yield LastError(name, displayable(record.reason), displayable(record.remedy), record.failed)


def run_state(record: RunRecord, root: Path) -> RunState:
    """What a record in an outbox says, and whether that still holds."""
    state: Any = record.state if record.ended is not None or record.is_alive else "died"
    seconds = _seconds_between(record.started, record.written)
    done = record.counts.get("done", 0)
    per_hour = done * _HOUR_SECONDS / seconds if done and seconds else None
    waiting = record.counts.get("waiting")
    left = waiting / per_hour * _HOUR_SECONDS if per_hour and waiting is not None and state == "running" else None
    return RunState(
        **record.model_dump(include={"command", "host", "pid", "counts", "started", "written", "exit_code"}),
        source=displayable(record.source),
        spool=displayable(record.spool),
        state=state,
        reason=displayable(record.reason),
        on_device=tuple(map(displayable, record.on_device)),
        pairs_per_hour=None if per_hour is None else round(per_hour, 1),
        seconds_left=None if left is None else round(left),
        again=_again(record, root),
    )


def _again(record: RunRecord, root: Path) -> str:
    rest = "STYLE -o OUTPUT" if record.command == "pair" else f"--outbox {shell_quoted(str(root))}"
    return f"impasto {record.command} {shell_quoted(record.source)} {rest}"


def _seconds_between(begin: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


LATEST: Final = 5
"""So many are told."""


@dataclass(frozen=True)
class LastError:
    """Of a pair, or of a job of the inbox."""

    name: str
    reason: str
    remedy: str
    failed: str
    """UTC, ISO 8601."""
