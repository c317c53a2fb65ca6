"""Where the time of a run went."""

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
    """How a command's work ended: what became of the pairs of a run, or of the files that a watcher saw."""

    counts: Mapping[str, int]
    """Pairs or files by what became of them, in the order in which they are shown."""
    seconds: float
    """Duration of the work."""
    exit_code: ExitCode
    usage: Usage
    """Where the time went."""
    missing: tuple[str, ...] | None = None
    """Files that a watcher cannot account for; None for a run, which sees no files come and go."""

    def describe(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        missing = {} if self.missing is None else {"missing": list(self.missing)}
        times = {"seconds": round(self.seconds, 3), **self.usage.describe()}
        return {**self.counts, **missing, **times, "exit_code": int(self.exit_code)}
