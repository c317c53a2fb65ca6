"""Where the time of a run went."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ExitCode


@dataclass
class Usage:
    """Added up over the pairs of a stage, by its threads; seconds of loading and saving are those of all threads."""

    pairs: int = 0
    """That the device has done."""
    load_seconds: float = 0.0
    wait_seconds: float = 0.0
    """That the device had nothing to do, since its first pair started."""
    stylise_seconds: float = 0.0
    save_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    begin: float | None = None
    """When the first pair started."""
    end: float = 0.0
    """When the last one was saved."""
    devices: int = 1
    """Over which all this is added up."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **values: float) -> None:
        """Add to some of the sums."""
        with self._lock:
            for name, value in values.items():
                setattr(self, name, getattr(self, name) + value)

    def started(self) -> None:
        """The device begins with a pair."""
        if self.begin is None:
            self.begin = time.perf_counter()

    def saved(self, peak_memory_bytes: int | None) -> None:
        """A pair is published."""
        with self._lock:
            self.end = time.perf_counter()
            if peak_memory_bytes is not None:
                self.peak_memory_bytes = max(peak_memory_bytes, self.peak_memory_bytes or 0)

    @property
    def wall_seconds(self) -> float:
        """From the start of the first pair until the last one was saved."""
        return 0.0 if self.begin is None else max(0.0, self.end - self.begin)

    @property
    def busy_share(self) -> float:
        """Of the device, in that time; of several the mean."""
        return min(1.0, self.stylise_seconds / self.wall_seconds / self.devices) if self.wall_seconds else 0.0

    @property
    def pairs_per_hour(self) -> float:
        """In that time."""
        return 3600 * self.pairs / self.wall_seconds if self.wall_seconds else 0.0

    def describe(self) -> dict[str, float | int | None]:
        """For the summary of a run."""
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
    """How a run ended: every pair of the manifest is counted once."""

    rendered: int
    skipped: int
    failed: int
    waiting: int
    seconds: float
    usage: Usage
    """Where the time went."""

    @property
    def exit_code(self) -> ExitCode:
        """Failures, those of earlier runs included, are never hidden behind a zero."""
        return ExitCode.PARTIAL if self.failed else ExitCode.OK

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        counts = {name: getattr(self, name) for name in ("rendered", "skipped", "failed", "waiting")}
        times = {"seconds": round(self.seconds, 3), **self.usage.describe()}
        return {**counts, **times, "exit_code": int(self.exit_code)}
