"""Writes the record of a run or a watcher into the outbox."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import LockedError, exit_code_of
from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.run_records import RunRecord, path_of, read_run, write_run
from pipeline.run.observer import Observer
from pipeline.run.plan import Action
from pipeline.settings.resolve import per_pair
from pipeline.text import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.outbox.metadata import JobFailure
    from pipeline.pair import Pair
    from pipeline.run.observer import RunInfo
    from pipeline.run.plan import PlannedPair
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome

WRITE_SECONDS: Final = 5.0
"""Shortest time in seconds between two writes."""


class RunRecorder(Observer):
    """Writes `OUTBOX/.impasto/runs/….json` at the start, every few seconds while something happens, and at the end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # the status of a watcher comes from another thread
        self._record: RunRecord | None = None
        self._root: Path | None = None
        self._counts: Counter[str] = Counter()
        self._last_write = float("-inf")

    def started(self, info: RunInfo) -> None:
        """Write the record for the first time."""
        begin = now()
        self._root = info.outbox
        self._record = RunRecord(
            command=info.command,
            source=str(info.source),
            spool=str(info.spool) if info.spool is not None else "",
            preset=info.settings.preset,
            settings=settings_in_metadata(per_pair(info.settings)),
            pairs=info.pairs,
            started=begin,
            written=begin,
        )
        earlier = read_run(info.outbox, self._record)
        if earlier is not None and earlier.is_alive and earlier.pid != self._record.pid:
            self._record = None  # the other's record is kept, since this command will find the outbox locked
            return
        self._write(at_once=True)

    def planned(self, item: PlannedPair) -> None:
        """Count a pair that is not rendered."""
        self._count("failed" if item.action is Action.STILL_FAILED else "skipped" if item.action is Action.SKIP else "")

    def outcome(self, outcome: Outcome) -> None:
        """Count a pair that was rendered or failed."""
        self._count(outcome.record.status)

    def duplicate(self, pair: Pair) -> None:
        """Count a pair that was rendered before."""
        del pair
        self._count("skipped")

    def failed_job(self, failure: JobFailure) -> None:
        """Count a job that failed before its pairs were known."""
        del failure
        self._count("failed")

    def status(self, status: Mapping[str, Any]) -> None:
        """Write what a watcher does at the moment."""
        on_device = [status["on_device"]] if status.get("on_device") else []
        self._write(on_device=on_device, state=status["state"], reason=status["reason"])

    def finished(self, summary: Summary) -> None:
        """Write the record for the last time."""
        self._end(int(summary.exit_code), "")

    def aborted(self, error: BaseException) -> None:
        """Write the record with the error; remove it if another process had the lock, since nothing was done."""
        if isinstance(error, LockedError) and self._record is not None and self._root is not None:
            path_of(self._root, self._record).unlink(missing_ok=True)
            return
        self._end(int(exit_code_of(error)), str(error))

    def _count(self, name: str) -> None:
        if name:
            self._counts[name] += 1
            self._write()

    def _end(self, exit_code: int, reason: str) -> None:
        self._write(at_once=True, state="ended", reason=reason, ended=now(), exit_code=exit_code, on_device=[])

    def _write(self, *, at_once: bool = False, **changes: Any) -> None:
        with self._lock:
            if self._record is None or self._root is None:
                return
            counts = dict(self._counts)
            if self._record.pairs is not None:
                counts["waiting"] = self._record.pairs - sum(self._counts.values())
            self._record = self._record.model_copy(update={**changes, "counts": counts, "written": now()})
            if at_once or self._clock() - self._last_write >= WRITE_SECONDS:
                self._last_write = self._clock()
                write_run(self._root, self._record)
