"""Keeps the report of an outbox up to date while pairs are rendered."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from pipeline.errors import LockedError, UsageError
from pipeline.run.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.run.observer import RunInfo
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome


REPORT_SECONDS: Final = 30.0
"""Shortest time in seconds between two updates."""
PAUSE_FACTOR: Final = 20.0
"""Shortest time between two updates, as a multiple of the time that the last one took.

The page has all results in it, so an update costs more the more results there are.
"""


class LiveReport(Observer):
    """Keeps OUTBOX/index.html up to date, in a thread of its own so that no pair waits for it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._root: Path | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._next = clock() + REPORT_SECONDS
        """Time from which on the next update may begin."""

    def started(self, info: RunInfo) -> None:
        """Remember the outbox."""
        self._root = info.outbox

    def outcome(self, outcome: Outcome) -> None:
        """Begin an update, unless one is running or the last one is recent."""
        del outcome
        busy = self._thread is not None and self._thread.is_alive()
        if busy or self._clock() < self._next:
            return
        self._thread = threading.Thread(target=self._update, name="report", daemon=True)
        self._thread.start()
        self._raise()

    def finished(self, summary: Summary) -> None:
        """Update the report for the last time."""
        del summary
        self._close()

    def aborted(self, error: BaseException) -> None:
        """Update the report for the last time, unless nothing was done, since a lock was held or the command wrong."""
        if not isinstance(error, LockedError | UsageError):
            self._close()

    def _close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._update()
        self._raise()

    def _update(self) -> None:
        begin = self._clock()
        try:
            from pipeline.outbox.report.update import update_report  # noqa: PLC0415 - slow to import

            if self._root is not None:
                update_report(self._root)
        except Exception as error:  # noqa: BLE001 - raised in the thread that calls the observer
            self._error = error
        end = self._clock()
        self._next = end + max(REPORT_SECONDS, PAUSE_FACTOR * (end - begin))

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
