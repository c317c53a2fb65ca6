"""Writes the record of a run or a watcher into the outbox."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline.errors import LockedError, exit_code_of
from pipeline.monitoring.timer import Timer
from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.outbox.run_records import WRITE_SECONDS, RunRecord, remove_outdated, write_run
from pipeline.run.observer import Observer
from pipeline.run.plan import Action
from pipeline.settings.resolve import per_pair
from pipeline.text import now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.outbox.metadata import JobFailure
    from pipeline.pair import Pair
    from pipeline.run.observer import RunInfo
    from pipeline.run.plan import PlannedPair
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)


class RunRecorder(Observer):
    """Writes `OUTBOX/.impasto/runs/….json` when the locks are held, then by a timer, and at the end.

    The timer shows other machines that the process is alive, even during a pair that takes hours.
    """

    def __init__(self, write_seconds: float = WRITE_SECONDS) -> None:
        self._lock = threading.Lock()  # of the record and its counts, which the timer's thread writes
        self._timer = Timer("run record", write_seconds, self.write)
        self._record: RunRecord | None = None
        self._root: Path | None = None
        self._counts: Counter[str] = Counter()
        self._on_device: dict[str, None] = {}
        """Names of the pairs on the devices, in the order in which they came; only of a run."""
        self._has_failed = False

    def started(self, info: RunInfo) -> None:
        """Prepare the record; it is written when the locks are held."""
        begin = now()
        self._root = info.outbox
        self._record = RunRecord(
            command=info.command,
            source=str(info.source),
            spool=str(info.spool) if info.spool is not None else "",
            shard=info.shard,
            preset=info.settings.preset,
            settings=settings_in_metadata(per_pair(info.settings)),
            pairs=info.pairs,
            started=begin,
            written=begin,
        )

    def began(self) -> None:
        """Write the record for the first time, and remove outdated ones."""
        assert self._root is not None  # noqa: S101 - it was started
        self._timer.start()
        self.write()
        remove_outdated(self._root)

    def planned(self, item: PlannedPair) -> None:
        """Count a pair that is not rendered."""
        self._count("failed" if item.action is Action.STILL_FAILED else "skipped" if item.action is Action.SKIP else "")

    def pair_started(self, pair: Pair) -> None:
        """Note that a pair is on a device; a watcher's status tells that of its pairs."""
        with self._lock:
            if self._record is not None and not self._record.spool:
                self._on_device[pair.name] = None
                self._change(on_device=list(self._on_device))

    def outcome(self, outcome: Outcome) -> None:
        """Count a pair that was rendered or failed."""
        with self._lock:
            if self._on_device.pop(outcome.pair.name, "") is None:
                self._change(on_device=list(self._on_device))
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
        """Note what a watcher does at the moment."""
        on_device = [status["on_device"]] if status.get("on_device") else []
        with self._lock:
            self._change(on_device=on_device, state=status["state"], reason=status["reason"])

    def finished(self, summary: Summary) -> None:
        """Write the record for the last time."""
        self._end(int(summary.exit_code), "")

    def aborted(self, error: BaseException) -> None:
        """Write the record with the error, unless another process had the lock: then nothing was done."""
        if not isinstance(error, LockedError):
            self._end(int(exit_code_of(error)), str(error))

    def write(self) -> None:
        """Write the record as it is; log an error once, and try again the next time."""
        with self._lock:
            self._change(written=now())
            if self._record is None or self._root is None:
                return
            try:
                write_run(self._root, self._record)
            except OSError as error:
                if not self._has_failed:
                    self._has_failed = True
                    logger.warning("%s: the record of this run cannot be written: %s", self._root, error)

    def _count(self, name: str) -> None:
        if name:
            with self._lock:
                self._counts[name] += 1
                self._change()

    def _change(self, **changes: Any) -> None:
        """Update the record, for the next time that it is written; the caller holds the lock."""
        if self._record is None:
            return
        counts = dict(self._counts)
        if self._record.pairs is not None:
            counts["waiting"] = self._record.pairs - sum(self._counts.values())
        self._record = self._record.model_copy(update={**changes, "counts": counts})

    def _end(self, exit_code: int, reason: str) -> None:
        try:
            self._timer.end()
        finally:
            with self._lock:
                self._change(state="ended", reason=reason, ended=now(), exit_code=exit_code, on_device=[])
            if self._root is not None and (self._root / STATE_FOLDER).is_dir():  # else it ended before it began
                self.write()
