"""The summary of a run or a watcher: counts, exit code, times and memory."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.errors import ExitCode


@dataclass
class Usage:
    """Seconds and memory, added up over the pairs of a stage. All threads of the stage call the methods.

    Seconds of loading and saving are added up over all threads, so they may exceed the elapsed time.
    """

    pairs: int = 0
    """Number of pairs that the device has finished."""
    load_seconds: float = 0.0
    wait_seconds: float = 0.0
    """Seconds that the device was idle since its first pair started."""
    stylise_seconds: float = 0.0
    save_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    begin: float | None = None
    """Time at which the first pair started, by `time.perf_counter`; None before."""
    end: float = 0.0
    """Time at which the last pair was saved, by `time.perf_counter`."""
    devices: int = 1
    """Number of devices over which the seconds are added up."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **values: float) -> None:
        """Add to some of the sums."""
        with self._lock:
            for name, value in values.items():
                setattr(self, name, getattr(self, name) + value)

    def started(self) -> None:
        """Record that the device begins with a pair."""
        if self.begin is None:
            self.begin = time.perf_counter()

    def saved(self, peak_memory_bytes: int | None) -> None:
        """Record that a pair is published."""
        with self._lock:
            self.end = time.perf_counter()
            if peak_memory_bytes is not None:
                self.peak_memory_bytes = max(peak_memory_bytes, self.peak_memory_bytes or 0)

    @property
    def wall_seconds(self) -> float:
        """Seconds from the start of the first pair until the last pair was saved."""
        return 0.0 if self.begin is None else max(0.0, self.end - self.begin)

    @property
    def busy_share(self) -> float:
        """Fraction of `wall_seconds` that the device was busy; the mean of several devices."""
        return min(1.0, self.stylise_seconds / self.wall_seconds / self.devices) if self.wall_seconds else 0.0

    @property
    def pairs_per_hour(self) -> float:
        """Pairs per hour of `wall_seconds`."""
        return 3600 * self.pairs / self.wall_seconds if self.wall_seconds else 0.0

    def describe(self) -> dict[str, float | int | None]:
        """Return the figures as JSON, for the summary of a run."""
        return {
            "pairs_per_hour": round(self.pairs_per_hour, 2),
            "device_busy_share": round(self.busy_share, 4),
            "load_seconds": round(self.load_seconds, 3),
            "wait_seconds": round(self.wait_seconds, 3),
            "stylise_seconds": round(self.stylise_seconds, 3),
            "save_seconds": round(self.save_seconds, 3),
            "peak_memory_bytes": self.peak_memory_bytes,
        }


@dataclass(frozen=True)
class Summary:
    """The outcome of a command: the counts of the pairs of a run, or of the files that a watcher saw."""

    counts: Mapping[str, int]
    """Numbers of pairs or files by their outcome, in the order in which they are shown."""
    seconds: float
    """Duration of the work in seconds."""
    exit_code: ExitCode
    usage: Usage
    """Times and memory of the stage."""
    missing: tuple[str, ...] | None = None
    """Files that a watcher cannot account for; None for a run, which does not track files."""
    films: tuple[str, ...] = ()
    """Names of the films in the outbox that a run has written."""

    def describe(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        missing = {} if self.missing is None else {"missing": list(self.missing)}
        times = {"seconds": round(self.seconds, 3), **self.usage.describe()}
        films = {"films": list(self.films)} if self.films else {}
        return {**self.counts, **missing, **films, **times, "exit_code": int(self.exit_code)}
