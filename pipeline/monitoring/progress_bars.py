"""What a person sees on a terminal: a line for each pair on a device, one for all, and results as they come."""

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

from pipeline.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from pipeline.pair import Pair
    from pipeline.transfer.state import Evaluation

MOST_LINES: Final = 8
"""Pairs that are shown at once; a batch may have more."""
SPEED_SECONDS: Final = 300.0
"""By whose course the time that is left is told."""
_STEPS: Final = "▁▂▃▄▅▆▇█"
_CURVE: Final = 10
"""Characters of the objective's curve."""


def curve(values: Sequence[float], width: int = _CURVE) -> str:
    """The course of positive values, on a logarithmic scale, in so many characters at most; empty if there are none."""
    known = [math.log(value) for value in values if value > 0 and math.isfinite(value)]
    if not known:
        return ""
    count = min(width, len(known))
    points = [known[(index + 1) * len(known) // count - 1] for index in range(count)]
    low, span = min(points), max(points) - min(points)
    steps = [round((point - low) / span * (len(_STEPS) - 1)) if span else 0 for point in points]
    return "".join(_STEPS[step] for step in steps)


@dataclass
class _Line:
    """Of a pair on a device."""

    task: TaskID
    began: float
    totals: list[float]
    """Of the objective, at each evaluation."""
    share: float = 0.0


class RichDisplay:
    """Bars for the pairs on the devices and for all of them; what is done, or has failed, stays above."""

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
        self._lines: dict[str, _Line] = {}
        self._all = self._progress.add_task("all pairs", total=None, start=False, count="")
        self._total: int | None = None
        self._done = self._failed = 0

    def start(self, pairs: int | None) -> None:
        """Show the overall bar."""
        self.expect(pairs)
        self._progress.start_task(self._all)
        self._progress.start()

    def expect(self, pairs: int | None) -> None:
        """From now on."""
        self._total = pairs
        self._progress.update(self._all, total=pairs)
        self._show_all()

    def pair_started(self, pair: Pair) -> None:
        """A line for it; of a large batch the first ones are shown."""
        totals: list[float] = []
        visible = len(self._lines) < MOST_LINES
        task = self._progress.add_task(pair.name, total=1.0, count="", totals=totals, visible=visible)
        self._lines[pair.name] = _Line(task, self._clock(), totals)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Advance its bar and that of all."""
        if pair.name not in self._lines:  # its beginning was not told, since a stop came between
            self.pair_started(pair)
        line = self._lines[pair.name]
        line.totals.append(evaluation.total)
        line.share = evaluation.share
        self._progress.update(line.task, completed=evaluation.share, count=f"{evaluation.number}/{evaluation.planned}")
        self._show_all()

    def pair_finished(self, name: str, failure: str | None) -> None:
        """A line that stays above the bars."""
        line = self._lines.pop(name, None)
        took = ""
        if line is not None:
            self._progress.remove_task(line.task)
            took = f" in {duration(self._clock() - line.began)}"
            for other in list(self._lines.values())[:MOST_LINES]:
                self._progress.update(other.task, visible=True)
        self._done += not failure
        self._failed += bool(failure)
        self._show_all()
        self._console.print(
            f"failed: {name}: {failure}" if failure else f"done: {name}{took}",
            markup=False,
            highlight=False,
            style="red" if failure else None,
        )

    def stop(self) -> None:
        """Remove the bars."""
        self._progress.stop()

    def _show_all(self) -> None:
        finished = self._done + self._failed
        hidden = max(0, len(self._lines) - MOST_LINES)
        notes = [f"{self._failed} failed"] if self._failed else []
        notes += [f"{hidden} more at work"] if hidden else []
        self._progress.update(
            self._all,
            completed=finished + sum(line.share for line in self._lines.values()),
            count=f"{finished}/{'?' if self._total is None else self._total}",
            note=", ".join(notes),
        )


class _Note(ProgressColumn):
    """Of a pair its objective, of all pairs what else is to be known."""

    def render(self, task: Task) -> Text:
        totals = task.fields.get("totals")
        if totals is None:
            return Text(task.fields.get("note", ""))
        return Text(f"{curve(totals)} {totals[-1]:.3e}" if totals else "")


class _TimeLeft(ProgressColumn):
    """By the speed of the last minutes."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text(f"{duration(left)} left" if left else "")  # neither known, nor over
