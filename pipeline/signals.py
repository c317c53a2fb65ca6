"""Signals: a request to stop at the next safe moment, and a request to scan the inbox again."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final, Self

from pipeline.errors import ExitCode, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

REPEAT_SECONDS: Final = 1.0
"""Seconds after a signal within which another one counts as the same: `timeout`, for instance, sends SIGTERM to its
child and at once to the group of the child."""


class StopRequest:
    """Turns Ctrl-C and SIGTERM into `Interrupted` at the next safe moment; a second signal ends the process at once.

    Signals within `REPEAT_SECONDS` count as one. The main thread enters the context and gets the signals; any thread
    may read `requested` and call `check`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.requested: ExitCode | None = None
        """Exit status of the process; None while no signal has come."""
        self.rescan = False
        """Whether SIGHUP has come; the thread that scans sets it back."""
        self._clock = clock
        self._requested_at = 0.0
        self._old_handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old_handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # a value that signal() returned

    def listen_for_rescan(self) -> None:
        """Treat SIGHUP, where the system has it, as a request to scan again; otherwise it would end the process."""
        if hasattr(signal, "SIGHUP"):
            self._old_handlers[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._request_rescan)

    def _request_rescan(self, _: int, __: FrameType | None) -> None:
        self.rescan = True

    def _request(self, number: int, _: FrameType | None) -> None:
        if self.requested is None:
            self.request(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
        elif self._clock() - self._requested_at >= REPEAT_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def request(self, code: ExitCode) -> None:
        """Ask for a stop with this exit status."""
        self.requested, self._requested_at = code, self._clock()

    def check(self, grace_seconds: float = 0.0) -> None:
        """Check whether to stop.

        Args:
            grace_seconds: seconds after the request during which the work may still continue.

        Raises:
            Interrupted: a stop was requested at least that long ago.
        """
        if self.requested is not None and self._clock() - self._requested_at >= grace_seconds:
            raise Interrupted(self.requested)
