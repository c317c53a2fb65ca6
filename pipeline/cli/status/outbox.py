"""The state of an outbox, and of its present and past runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ValidationError

from pipeline.cli.status.inbox import InboxSurvey, survey_inbox
from pipeline.cli.status.last_error import ERRORS_SHOWN, LastError
from pipeline.disk import Disk
from pipeline.outbox.listing import list_outbox
from pipeline.outbox.metadata import Failure
from pipeline.outbox.run_records import RunRecord, read_runs
from pipeline.text import displayable, shell_quoted, single_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.outbox.listing import Listing

_HOUR_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class RunState:
    """The state of a run; a JSON object with --json."""

    command: str
    source: str
    spool: str
    """Spool of `watch` and `drain`; empty for other commands."""
    shard: str
    """The part of the manifest, as `I/N`; empty: all of it."""
    host: str
    pid: int
    state: Literal["running", "paused", "stopping", "ended", "died"]
    reason: str
    """Reason for a pause, or the error that ended the run."""
    on_device: tuple[str, ...]
    counts: dict[str, int]
    started: str
    written: str
    exit_code: int | None
    pairs_per_hour: float | None
    """Pairs per hour since its start; None if no pair is done."""
    seconds_left: float | None
    """Seconds left at this rate; None if unknown."""
    again: str
    """Command that continues this run. The user must replace words in capitals, and add further options."""

    @property
    def is_at_work(self) -> bool:
        """Whether the run is alive."""
        return self.state not in {"ended", "died"}


@dataclass(frozen=True)
class OutboxSurvey:
    """Counts of an outbox; a JSON object with --json.

    A picture that metadata names is done. JSON files of other programs are not counted. Whether a picture was altered
    is for `impasto report`.
    """

    path: str
    done: int
    failed: int
    damaged: int
    """Number of pictures without metadata, of metadata without picture, of JSON files that cannot be read, and of
    folders that cannot be read."""
    done_last_hour: int
    runs: tuple[RunState, ...]
    """Runs, the newest first."""
    last_errors: tuple[LastError, ...]
    retry: str
    """Command that has failed pairs tried again."""
    inboxes: tuple[InboxSurvey, ...] = ()
    """Inboxes of its watchers, as far as they can be reached."""
    kind: Literal["outbox"] = "outbox"

    @property
    def is_at_work(self) -> bool:
        """Whether any run is alive."""
        return any(run.is_at_work for run in self.runs)


def survey_outbox(root: Path, formats: frozenset[str]) -> OutboxSurvey:
    """Count results and failures, read the records of runs, and survey the inboxes of watchers.

    Args:
        root: the outbox.
        formats: see `survey_inbox`.

    Raises:
        OSError: the disk failed.
    """
    records = read_runs(root)
    return replace(_counts(root, records), inboxes=tuple(_inboxes(root, records, formats)))


def _inboxes(root: Path, records: Sequence[RunRecord], formats: frozenset[str]) -> Iterator[InboxSurvey]:
    for source, spool in dict.fromkeys((record.source, record.spool) for record in records if record.spool):
        inbox = Path(source)
        if inbox.is_dir() and Path(spool, "work").is_dir():  # else it is not mounted here, or has been removed
            # The outbox names both folders; the inbox alone does not lead to a spool elsewhere.
            retry = f"impasto retry {shell_quoted(str(root))}"
            yield replace(survey_inbox(inbox, Path(spool), formats), retry=retry)


def _counts(root: Path, records: Sequence[RunRecord]) -> OutboxSurvey:
    disk = Disk()
    listing = list_outbox(root, disk).without_foreign(root, disk)
    described = {path.removesuffix(".json"): stamp for path, stamp in listing.metadata.items()}
    done = {name for name in described.keys() & listing.pictures.keys() if f"{name}.json" not in listing.doubtful}
    since = (time.time() - _HOUR_SECONDS) * 1e9
    return OutboxSurvey(
        path=single_line(str(root.absolute())),
        done=len(done),
        failed=len(listing.failures),
        damaged=len((described.keys() | listing.pictures.keys()) - done) + len(listing.unreadable),
        done_last_hour=sum(1 for name in done if described[name][0] > since),
        runs=tuple(run_state(record, root) for record in records),
        last_errors=tuple(_last_failures(root, listing, disk)),
        retry=f"impasto retry {shell_quoted(str(root))}",
    )


def _last_failures(root: Path, listing: Listing, disk: Disk) -> Iterator[LastError]:
    latest = sorted(listing.failures, key=lambda path: listing.failures[path], reverse=True)
    for path in latest[:ERRORS_SHOWN]:
        name = single_line(path.partition("/")[2].removesuffix(".json"))
        try:
            record = Failure.model_validate_json(disk.read(root / path) if path not in listing.doubtful else b"")
        except FileNotFoundError:  # the pair has succeeded since
            continue
        except ValidationError:
            yield LastError(name, "its record cannot be read", "If no pair of yours has this name, move it away.", "")
        else:
            yield LastError(name, displayable(record.reason), displayable(record.remedy), record.failed)


def run_state(record: RunRecord, root: Path) -> RunState:
    """Return the state of a run, from its record and from whether its process is alive."""
    state: Any = record.state if record.ended is not None or record.is_alive else "died"
    seconds = _seconds_between(record.started, record.written)
    done = record.counts.get("done", 0)
    per_hour = done * _HOUR_SECONDS / seconds if done and seconds else None
    waiting = record.counts.get("waiting")
    left = waiting / per_hour * _HOUR_SECONDS if per_hour and waiting is not None and state == "running" else None
    return RunState(
        **record.model_dump(include={"command", "host", "pid", "counts", "started", "written", "exit_code"}),
        source=single_line(record.source),
        spool=single_line(record.spool),
        shard=single_line(record.shard),
        state=state,
        reason=single_line(record.reason),
        on_device=tuple(map(single_line, record.on_device)),
        pairs_per_hour=None if per_hour is None else round(per_hour, 1),
        seconds_left=None if left is None else round(left),
        again=_command_to_continue(record, root),
    )


def _command_to_continue(record: RunRecord, root: Path) -> str:
    rest = "STYLE -o OUTPUT" if record.command == "pair" else f"--outbox {shell_quoted(str(root))}"
    shard = f" --shard {shell_quoted(record.shard)}" if record.shard else ""
    return f"impasto {record.command} {shell_quoted(record.source)} {rest}{shard}"


def _seconds_between(begin: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())
