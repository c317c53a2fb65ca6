"""Waiting after the machine failed."""

from __future__ import annotations

import logging
from typing import Final

logger = logging.getLogger(__name__)

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 60.0


class Backoff:
    """After the machine failed: wait, twice as long each time, until something succeeds."""

    def __init__(self) -> None:
        self.reason = ""
        self._until = 0.0
        self._delay = FIRST_SECONDS

    def begin(self, reason: str, now: float) -> float:
        """Wait for so many seconds."""
        if reason != self.reason:
            logger.error("Paused: %s", reason, extra={"event": "paused", "reason": reason})
        seconds = self._delay
        self.reason, self._until = reason, now + seconds
        self._delay = min(2 * seconds, LONGEST_SECONDS)
        return seconds

    def end(self) -> None:
        """It works again."""
        if self.reason:
            logger.warning("Going on after: %s", self.reason, extra={"event": "resumed", "reason": self.reason})
        self.reason, self._until, self._delay = "", 0.0, FIRST_SECONDS

    def lasts(self, now: float) -> bool:
        """Whether it is too early to try again."""
        return now < self._until
