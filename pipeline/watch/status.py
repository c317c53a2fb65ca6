"""The status of a watcher: status.json in its folder, and the line that systemd shows."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.text import displayable_values, now, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.run.observer import Observer
    from pipeline.watch.systemd import SystemdNotifier
    from pipeline.watch.workplace import Workplace


@dataclass(frozen=True)
class Activity:
    """The present activity of a watcher."""

    state: str
    """`running`, `paused` or `stopping`."""
    reason: str
    """Reason of a pause; empty without a pause."""
    on_device: str
    """Name of the pair on the device; empty if there is none."""
    claimed: int
    """Number of jobs that are claimed and not finished."""


class StatusFile:
    """Writes status.json, and notifies systemd. Only the thread that scans calls it."""

    def __init__(
        self,
        workplace: Workplace,
        notifier: SystemdNotifier,
        activity: Callable[[], Activity],
        observer: Observer,
    ) -> None:
        self._scanner, self._accounting, self._spool = workplace.scanner, workplace.accounting, workplace.spool
        self._notifier, self._activity, self._observer = notifier, activity, observer

    def status(self) -> dict[str, Any]:
        """Return the content of status.json."""
        unclaimed = self._scanner.unclaimed()
        # The ctime is the time at which a file was moved into the inbox, or written to.
        oldest = min((facts.ctime_ns / 1e9 for facts in unclaimed), default=None)
        tickets = self._scanner.waiting_tickets()
        return {
            **vars(self._activity()),
            "mode": self._scanner.mode,
            "degraded": self._scanner.degraded,
            "waiting_tickets": {printable(name): missing for name, missing in tickets.items()},
            "written": now(),
            "seen": self._accounting.seen,
            "in_inbox": len(self._accounting.in_inbox),
            "unclaimed": len(unclaimed),
            "oldest_unclaimed_seconds": 0.0 if oldest is None else round(max(0.0, time.time() - oldest), 3),
            "finished": dict(self._accounting.counts),
            "left": {printable(name): why for name, why in sorted(self._scanner.left.items())},
        }

    def write(self) -> None:
        """Write status.json, which need not survive a power cut, and pass its content on to the observer.

        Raises:
            OSError: the file cannot be written.
        """
        status = self.status()
        self._observer.status(status)
        path = self._spool.folder / "status.json"
        temporary = path.with_suffix(".tmp")
        text = json.dumps(displayable_values(status), indent=2, ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.replace(path)

    def tell_systemd(self, idle_seconds: float) -> None:
        """Send the counts and, if the thread that renders has been active recently, a keep-alive.

        Args:
            idle_seconds: seconds since the last activity of the thread that renders.
        """
        activity, counts = self._activity(), self._accounting.counts
        state = f"{activity.state}: {activity.reason}" if activity.reason else activity.state
        self._notifier.status(
            f"{printable(state)}; {counts['done']} done, {counts['failed']} failed, {activity.claimed} claimed, "
            f"{len(self._accounting.in_inbox)} in the inbox"
        )
        limit = self._notifier.watchdog_seconds
        if limit is not None and idle_seconds < limit:
            self._notifier.send("WATCHDOG=1")
