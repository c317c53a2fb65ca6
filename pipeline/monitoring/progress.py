"""Progress on stderr while a command works: bars on a terminal, elsewhere a line of tqdm every 30 seconds."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Console
from tqdm import tqdm

from pipeline.monitoring.progress_bars import RichDisplay
from pipeline.run.observer import Observer, explain_failure
from pipeline.text import single_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair
    from pipeline.stage.task import Outcome
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)

LINE_SECONDS: Final = 30.0
"""Seconds between two lines while a pair is on a device."""


def make_display(mode: Literal["auto", "always", "never"], *, is_logged: bool = False) -> GuardedDisplay:
    """Return the display for stderr.

    Args:
        mode: `never` shows failures only. Else bars if stderr is a terminal that can show them, and lines if not.
        is_logged: show nothing, since stderr has a log that says everything.
    """
    if is_logged:
        return GuardedDisplay(Observer())
    if mode == "never":
        return GuardedDisplay(FailureDisplay())
    console = Console(stderr=True)
    shows_bars = sys.stderr.isatty() and not console.is_dumb_terminal and not console.options.ascii_only
    return GuardedDisplay(RichDisplay(console) if shows_bars else LineDisplay())


class GuardedDisplay(Observer):
    """Passes events on to a display until its terminal or pipe is gone; then the work continues without a display.

    Several threads may call it; it calls the display from one thread at a time.
    """

    def __init__(self, display: Observer) -> None:
        self.display = display
        self._is_gone = False
        self._lock = threading.Lock()

    def _show(self, show: Callable[[], None]) -> None:
        with self._lock:
            if self._is_gone:
                return
            try:
                show()
            except (OSError, ValueError) as error:  # a closed pipe; a closed file
                self._is_gone = True
                logger.warning("progress is no longer shown: %s", error)

    def expected(self, pairs: int) -> None:
        """See `Observer`."""
        self._show(lambda: self.display.expected(pairs))

    def rendering_started(self, pairs: int | None) -> None:
        """See `Observer`."""
        self._show(lambda: self.display.rendering_started(pairs))

    def pair_started(self, pair: Pair) -> None:
        """See `Observer`."""
        self._show(lambda: self.display.pair_started(pair))

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """See `Observer`."""
        self._show(lambda: self.display.evaluated(pair, evaluation))

    def pair_left(self, name: str | None) -> None:
        """See `Observer`."""
        self._show(lambda: self.display.pair_left(name))

    def outcome(self, outcome: Outcome) -> None:
        """See `Observer`."""
        self._show(lambda: self.display.outcome(outcome))

    def rendering_ended(self) -> None:
        """See `Observer`."""
        self._show(self.display.rendering_ended)


class FailureDisplay(Observer):
    """Prints only failures."""

    def outcome(self, outcome: Outcome) -> None:
        """Print a line for a failure."""
        failure = explain_failure(outcome)
        if failure:
            text = single_line(f"failed: {outcome.pair.name}: {failure}")
            print(text, file=sys.stderr, flush=True)  # noqa: T201


class LineDisplay(FailureDisplay):
    """Prints a plain line when a pair ends, and every 30 seconds in between, for logs and pipes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total: int | None = 0
        self._finished = 0
        self._shares: dict[str, float] = {}
        """Fraction of the work that is done, by name of each pair on a device."""
        self._begin = self._last_line = clock()

    def rendering_started(self, pairs: int | None) -> None:
        """Start the clock whose time the lines show."""
        self._total, self._begin, self._last_line = pairs, self._clock(), self._clock()

    def expected(self, pairs: int) -> None:
        """Set the number of pairs in all."""
        self._total = pairs

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Print a line if the last one is 30 seconds old."""
        self._shares[pair.name] = evaluation.share
        if self._clock() - self._last_line >= LINE_SECONDS:
            self._print(f"{pair.name} {evaluation.number}/{evaluation.planned} objective {evaluation.total:.4g}")

    def pair_left(self, name: str | None) -> None:
        """Count the pair's work no longer."""
        for each in [*self._shares] if name is None else [name]:
            self._shares.pop(each, None)

    def outcome(self, outcome: Outcome) -> None:
        """Print a line, and for a failure one more."""
        super().outcome(outcome)
        name = outcome.pair.name
        self._shares.pop(name, None)
        self._finished += 1
        self._print(f"{name} {'failed' if explain_failure(outcome) else 'done'}")

    def _print(self, text: str) -> None:
        self._last_line = self._clock()
        pairs = self._finished + sum(self._shares.values())
        meter = tqdm.format_meter(
            round(pairs, 2), self._total or 0, self._last_line - self._begin, ncols=0, unit="pair", postfix=text
        )
        print(single_line(meter), file=sys.stderr, flush=True)  # noqa: T201
