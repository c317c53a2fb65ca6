"""The status of a watcher: status.json in its folder, and the line that systemd shows."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline.text import displayable_values, now, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.run.observer import Observer
    from pipeline.watch.systemd import SystemdNotifier
    from pipeline.watch.workplace import Workplace

REASONS_SHOWN: Final = 20
"""Number of reasons in status.json for which files are left; they are those of the most files."""
EXAMPLES_SHOWN: Final = 5
"""Number of files in status.json for each reason, and of files and styles for each ticket."""
TICKETS_SHOWN: Final = 20
"""Number of waiting tickets in status.json."""


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


def examples_of(left: Mapping[str, str]) -> dict[str, str]:
    """Return a few of the files that are left, and why, in the order of their names.

    Args:
        left: reason why a file is left, by its path in the inbox.
    """
    room = dict.fromkeys(dict(Counter(left.values()).most_common(REASONS_SHOWN)), EXAMPLES_SHOWN)
    found = {}
    for name, why in left.items():
        if room.get(why, 0) > 0:
            room[why] -= 1
            found[printable(name)] = why
    return dict(sorted(found.items()))


def _first(names: list[str]) -> list[str]:
    """Return the first names, and in words how many others there are."""
    more = len(names) - EXAMPLES_SHOWN
    return [*names[:EXAMPLES_SHOWN], *([f"and {more} more"] if more > 0 else [])]


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
        self._disk = workplace.disk
        self._notifier, self._activity, self._observer = notifier, activity, observer

    def status(self) -> dict[str, Any]:
        """Return the content of status.json."""
        unclaimed = self._scanner.unclaimed()
        # The ctime is the time at which a file was moved into the inbox, or written to.
        oldest = min((facts.ctime_ns / 1e9 for facts in unclaimed), default=None)
        tickets = self._scanner.waiting_tickets()
        left = self._scanner.left
        return {
            **vars(self._activity()),
            "image_endings": list(self._scanner.image_endings),
            "mode": self._scanner.mode,
            "degraded": self._scanner.degraded,
            "waiting_tickets": {
                printable(name): _first(missing) for name, missing in list(tickets.items())[:TICKETS_SHOWN]
            },
            "waiting_tickets_count": len(tickets),
            "written": now(),
            "seen": self._accounting.seen,
            "in_inbox": len(self._accounting.in_inbox),
            "unclaimed": len(unclaimed),
            "oldest_unclaimed_seconds": 0.0 if oldest is None else round(max(0.0, time.time() - oldest), 3),
            "finished": dict(self._accounting.counts),
            "left": examples_of(left),
            "left_count": len(left),
            "left_reasons": dict(Counter(left.values()).most_common(REASONS_SHOWN)),
        }

    def write(self) -> None:
        """Write status.json, and pass its content on to the observer.

        Raises:
            OSError: the file cannot be written.
        """
        status = self.status()
        self._observer.status(status)
        path = self._spool.folder / "status.json"
        temporary = path.with_suffix(".tmp")
        text = json.dumps(displayable_values(status), indent=2, ensure_ascii=False)
        self._disk.write(temporary, text.encode("utf-8", errors="backslashreplace"))
        self._disk.rename(temporary, path)

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
