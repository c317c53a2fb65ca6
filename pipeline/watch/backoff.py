"""Waits after failures of the machine."""

from __future__ import annotations

import logging
from typing import Final

logger = logging.getLogger(__name__)

FIRST_SECONDS: Final = 0.5
"""Seconds of the first wait."""
LONGEST_SECONDS: Final = 60.0
"""Longest wait in seconds."""


class Backoff:
    """Waits after each failure of the machine, twice as long each time, until something succeeds.

    One thread calls `begin` and `end`; any thread may call `lasts` and read `reason`.
    """

    def __init__(self) -> None:
        self.reason = ""
        """Reason of the wait; empty after a success."""
        self._until = 0.0
        self._delay = FIRST_SECONDS

    def begin(self, reason: str, now: float) -> float:
        """Start a wait, and return its seconds. A reason is logged only if it differs from the last one."""
        if reason != self.reason:
            logger.error("Paused: %s", reason, extra={"event": "paused", "reason": reason})
        seconds = self._delay
        self.reason, self._until = reason, now + seconds
        self._delay = min(2 * seconds, LONGEST_SECONDS)
        return seconds

    def end(self) -> None:
        """End the wait, since something has succeeded."""
        if self.reason:
            logger.warning("Resumed after: %s", self.reason, extra={"event": "resumed", "reason": self.reason})
        self.reason, self._until, self._delay = "", 0.0, FIRST_SECONDS

    def lasts(self, now: float) -> bool:
        """Whether it is too early to try again."""
        return now < self._until
