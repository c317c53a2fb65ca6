"""Metrics for Prometheus, as a file for the textfile collector of its node exporter.

The file is written every 15 seconds while a command works and once at the end, each time whole, by a rename. Each
process needs a file of its own.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from pipeline.disk import storage_errors
from pipeline.errors import ExitCode, LockedError, UsageError
from pipeline.monitoring.logs import STEPS
from pipeline.monitoring.timer import Timer
from pipeline.run.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.outbox.metadata import JobFailure, Metadata
    from pipeline.pair import Pair
    from pipeline.run.observer import RunInfo
    from pipeline.run.plan import PlannedPair
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)

WRITE_SECONDS: Final = 15.0
"""Seconds between two writes."""
OUTCOMES: Final = ("done", "skipped", "failed", "duplicate", "waiting")
"""Values of the label `outcome`. All are written from the start, so that the first failure shows as a rise from 0."""
_OUTCOME_OF_ACTION: Final = {"skip": "skipped", "still failed": "failed", "wait": "waiting"}
_PAIR_SECONDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds of the histogram's buckets, in seconds."""
_LAST_SUCCESS: Final = "impasto_last_success_timestamp_seconds"


class Metrics(Observer):
    """Writes `metrics.textfile`, in a thread of its own."""

    def __init__(self, path: Path, write_seconds: float = WRITE_SECONDS) -> None:
        """Write a file beside the metrics as a trial, so that an error is noticed before any work is done.

        Raises:
            UsageError: the path is a folder, or its folder does not exist.
            StorageError: the file cannot be written.
        """
        with storage_errors(path):
            is_possible = path.parent.is_dir() and not path.is_dir()
        if not is_possible:
            raise UsageError(
                f"metrics.textfile = {path}: is no file that could be written, or its folder does not exist.",
                "Name a file ending in .prom in the folder that the node exporter's textfile collector reads.",
            )
        self._path = path
        self._values = Values()
        self._has_failed = False
        self._pairs: int | None = None
        self._accounted = 0
        self._devices = 1
        self._stylise_seconds = 0.0
        self._first_start: datetime | None = None
        self._timer = Timer("metrics", write_seconds, self._write)
        self._values.last_success.set(_last_success(path))
        with storage_errors(path):  # the file itself may belong to the process that has the lock
            probe = path.with_name(f"{path.name}.probe-{os.getpid()}")
            self._values.write(probe)
            probe.unlink()

    def started(self, info: RunInfo) -> None:
        """Begin to write."""
        self._pairs = info.pairs
        self._values.up.set(1)
        self._values.info.info({"version": version("impasto"), "command": info.command, "outbox": str(info.outbox)})
        self._show_depth()
        self._timer.start()

    def planned(self, item: PlannedPair) -> None:
        """Count a pair that is not rendered."""
        self._count(_OUTCOME_OF_ACTION[item.action.value])

    def outcome(self, outcome: Outcome) -> None:
        """Count a pair that was rendered or failed, and its seconds."""
        record = outcome.record
        if record.status == "done":
            self._rendered(record)
        self._count(record.status)

    def duplicate(self, pair: Pair) -> None:
        """Count a pair that was rendered before."""
        del pair
        self._count("duplicate")

    def failed_job(self, failure: JobFailure) -> None:
        """Count a job whose pairs are not known as one pair."""
        del failure
        self._count("failed")

    def status(self, status: Mapping[str, Any]) -> None:
        """Set the number of waiting files and jobs, and the age of the oldest file."""
        self._values.queue_depth.set(status["unclaimed"] + status["claimed"])
        self._values.oldest_unclaimed.set(status["oldest_unclaimed_seconds"])

    def finished(self, summary: Summary) -> None:
        """Write for the last time."""
        described = summary.describe()
        if self._pairs is None:  # a watcher leaves these files
            self._values.queue_depth.set(described["in_inbox"] + described["waiting"])
        if summary.usage.pairs:
            self._values.busy_ratio.set(summary.usage.busy_share)
        if summary.exit_code == ExitCode.OK:
            self._values.last_success.set_to_current_time()
        self._end()

    def aborted(self, error: BaseException) -> None:
        """Write for the last time, unless another process had the lock: the file may be that one's."""
        self._end(is_written=not isinstance(error, LockedError))

    def _rendered(self, record: Metadata) -> None:
        values, seconds = self._values, record.seconds
        for step in STEPS:
            values.step_seconds.labels(step=step).inc(getattr(seconds, step))
        values.pair_seconds.observe(seconds.load + seconds.stylise + seconds.save)
        values.last_success.set_to_current_time()
        began = datetime.fromisoformat(record.started)
        self._first_start = min(began, self._first_start or began)
        self._stylise_seconds += seconds.stylise
        wall_seconds = (datetime.now(began.tzinfo) - self._first_start).total_seconds()
        if wall_seconds > 0:
            values.busy_ratio.set(min(1.0, self._stylise_seconds / wall_seconds / self._devices))

    def _count(self, outcome: str) -> None:
        self._values.pairs.labels(outcome=outcome).inc()
        self._accounted += 1
        self._show_depth()

    def _show_depth(self) -> None:
        if self._pairs is not None:
            self._values.queue_depth.set(max(0, self._pairs - self._accounted))

    def _end(self, *, is_written: bool = True) -> None:
        self._values.up.set(0)
        self._timer.end()
        if is_written:
            self._write()

    def _write(self) -> None:
        """Write the file; log an error once, and try again the next time."""
        try:
            self._values.write(self._path)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("metrics.textfile = %s: cannot be written: %s. The work continues.", self._path, error)


