"""The watcher's listener, which its stage calls while a pair is on the device."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.signals import StopRequest
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)


class DeviceListener:
    """The stage's `Listener`: asks for a stop between evaluations, tells the observer, and notes that work goes on.

    The thread of the device calls `pair_started` and `evaluated`; the thread that renders calls `note_activity` while
    no pair is on the device, and `pair_left`. Any thread may read the attributes.
    """

    def __init__(
        self, stop_request: StopRequest, grace_seconds: float, observer: Observer, clock: Callable[[], float]
    ) -> None:
        """Give the pair in work `grace_seconds` after a stop is requested."""
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
            Interrupted: a stop was requested, and the time of grace is over.
        """
        self.note_activity()
        self._stop_request.check(self._grace_seconds)
        self._observer.evaluated(pair, evaluation)

    def pair_left(self, name: str | None = None) -> None:
        """Note that a pair has left the device; None: every pair has."""
        if name is None or self.pair_name == name:  # else the device has gone on to the next pair meanwhile
            self.pair_name = ""

    def note_activity(self) -> None:
        """Note that the thread that renders is alive; log a stop that was requested, once."""
        self._last_activity = self._clock()
        if self._stop_request.requested is not None and not self._stop_was_logged:
            self._stop_was_logged = True
            logger.warning(
                "Stopping: the pair in work is finished if that takes at most %g s, the others go back into the inbox. "
                "A second signal ends at once, and the next start goes on.",
                self._grace_seconds,
            )
