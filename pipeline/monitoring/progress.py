"""What a person sees on stderr while it runs: rich on a terminal, elsewhere a line of tqdm's every 30 seconds."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from tqdm import tqdm

from pipeline.monitoring.progress_bars import RichDisplay

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair
    from pipeline.stage.listener import Display
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)

LINE_SECONDS = 30.0


def make_display(mode: Literal["auto", "always", "never"], *, is_logged: bool = False) -> GuardedDisplay:
    """`auto`: rich if stderr is a terminal that can move its cursor, else lines; nothing if a log tells it all."""
    if is_logged:
        return GuardedDisplay(SilentDisplay())
    if mode == "never":
        return GuardedDisplay(NoDisplay())
    console = Console(stderr=True)
    capable = sys.stderr.isatty() and not console.is_dumb_terminal
    return GuardedDisplay(RichDisplay(console) if capable else LineDisplay())


class GuardedDisplay:
    """Shows what another does until its terminal or pipe is gone; the work goes on without anybody watching."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self._is_gone = False

    def _show(self, show: Callable[[], None]) -> None:
        if self._is_gone:
            return
        try:
            show()
        except (OSError, ValueError) as error:  # a closed pipe; a closed file
            self._is_gone = True
            logger.warning("progress is shown no more: %s", error)

    def start(self, pairs: int | None) -> None:
        """See `Display`."""
        self._show(lambda: self.display.start(pairs))

    def expect(self, pairs: int) -> None:
        """See `Display`."""
        self._show(lambda: self.display.expect(pairs))

    def pair_started(self, pair: Pair) -> None:
        """See `Display`."""
        self._show(lambda: self.display.pair_started(pair))

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """See `Display`."""
        self._show(lambda: self.display.evaluated(pair, evaluation))

    def pair_finished(self, name: str, failure: str | None) -> None:
        """See `Display`."""
        self._show(lambda: self.display.pair_finished(name, failure))

    def stop(self) -> None:
        """See `Display`."""
        self._show(self.display.stop)


class SilentDisplay:
    """Shows nothing."""

    def start(self, pairs: int | None) -> None:
        """Nothing."""

    def expect(self, pairs: int) -> None:
        """Nothing."""

    def pair_started(self, pair: Pair) -> None:
        """Nothing."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Nothing."""

    def pair_finished(self, name: str, failure: str | None) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class NoDisplay(SilentDisplay):
    """Shows nothing but failures."""

    def pair_finished(self, name: str, failure: str | None) -> None:
        """A line for a failure."""
        if failure:
            print(f"failed: {name}: {failure}", file=sys.stderr, flush=True)  # noqa: T201


class LineDisplay(NoDisplay):
    """A plain line when a pair ends and every 30 seconds, for logs and pipes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total: int | None = 0
        self._finished = 0
        self._shares: dict[str, float] = {}
        """Of the work of each pair on a device, that is done."""
        self._begin = self._last = clock()

    def start(self, pairs: int | None) -> None:
        """Time runs from here."""
        self._total, self._begin, self._last = pairs, self._clock(), self._clock()

    def expect(self, pairs: int) -> None:
        """From now on."""
        self._total = pairs

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """A line, if the last one was long ago."""
        self._shares[pair.name] = evaluation.share
        if self._clock() - self._last >= LINE_SECONDS:
            self._line(f"{pair.name} {evaluation.number}/{evaluation.planned} objective {evaluation.total:.4g}")

    def pair_finished(self, name: str, failure: str | None) -> None:
        """A line."""
        super().pair_finished(name, failure)
        self._shares.pop(name, None)
        self._finished += 1
        self._line(f"{name} {'failed' if failure else 'done'}")

    def _line(self, text: str) -> None:
        self._last = self._clock()
        pairs = self._finished + sum(self._shares.values())
        meter = tqdm.format_meter(
            round(pairs, 2), self._total or 0, self._last - self._begin, ncols=0, unit="pair", postfix=text
        )
        print(meter, file=sys.stderr, flush=True)  # noqa: T201
