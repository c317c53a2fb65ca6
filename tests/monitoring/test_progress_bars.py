"""Tests of the progress display with bars on a terminal."""

from __future__ import annotations

import io
import math
import os
import pty
import re
import select
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from pipeline.monitoring.progress_bars import MAX_BARS, RichDisplay, curve
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.transfer.state import Evaluation
from tests.monitoring.outcomes import ended

if TYPE_CHECKING:
    from collections.abc import Iterator

EVALUATIONS = 100


def pair(name: str = "night/kitten") -> Pair:
    return Pair(Path("/kitten.png"), (Path("/swirl.png"),), "kitten.png", "swirl.png", name, PairSettings())


def evaluation(number: int, total: float = 1234.5) -> Evaluation:
    return Evaluation(number, total, 1.0, 2.0, 3.0, number / EVALUATIONS, EVALUATIONS)


class Screen:
    """A display whose current lines can be read."""

    def __init__(self, width: int = 100) -> None:
        self.file, self.now = io.StringIO(), 1000.0
        self.console = Console(file=self.file, force_terminal=True, width=width, color_system=None, _environ={})
        self.display = RichDisplay(self.console, lambda: self.now)

    def lines(self) -> list[str]:
        """Return the lines of the bars as they are now."""
        read = Console(file=io.StringIO(), width=self.console.width, color_system=None, _environ={})
        with read.capture() as capture:
            read.print(self.display._progress.get_renderable())
        return [line.rstrip() for line in capture.get().splitlines()]

    def printed(self) -> str:
        """Return everything that was written to the console so far."""
        return self.file.getvalue()


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    screen.display.rendering_ended()


def test_a_pair_has_a_line_with_its_evaluations_and_its_objective(screen: Screen) -> None:
    screen.display.rendering_started(2)
    screen.display.pair_started(pair())
    for number, total in enumerate((900.0, 600.0, 400.0, 200.0), 1):
        screen.display.evaluated(pair(), evaluation(number, total))
    everything, line = screen.lines()
    assert everything.startswith("all pairs")
    assert "0/2" in everything
    assert line.startswith("night/kitten")
    assert "4/100" in line
    assert line.endswith(f"{curve((900.0, 600.0, 400.0, 200.0))} 2.000e+02")


def test_what_is_over_stays_above_and_is_counted(screen: Screen) -> None:
    screen.display.rendering_started(3)
    for name, failure in (("a", None), ("b", "no image")):
        screen.display.pair_started(pair(name))
        screen.display.evaluated(pair(name), evaluation(EVALUATIONS))
        screen.now += 42
        screen.display.outcome(ended(pair(name), failure))
    (line,) = screen.lines()
    assert "2/3" in line
    assert line.endswith("1 failed")
    assert "done: a in 42 s\n" in screen.printed()
    assert "failed: b: no image\n" in screen.printed()


def test_a_pair_that_never_reached_the_device_is_counted_too(screen: Screen) -> None:
    screen.display.rendering_started(3)
    screen.display.outcome(ended(pair("a"), "no image"))
    assert "1/3" in screen.lines()[0]


def test_several_devices_have_a_line_for_each_pair_and_all_of_them_count(screen: Screen) -> None:
    screen.display.rendering_started(4)
    for name, number in (("a", 50), ("b", 75)):
        screen.display.pair_started(pair(name))
        screen.display.evaluated(pair(name), evaluation(number))
    assert [line.split()[0] for line in screen.lines()] == ["all", "a", "b"]
    task = screen.display._progress.tasks[0]
    assert task.completed == pytest.approx(1.25)
    screen.display.outcome(ended(pair("a"), None))
    assert task.completed == pytest.approx(1.75)


def test_a_pair_whose_beginning_was_not_told_is_shown_from_then_on(screen: Screen) -> None:
    screen.display.rendering_started(1)
    screen.display.evaluated(pair("late"), evaluation(5))
    assert "5/100" in screen.lines()[1]


def test_of_a_large_batch_some_are_shown_and_others_follow(screen: Screen) -> None:
    names = [f"p{number:02}" for number in range(MAX_BARS + 3)]
    screen.display.rendering_started(None)
    for name in names:
        screen.display.pair_started(pair(name))
    screen.display.evaluated(pair(names[-1]), evaluation(3))
    everything, *lines = screen.lines()
    assert [line.split()[0] for line in lines] == names[:MAX_BARS]
    assert everything.endswith("3 more in progress")
    assert "0/?" in everything
    screen.display.outcome(ended(pair(names[0]), None))
    assert [line.split()[0] for line in screen.lines()[1:]] == names[1 : MAX_BARS + 1]


