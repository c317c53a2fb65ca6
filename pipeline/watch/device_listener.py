"""The listener of a watcher's stage, which the stage calls while a pair is on the device."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.signals import REPEAT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.signals import StopRequest
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)


class DeviceListener:
    """The stage's `Listener`: passes events on to the observer, ends the work if a stop was requested, notes activity.

    The thread that has the device calls `pair_started` and `evaluated`; with several devices, the thread that renders
    calls them. The thread that renders also calls `pair_left` and, while no pair is on the device, `note_activity`.
    Any thread may read the attributes.
    """

    def __init__(
        self, stop_request: StopRequest, grace_seconds: float, observer: Observer, clock: Callable[[], float]
    ) -> None:
        """Give the pair in progress `grace_seconds` after a stop is requested."""
        self._stop_request, self._grace_seconds = stop_request, grace_seconds
        self._observer, self._clock = observer, clock
        self.pair_name = ""
        """Name of the pair on the device; empty if there is none."""
        self._last_activity = float("-inf")
        self._stop_was_logged = False

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last sign that the thread that renders is alive."""
        return self._clock() - self._last_activity

    def check(self, *, in_progress: bool) -> None:
        """See `Listener`.

        Raises:
            Interrupted: a stop was requested.
        """
        self.note_activity()
        self._stop_request.check(self._grace_seconds if in_progress else 0.0)

    def pair_started(self, pair: Pair) -> None:
        """See `Listener`.

        Raises:
            Interrupted: a stop was requested.
        """
        self.note_activity()
        self._stop_request.check()
        self.pair_name = pair.name
        self._observer.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """See `Listener`.

        Raises:
            Interrupted: a stop was requested, and the period of grace is over.
        """
        self.note_activity()
        self._stop_request.check(self._grace_seconds)
        self._observer.evaluated(pair, evaluation)

    def pair_left(self, name: str | None = None) -> None:
        """Record that a pair has left the stage, perhaps to be tried again later; None: every pair has."""
        if name is None or self.pair_name == name:  # else the device has begun the next pair meanwhile
            self.pair_name = ""
        self._observer.pair_left(name)

    def note_activity(self) -> None:
        """Record that the thread that renders is alive; log a requested stop once."""
        self._last_activity = self._clock()
        if self._stop_request.requested is not None and not self._stop_was_logged:
            self._stop_was_logged = True
            logger.warning(
                "Stopping: the pair in progress is finished if that takes at most %g s, and the others are put back "
                "into the inbox. A second signal, at least %g s later, ends the process at once; the next start "
                "resumes its jobs.",
                self._grace_seconds,
                REPEAT_SECONDS,
            )