class Values:
    """The metrics, with names by https://prometheus.io/docs/practices/naming/."""

    def __init__(self) -> None:
        from prometheus_client import (  # noqa: PLC0415
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            Info,
            disable_created_metrics,
        )

        disable_created_metrics()  # type: ignore[no-untyped-call]  # these series say nothing about the work
        self._registry = registry = CollectorRegistry()
        self.up = Gauge("impasto_up", "1 while the process works, 0 after its end.", registry=registry)
        self.info = Info("impasto", "Version, command and outbox.", registry=registry)
        self.pairs = Counter("impasto_pairs_total", "Pairs by outcome.", ["outcome"], registry=registry)
        self.step_seconds = Counter(
            "impasto_step_seconds_total", "Seconds of rendered pairs by step.", ["step"], registry=registry
        )
        self.pair_seconds = Histogram(
            "impasto_pair_seconds",
            "Seconds of a rendered pair, without waiting for the device.",
            buckets=_PAIR_SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "impasto_queue_depth",
            "Pairs still to be done; for a watcher, files that can be claimed plus claimed jobs.",
            registry=registry,
        )
        self.busy_ratio = Gauge(
            "impasto_device_busy_ratio", "Share of the time since the first pair that the device was busy.",
            registry=registry,
        )  # fmt: skip
        self.oldest_unclaimed = Gauge(
            "impasto_oldest_unclaimed_seconds", "Seconds since the oldest claimable file came into the inbox.",
            registry=registry,
        )  # fmt: skip
        self.last_success = Gauge(
            _LAST_SUCCESS, "Time of the last published pair, or of the last run without failures.", registry=registry
        )
        for outcome in OUTCOMES:
            self.pairs.labels(outcome=outcome)
        for step in STEPS:
            self.step_seconds.labels(step=step)

    def write(self, path: Path) -> None:
        """Write all metrics into a file, which is replaced whole.

        Raises:
            OSError: the file cannot be written.
        """
        from prometheus_client import write_to_textfile  # noqa: PLC0415

        write_to_textfile(str(path), self._registry)


def _last_success(path: Path) -> float:
    """Return the time of the last success as an earlier process wrote it, so that a night without success keeps it."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return 0.0
    except (OSError, ValueError) as error:
        logger.warning("metrics.textfile = %s: cannot be read, and is written again: %s", path, error)
        return 0.0
    return next((family.samples[0].value for family in families if family.name == _LAST_SUCCESS), 0.0)
