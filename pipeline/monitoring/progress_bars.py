"""Progress on a terminal: a bar for each pair on a device, one for all pairs, and results above them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from pipeline.run.observer import Observer, explain_failure
from pipeline.text import duration, single_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from pipeline.pair import Pair
    from pipeline.stage.task import Outcome
    from pipeline.transfer.state import Evaluation

MAX_BARS: Final = 8
"""Largest number of pairs that are shown at once; a batch may have more."""
SPEED_SECONDS: Final = 300.0
"""Seconds of progress from which the remaining time is estimated."""
_STEPS: Final = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH: Final = 10
"""Width of the objective's curve, in characters."""


def curve(values: Sequence[float], width: int = _CURVE_WIDTH) -> str:
    """Return the course of positive values on a logarithmic scale, `width` characters at most; empty without values."""
    logarithms = [math.log(value) for value in values if value > 0 and math.isfinite(value)]
    if not logarithms:
        return ""
    count = min(width, len(logarithms))
    points = [logarithms[(index + 1) * len(logarithms) // count - 1] for index in range(count)]
    low, span = min(points), max(points) - min(points)
    steps = [round((point - low) / span * (len(_STEPS) - 1)) if span else 0 for point in points]
    return "".join(_STEPS[step] for step in steps)


@dataclass
class _Bar:
    """The bar of a pair on a device."""

    task: TaskID
    began: float
    totals: list[float]
    """Total of the objective at each evaluation."""
    share: float = 0.0
    """Fraction of the work that is done."""


class RichDisplay(Observer):
    """Shows bars for the pairs on the devices and for all pairs; lines for what is done or has failed stay above."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        name = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=name),  # a file may be named [draft]
            BarColumn(bar_width=10),
            TextColumn("{task.fields[count]}", justify="right", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(),
            _TimeLeft(Column(no_wrap=True)),
            _Note(Column(no_wrap=True)),
            console=console,
            transient=True,
            expand=True,
            speed_estimate_period=SPEED_SECONDS,
        )
        self._bars: dict[str, _Bar] = {}
        self._all = self._progress.add_task("all pairs", total=None, start=False, count="")
        self._total: int | None = None
        self._done = self._failed = 0

    def rendering_started(self, pairs: int | None) -> None:
        """Show the bar of all pairs."""
        self._set_total(pairs)
        self._progress.start_task(self._all)
        self._progress.start()

    def expected(self, pairs: int) -> None:
        """Set the number of pairs in all."""
        self._set_total(pairs)

    def _set_total(self, pairs: int | None) -> None:
        self._total = pairs
        self._progress.update(self._all, total=pairs)
        self._show_all()

    def pair_started(self, pair: Pair) -> None:
        """Add a bar, which is hidden while there are too many. A pair that is tried again gets a new one."""
        self._remove(pair.name)
        totals: list[float] = []
        visible = len(self._bars) < MAX_BARS
        task = self._progress.add_task(single_line(pair.name), total=1.0, count="", totals=totals, visible=visible)
        self._bars[pair.name] = _Bar(task, self._clock(), totals)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Advance the bar of the pair and that of all pairs."""
        if pair.name not in self._bars:  # a stop came before the pair's start was told
            self.pair_started(pair)
        bar = self._bars[pair.name]
        bar.totals.append(evaluation.total)
        bar.share = evaluation.share
        self._progress.update(bar.task, completed=evaluation.share, count=f"{evaluation.number}/{evaluation.planned}")
        self._show_all()

    def pair_left(self, name: str | None) -> None:
        """Remove the bar of a pair that will be tried again later."""
        names = [*self._bars] if name is None else [name]
        removed = [bar for bar in map(self._remove, names) if bar is not None]
        if removed:
            self._show_all()

    def _remove(self, name: str) -> _Bar | None:
        """Remove the bar of a pair, if it has one, and show another that was hidden."""
        bar = self._bars.pop(name, None)
        if bar is not None:
            self._progress.remove_task(bar.task)
            for other in list(self._bars.values())[:MAX_BARS]:
                self._progress.update(other.task, visible=True)
        return bar

    def outcome(self, outcome: Outcome) -> None:
        """Replace the bar of the pair by a line that stays above the bars."""
        name, failure = outcome.pair.name, explain_failure(outcome)
        bar = self._remove(name)
        took = "" if bar is None else f" in {duration(self._clock() - bar.began)}"
        self._done += not failure
        self._failed += bool(failure)
        self._show_all()
        self._console.print(
            single_line(f"failed: {name}: {failure}" if failure else f"done: {name}{took}"),
            markup=False,
            highlight=False,
            style="red" if failure else None,
        )

    def rendering_ended(self) -> None:
        """Remove the bars, and leave the terminal as it was."""
        self._progress.stop()

    def _show_all(self) -> None:
        finished = self._done + self._failed
        hidden = max(0, len(self._bars) - MAX_BARS)
        notes = [f"{self._failed} failed"] if self._failed else []
        notes += [f"{hidden} more in progress"] if hidden else []
        self._progress.update(
            self._all,
            completed=finished + sum(bar.share for bar in self._bars.values()),
            count=f"{finished}/{'?' if self._total is None else self._total}",
            note=", ".join(notes),
        )


class _Note(ProgressColumn):
    """Shows the objective of a pair, and for all pairs the number of failures and of pairs without a bar."""

    def render(self, task: Task) -> Text:
        totals = task.fields.get("totals")
        if totals is None:
            return Text(task.fields.get("note", ""))
        return Text(f"{curve(totals)} {totals[-1]:.3e}" if totals else "")


class _TimeLeft(ProgressColumn):
    """Shows the remaining time at the speed of the last minutes."""

    def render(self, task: Task) -> Text:
        seconds = task.time_remaining
        return Text(f"{duration(seconds)} left" if seconds else "")  # unknown at first, and 0 at the end
