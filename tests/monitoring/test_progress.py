"""Tests of the progress display that writes plain lines, and of the choice of a display."""

from __future__ import annotations

import errno
import io
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from pipeline.monitoring.progress import FailureDisplay, GuardedDisplay, LineDisplay, make_display
from pipeline.monitoring.progress_bars import RichDisplay
from pipeline.pair import Pair
from pipeline.run.observer import Observer
from pipeline.settings.pair_settings import PairSettings
from pipeline.transfer.styliser import Evaluation
from tests.monitoring.outcomes import ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.stage.task import Outcome

EVALUATIONS = 100


class Clock:
    """A clock that stands still until a test advances it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def pair(name: str = "night/kitten") -> Pair:
    settings = PairSettings.model_validate({"pyramid": {"evaluations": EVALUATIONS}})
    return Pair(Path("/kitten.png"), (Path("/swirl.png"),), "kitten.png", "swirl.png", name, settings)


def evaluation(number: int, total: float = 1234.5) -> Evaluation:
    return Evaluation(number, total, 1.0, 2.0, 3.0, number / EVALUATIONS, EVALUATIONS)


def outcome(name: str, failure: str | None) -> Outcome:
    return ended(pair(name), failure)


def render(display: Observer, *, failure: str | None = None, name: str = "night/kitten") -> None:
    """Show a display the events of one pair."""
    display.rendering_started(2)
    display.pair_started(pair(name))
    display.evaluated(pair(name), evaluation(7))
    display.outcome(outcome(name, failure))
    display.rendering_ended()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_come_every_30_seconds_and_at_the_end_of_a_pair(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay(clock)
    clock.now += 500  # the time of loading the weights belongs to no pair
    display.rendering_started(2)
    display.pair_started(pair())
    printed_at = []
    for number in range(1, EVALUATIONS + 1):
        clock.now += 1
        display.evaluated(pair(), evaluation(number))
        if capsys.readouterr().err:
            printed_at.append(number)
    assert printed_at == [30, 60, 90]
    display.outcome(outcome("night/kitten", None))
    assert capsys.readouterr().err.count("\n") == 1
    for second in (29, 30):  # the 30 seconds count from the last line of any kind
        clock.now += second - 29 or 29
        display.evaluated(pair("b"), evaluation(1))
        assert bool(capsys.readouterr().err) is (second == 30)


def test_a_line_says_how_far_the_run_is_and_the_pair(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay(clock)
    display.rendering_started(4)
    display.outcome(outcome("first", None))
    capsys.readouterr()
    clock.now += 60
    display.evaluated(pair(), evaluation(50, total=98765.4))
    err = capsys.readouterr().err
    for words in ("1.5/4", "night/kitten 50/100", "objective 9.877e+04", "01:00<01:40"):
        assert words in err


def test_pairs_on_several_devices_count_together(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay(clock)
    display.rendering_started(4)
    display.evaluated(pair("a"), evaluation(50))
    clock.now += 60
    display.evaluated(pair("b"), evaluation(75))
    assert "1.25/4" in capsys.readouterr().err
    display.outcome(outcome("a", None))
    assert "1.75/4" in capsys.readouterr().err


def test_a_pair_that_left_the_stage_counts_no_longer(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay(clock)
    display.rendering_started(2)
    for name in ("a", "b"):
        display.evaluated(pair(name), evaluation(EVALUATIONS // 2))
    display.pair_left("a")
    display.pair_left(None)
    display.outcome(outcome("c", None))
    assert " 1/2 " in capsys.readouterr().err


@pytest.mark.parametrize("failure", [None, "disk on fire"])
def test_lines_are_plain_text_for_logs(clock: Clock, capsys: pytest.CaptureFixture[str], failure: str | None) -> None:
    display = LineDisplay(clock)
    display.rendering_started(1)
    clock.now += 31
    display.evaluated(pair(), evaluation(3))
    display.outcome(outcome("night/kitten", failure))
    display.rendering_ended()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("\n")
    assert all(character == "\n" or character.isprintable() for character in captured.err)
    assert ("failed: night/kitten: disk on fire" in captured.err) is (failure is not None)
    assert ("night/kitten done" in captured.err) is (failure is None)


def test_never_shows_failures_only(capsys: pytest.CaptureFixture[str]) -> None:
    render(FailureDisplay())
    assert capsys.readouterr() == ("", "")
    render(FailureDisplay(), failure="no image")
    assert capsys.readouterr() == ("", "failed: night/kitten: no image\n")


def test_where_a_log_tells_of_failures_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    render(make_display("always", is_logged=True), failure="no image")
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


@pytest.mark.parametrize(
    ("mode", "stderr", "term", "kind"),
    [
        ("auto", Terminal, "xterm-256color", RichDisplay),
        ("auto", Terminal, "dumb", LineDisplay),
        ("auto", Terminal, "unknown", LineDisplay),
        ("auto", io.StringIO, "xterm-256color", LineDisplay),
        ("always", Terminal, "xterm-256color", RichDisplay),
        ("always", Terminal, "dumb", LineDisplay),
        ("always", io.StringIO, "xterm-256color", LineDisplay),
        ("never", Terminal, "xterm-256color", FailureDisplay),
        ("never", io.StringIO, "xterm-256color", FailureDisplay),
    ],
)
def test_bars_are_for_terminals_that_can_and_lines_for_the_rest(
    plain_environment: pytest.MonkeyPatch,
    mode: Literal["auto", "always", "never"],
    stderr: type[io.StringIO],
    term: str,
    kind: type,
) -> None:
    plain_environment.setattr(sys, "stderr", stderr())
    plain_environment.setenv("TERM", term)
    assert type(make_display(mode).display) is kind


def test_a_terminal_whose_encoding_lacks_the_characters_of_bars_gets_lines(
    plain_environment: pytest.MonkeyPatch,
) -> None:
    class Old(Terminal):
        encoding = "iso-8859-1"

    plain_environment.setattr(sys, "stderr", Old())
    assert type(make_display("auto").display) is LineDisplay


def test_a_pipe_gets_no_escape_codes_even_if_colour_is_forced(plain_environment: pytest.MonkeyPatch) -> None:
    plain_environment.setenv("FORCE_COLOR", "1")
    stderr = io.StringIO()
    plain_environment.setattr(sys, "stderr", stderr)
    render(make_display("auto"))
    assert "\x1b" not in stderr.getvalue()
    assert "night/kitten done" in stderr.getvalue()


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), ValueError("I/O operation on closed file")]
)
def test_work_goes_on_when_nobody_can_watch_any_more(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    shown: list[str] = []

    class Fragile(FailureDisplay):
        def outcome(self, outcome: Outcome) -> None:
            shown.append(outcome.pair.name)
            raise error

    display = GuardedDisplay(Fragile())
    display.rendering_started(None)
    for name in ("a", "b"):
        display.outcome(outcome(name, None))
    display.rendering_ended()
    assert shown == ["a"]
    assert [message for message in caplog.messages if "progress is no longer shown" in message] == caplog.messages
    assert len(caplog.messages) == 1


def test_a_display_is_called_by_one_thread_at_a_time() -> None:
    inside, met = threading.Lock(), []

    class Slow(Observer):
        def outcome(self, outcome: Outcome) -> None:
            if not inside.acquire(blocking=False):
                met.append(outcome)
                return
            threading.Event().wait(0.02)
            inside.release()

    display = GuardedDisplay(Slow())
    threads = [threading.Thread(target=display.outcome, args=(outcome("a", None),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []
