"""Tests of hooks: small programs in Python and shell, as a user writes them."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pipeline.errors import ExitCode, ImageError, Interrupted, LockedError, UsageError
from pipeline.monitoring.hooks import Hooks
from pipeline.outbox.metadata import JobFailure
from pipeline.pair import Pair
from pipeline.run.observer import RunInfo
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.settings.run_settings import HooksSettings
from pipeline.stage.task import Outcome, Task, failure_of
from tests.faults.world import describe
from tests.monitoring.summaries import run_summary

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the hooks of these tests are for POSIX")

SUMMARY = run_summary(1, 0, 1, 0, seconds=2.0)
KEEP = "cat >> {told}; echo >> {told}"


def pair(name: str) -> Pair:
    return Pair(Path(f"/{name}.png"), (Path("/sea.png"),), f"{name}.png", "sea.png", name, PairSettings())


def done(name: str) -> Outcome:
    """Return the outcome of a published pair."""
    task = Task(pair(name), 1, None)
    return Outcome(task, describe(task, b"photo", b"style", b"picture"))


def failed(name: str) -> Outcome:
    """Return the outcome of a failed pair."""
    task = Task(pair(name), 1, None)
    error = ImageError("it is no picture.", "Use another.")
    return Outcome(task, failure_of(task, error), error)


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time that a hook has to end after a signal."""
    monkeypatch.setattr("pipeline.monitoring.hooks.TERMINATION_SECONDS", 0.1)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Return the path of the file to which the hooks write their messages."""
    return tmp_path / "told"


@pytest.fixture
def begin(tmp_path: Path, told: Path) -> Callable[..., Hooks]:
    """Return a function that makes hooks from lines of shell, and passes them the start of a run."""

    def make(*, grace_seconds: float = 5.0, max_waiting: int = 1000, **settings: Any) -> Hooks:
        for name in ("on_pair", "on_finish"):
            if name in settings:
                settings[name] = ("sh", "-c", settings[name].format(told=told))
        hooks = Hooks(HooksSettings(**settings), grace_seconds, max_waiting)
        hooks.started(RunInfo("run", Path("/night.csv"), tmp_path / "out", Settings()))
        return hooks

    return make


def messages(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()]


def test_hooks_are_told_all_in_order_as_json(begin: Callable[..., Hooks], told: Path, tmp_path: Path) -> None:
    hooks = begin(on_pair=KEEP, on_finish=KEEP)
    good, bad = done("a"), failed("b")
    hooks.outcome(good)
    hooks.outcome(bad)
    job = JobFailure(
        job="j", files=("x.csv",), error_class="input", reason="no", remedy="do", attempts=1, failed="2026-01-01"
    )
    hooks.failed_job(job)
    hooks.finished(SUMMARY)
    first, second, third, end = messages(told)
    out = tmp_path / "out"
    assert first == {
        "event": "pair",
        **good.record.model_dump(mode="json"),
        "paths": {"picture": str(out / "a.png"), "metadata": str(out / "a.png.json")},
    }
    assert (second["status"], second["reason"]) == ("failed", "it is no picture.")
    assert second["paths"] == {"metadata": str(out / "failed/b.json")}
    assert (third["event"], third["files"]) == ("job", ["x.csv"])
    assert end == {
        "event": "finish",
        "command": "run",
        "source": "/night.csv",
        "outbox": str(out),
        **SUMMARY.describe(),
    }
    assert (hooks.failed, hooks.left_out) == (0, 0)


def test_after_an_error_on_finish_is_told_what_is_known(begin: Callable[..., Hooks], told: Path) -> None:
    hooks = begin(on_finish=KEEP)
    hooks.outcome(done("a"))
    hooks.aborted(ImageError("gone.", "Look."))
    (end,) = messages(told)
    assert (end["done"], end["exit_code"], end["reason"]) == (1, 3, "gone. Look.")


def test_one_that_had_no_turn_tells_nobody(begin: Callable[..., Hooks], told: Path) -> None:
    begin(on_finish=KEEP).aborted(LockedError("another drain works on this inbox."))
    assert not told.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [("exit 3", "ended with exit code 3"), ("kill -KILL $$", "was ended by Killed"), ("exec no-such", "exit code 127")],
)
def test_one_that_fails_is_a_warning_and_counted(
    begin: Callable[..., Hooks], caplog: pytest.LogCaptureFixture, line: str, words: str
) -> None:
    hooks = begin(on_pair=line)
    hooks.outcome(done("a"))
    hooks.finished(SUMMARY)
    assert hooks.failed == 1
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert words in record.message
    assert "on_pair of a" in record.message


def test_what_a_hook_prints_is_logged_plain_and_not_without_end(
    begin: Callable[..., Hooks], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    hooks = begin(on_pair="echo sent; printf '\\033[31mred' >&2; yes | head -c 30000")
    hooks.outcome(done("a"))
    hooks.finished(SUMMARY)
    assert "on_pair: sent" in caplog.messages
    assert not any("\x1b" in message for message in caplog.messages)
    assert any("red" in message for message in caplog.messages)
    assert caplog.messages[-1].endswith("bytes more.")
    assert sum(map(len, caplog.messages)) < 100_000
    assert capfd.readouterr() == ("", "")


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(
    begin: Callable[..., Hooks], caplog: pytest.LogCaptureFixture, told: Path
) -> None:
    hooks = begin(on_pair="trap '' TERM; sleep 60 & echo $! > {told}; wait; sleep 60", timeout_seconds=0.3)
    hooks.outcome(done("a"))
    hooks.finished(SUMMARY)
    assert hooks.failed == 1
    assert "hooks.timeout_seconds = 0.3" in caplog.text
    child = int(told.read_text())
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.02)
    else:
        pytest.fail("what it had started is still there")


def test_the_device_does_not_wait_for_slow_hooks(begin: Callable[..., Hooks], caplog: pytest.LogCaptureFixture) -> None:
    hooks = begin(on_pair="sleep 0.3", max_waiting=1)
    start = time.monotonic()
    for name in ("a", "b", "c", "d"):
        hooks.outcome(done(name))
    assert time.monotonic() - start < 0.25
    hooks.finished(SUMMARY)
    assert hooks.failed == 0
    assert hooks.left_out >= 2
    assert caplog.text.count("is left out: 1 calls are waiting") == hooks.left_out


@pytest.mark.parametrize("has_summary", [False, True])
def test_after_a_signal_hooks_have_the_time_of_grace(
    begin: Callable[..., Hooks], caplog: pytest.LogCaptureFixture, told: Path, *, has_summary: bool
) -> None:
    hooks = begin(on_pair="echo {told} > {told}; sleep 60", on_finish="exit 0", grace_seconds=0.3)
    for name in ("a", "b"):
        hooks.outcome(done(name))
    start = time.monotonic()
    if has_summary:

        class Watched:
            def describe(self) -> dict[str, int]:
                return {"exit_code": 143}

        hooks.finished(Watched())  # type: ignore[arg-type]
    else:
        hooks.aborted(Interrupted(ExitCode.TERMINATED))
    assert 0.3 <= time.monotonic() - start < 10
    assert told.exists(), "the hook was started"
    assert (hooks.failed, hooks.left_out) == (1, 2)
    assert "2 hooks are left out" in caplog.text


def test_a_signal_while_only_hooks_are_at_work_has_its_exit_code(begin: Callable[..., Hooks], told: Path) -> None:
    hooks = begin(on_pair="touch {told}; sleep 60", grace_seconds=0.1)
    hooks.outcome(done("a"))

    def send() -> None:
        while not told.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    threading.Timer(0.05, sender.start).start()
    with pytest.raises(Interrupted) as raised:
        hooks.finished(SUMMARY)
    sender.join()
    assert raised.value.code is ExitCode.TERMINATED
    assert hooks.failed == 1


def test_a_program_that_is_not_there_is_refused_at_the_start() -> None:
    with pytest.raises(UsageError, match=r"hooks\.on_finish: there is no program 'no-such-program'"):
        Hooks(HooksSettings(on_finish=("no-such-program", "x")), 1.0)


def test_a_program_that_goes_away_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "tell"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    hooks = Hooks(HooksSettings(on_pair=(str(program),)), 1.0)
    program.unlink()
    hooks.started(RunInfo("run", Path("/night.csv"), tmp_path, Settings()))
    hooks.outcome(done("a"))
    hooks.finished(SUMMARY)
    assert hooks.failed == 1
    assert "could not be run" in caplog.text


def test_a_defect_of_the_thread_comes_out_at_the_end(
    begin: Callable[..., Hooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise TypeError("not a call")

    monkeypatch.setattr("pipeline.monitoring.hooks.Runner._execute", fail)
    hooks = begin(on_pair="exit 0")
    hooks.outcome(done("a"))
    with pytest.raises(TypeError, match="not a call"):
        hooks.finished(SUMMARY)
