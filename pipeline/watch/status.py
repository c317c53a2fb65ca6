"""What a watcher says of itself: status.json in its folder, and what systemd is told."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.text import now, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.run.observer import Observer
    from pipeline.watch.inbox.scanner import Scanner
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.spool import Spool
    from pipeline.watch.systemd import SystemdNotifier


@dataclass(frozen=True)
class Activity:
    """What it does at the moment."""

    state: str
    """`running`, `paused` or `stopping`."""
    reason: str
    """Why it is paused."""
    on_device: str
    """The name of the pair that is rendered."""
    claimed: int
    """Jobs that are not finished."""


class StatusFile:
    """Shown by the thread that looks."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it shows
        self,
        spool: Spool,
        intake: Scanner,
        books: FileAccounting,
        notifier: SystemdNotifier,
        activity: Callable[[], Activity],
        observer: Observer,
    ) -> None:
        self._spool, self._intake, self._books, self._notifier = spool, intake, books, notifier
        self._activity, self._observer = activity, observer

    def status(self) -> dict[str, Any]:
        """What a person may want to know."""
        unclaimed = self._intake.unclaimed()
        oldest = min((facts.ctime_ns / 1e9 for facts in unclaimed), default=None)  # moved here, or written to
        return {
            **vars(self._activity()),
            "mode": self._intake.mode,
            "degraded": self._intake.degraded,
            "waiting_tickets": {printable(name): missing for name, missing in self._intake.waiting_tickets().items()},
            "written": now(),
            "seen": self._books.seen,
            "in_inbox": len(self._books.in_inbox),
            "unclaimed": len(unclaimed),
            "oldest_unclaimed_seconds": 0.0 if oldest is None else round(max(0.0, time.time() - oldest), 3),
            "finished": dict(self._books.counts),
            "left": {printable(name): why for name, why in sorted(self._intake.left.items())},
        }

    def write(self) -> None:
        """Into status.json, which need not survive a power cut; and tell whoever listens.

        Raises:
            OSError: it cannot be written.
        """
        status = self.status()
        self._observer.status(status)
        path = self._spool.folder / "status.json"
        temporary = path.with_suffix(".tmp")
        text = json.dumps(status, indent=2, ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.replace(path)

    def tell_systemd(self, seconds_since_render: float) -> None:
        """The counts; and a sign of life, if the thread that renders has shown one as well."""
        activity, counts = self._activity(), self._books.counts
        state = f"{activity.state}: {activity.reason}" if activity.reason else activity.state
        self._notifier.status(
            f"{printable(state)}; {counts['done']} done, {counts['failed']} failed, {activity.claimed} claimed, "
            f"{len(self._books.in_inbox)} in the inbox"
        )
        limit = self._notifier.watchdog_seconds
        if limit is not None and seconds_since_render < limit:
            self._notifier.send("WATCHDOG=1")
