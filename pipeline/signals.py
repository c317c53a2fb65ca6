"""Signals: a request to stop at the next safe moment, and a request to look again."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Self

from pipeline.errors import ExitCode, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class StopRequest:
    """Turns Ctrl-C and SIGTERM into `Interrupted` at the next safe moment; a second signal ends the process at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.requested: ExitCode | None = None
        """What the process will exit with; None while no signal has come."""
        self.rescan = False
        """Whether SIGHUP has come; to be set back by whom it concerns."""
        self._clock = clock
        self._since = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave us

    def listen_for_rescan(self) -> None:
        """Take SIGHUP, where there is one, for the request to look again instead of the end."""
        if hasattr(signal, "SIGHUP"):
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._look_again)

    def _look_again(self, _: int, __: FrameType | None) -> None:
        self.rescan = True

    def _request(self, number: int, _: FrameType | None) -> None:
        self.request(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    def request(self, code: ExitCode) -> None:
        """Ask for a stop."""
        self.requested, self._since = code, self._clock()

    def check(self, grace_seconds: float = 0.0) -> None:
        """Raise `Interrupted` if a signal came so long ago."""
        if self.requested is not None and self._clock() - self._since >= grace_seconds:
            raise Interrupted(self.requested)
