"""Whether hints still come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.watch.inbox.events import Hint, Hints

INTERVAL_SECONDS: Final = 30.0
"""So often a file of our own is to come back as a hint."""
PATIENCE_SECONDS: Final = 4.0
"""So long that may take."""


class SignOfLife:
    """A file that is made in the inbox now and then, to see whether that is noticed."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self._disk = path, disk
        self.next_time = 0.0
        """When it is made again."""
        self._due: float | None = None

    def begin(self, now: float) -> None:
        """The first is made an interval from now."""
        self.next_time = now + INTERVAL_SECONDS

    def check(self, hints: Hints, hint: Hint, now: float) -> str:
        """Why hints cannot be relied on any more; empty as long as they can.

        Raises:
            OSError: the file cannot be made.
        """
        if not hints.is_alive():
            return "the threads that bring events have ended"
        if self._due is not None:
            if self.path in hint.paths:
                self.end()
            elif now > self._due:
                return "a file of our own was not noticed: events do not come any more"
        elif now >= self.next_time:
            self._disk.write(self.path, b"")
            self.next_time, self._due = now + INTERVAL_SECONDS, now + PATIENCE_SECONDS
        return ""

    def end(self) -> None:
        """Remove it."""
        if self._due is not None:
            self._due = None
            self.path.unlink(missing_ok=True)