def test_time_left_is_told_by_the_share_of_work_that_is_done(screen: Screen) -> None:
    screen.display._progress.get_time = lambda: screen.now
    screen.display.rendering_started(1)
    screen.display.pair_started(pair())
    assert "left" not in screen.lines()[1]
    for number in (20, 40):
        screen.display.evaluated(pair(), evaluation(number))
        screen.now += 60
    screen.display.evaluated(pair(), evaluation(60))
    assert "2 min left" in screen.lines()[1], "each 20 % of the work take a minute, and 40 % are left"
    screen.display.evaluated(pair(), evaluation(EVALUATIONS))
    assert "left" not in screen.lines()[1]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_shortens_names_and_breaks_no_line(width: int) -> None:
    screen = Screen(width)
    screen.display.rendering_started(10)
    name = "a-name-that-is-much-too-long-for-a-line-of-this-width__and-a-painting"
    screen.display.pair_started(pair(name))
    screen.display.evaluated(pair(name), evaluation(7))
    assert len(screen.lines()) == 2
    assert all(len(line) <= width for line in screen.lines())
    screen.display.rendering_ended()


@pytest.mark.parametrize("name", ["[draft] kitten", "a[/b]", "[red]x[/red]"])
def test_a_name_in_brackets_is_a_name_and_no_markup(name: str, screen: Screen) -> None:
    screen.display.rendering_started(1)
    screen.display.pair_started(pair(name))
    assert screen.lines()[1].startswith(name)
    screen.display.outcome(ended(pair(name), "why [/not]"))
    assert f"failed: {name}: why [/not]" in screen.printed()


def test_a_terminal_is_left_as_it_was(screen: Screen) -> None:
    screen.display.rendering_started(1)
    screen.display.pair_started(pair())
    screen.display.rendering_ended()
    shown = screen.printed()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0, "the cursor was hidden and is shown again"


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 10, ""),
        ([math.nan, math.inf, 0.0], 10, ""),
        ([5.0], 10, "▁"),
        ([7.0, 7.0, 7.0], 10, "▁▁▁"),
        ([100.0, 10.0, 1.0], 10, "█▅▁"),
        ([100.0, math.nan, 1.0], 10, "█▁"),
        ([2.0**-number for number in range(800)], 8, "█▇▆▅▄▃▂▁"),
    ],
)
def test_the_curve(values: list[float], width: int, drawn: str) -> None:
    assert curve(values, width) == drawn


SHOWS = """
    import sys, time
    from dataclasses import replace
    from pathlib import Path
    from pipeline.pair import Pair
    from pipeline.monitoring.progress import make_display  # noqa: PLC0415
    from pipeline.settings.pair_settings import PairSettings
    from pipeline.transfer.state import Evaluation
    from tests.monitoring.outcomes import ended

    pair = Pair(Path("/a.png"), (Path("/b.png"),), "a.png", "b.png", "a__b", PairSettings())
    display = make_display("auto")
    display.rendering_started(2)
    display.pair_started(pair)
    for number in range(1, 4):
        display.evaluated(pair, Evaluation(number, 100.0 / number, 1.0, 1.0, 1.0, number / 3, 3))
        time.sleep(0.1)
    display.outcome(ended(pair, None))
    display.outcome(ended(replace(pair, name="c__b"), "no image"))
    display.rendering_ended()
"""


def on_a_terminal(**environment: str) -> str:
    """Return what a process writes to stderr on a real terminal."""
    ours, theirs = pty.openpty()
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SHOWS)],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env={**keep, "COLUMNS": "100", **environment},
    )
    os.close(theirs)
    shown = b""
    begin = time.monotonic()
    while time.monotonic() - begin < 60:
        if not select.select([ours], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(ours, 65536)
        except OSError:  # the process has closed its end
            break
        shown += data
    os.close(ours)
    assert process.wait(10) == 0
    return shown.decode()


def colours(shown: str) -> list[str]:
    """Return the escape sequences that set a colour (SGR): 30 to 37, 90 to 97, or 38 with further values."""
    return re.findall(r"\x1b\[(?:\d+;)*(?:3\d|9\d)[;\dm]", shown)


@pytest.mark.parametrize(
    ("environment", "is_live", "is_coloured"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
    ids=["usual", "NO_COLOR", "dumb"],
)
def test_on_a_real_terminal(environment: dict[str, Any], *, is_live: bool, is_coloured: bool) -> None:
    shown = on_a_terminal(**environment)
    assert ("\x1b[" in shown) is is_live
    assert bool(colours(shown)) is is_coloured
    assert "a__b" in shown
    assert "failed: c__b: no image" in shown


def test_a_pair_that_is_tried_again_has_one_bar(screen: Screen) -> None:
    for _ in range(2):
        screen.display.pair_started(pair("again"))
    assert sum("again" in line for line in screen.lines()) == 1
    screen.display.outcome(ended(pair("again"), None))
    assert not any("again" in line for line in screen.lines())


def test_a_pair_that_left_the_stage_has_no_bar_until_it_is_tried_again(screen: Screen) -> None:
    for name in ("one", "two", "three"):
        screen.display.pair_started(pair(name))
    screen.display.pair_left("one")
    screen.display.pair_left("one")
    assert [name for name in ("one", "two", "three") if any(name in line for line in screen.lines())] == [
        "two",
        "three",
    ]
    screen.display.pair_left(None)
    assert not any(name in line for line in screen.lines() for name in ("two", "three"))
    screen.display.pair_started(pair("one"))
    assert sum("one" in line for line in screen.lines()) == 1
