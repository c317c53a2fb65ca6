"""Tests of the lines on stdout during a run and at its end."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cli.setup import say_error
from pipeline.errors import ExitCode, StorageError
from pipeline.monitoring.console import ConsoleObserver
from pipeline.pair import Pair
from pipeline.run.observer import RunInfo
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.task import Outcome, Task
from pipeline.watch.spool.accounting import Balance
from tests.faults.world import describe
from tests.monitoring.summaries import run_summary, watcher_summary

RUN = RunInfo("run", Path("/night.csv"), Path("/out"), Settings(), pairs=1)
DRAIN = replace(RUN, command="drain", source=Path("/inbox"), pairs=None, spool=Path("/inbox/.impasto"))


def report_of(work: RunInfo, **options: Any) -> ConsoleObserver:
    """Return an observer of the console that has heard of the start of a run."""
    report = ConsoleObserver(**{"as_json": False, **options})
    report.started(work)
    return report


def rendered(*warnings: str) -> Outcome:
    """Return the outcome of a published pair with warnings."""
    pair = Pair(Path("/a.png"), (Path("/sea.png"),), "a.png", "sea.png", "a", PairSettings())
    task = Task(pair, 1, None)
    record = describe(task, b"photo", b"style", b"picture")
    return Outcome(task, record.model_copy(update={"warnings": list(warnings)}))


def test_work_goes_on_when_nobody_reads_stdout_any_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    def fail(text: str) -> None:
        said.append(text)
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("pipeline.monitoring.console.print_result", fail)
    report = report_of(DRAIN, as_json=True)
    for _ in range(3):
        report.finished(watcher_summary())
    assert len(said) == 1
    assert len(caplog.messages) == 1
    assert "Broken pipe" in caplog.messages[0]


def test_an_error_reaches_people_though_nobody_reads_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("pipeline.monitoring.console.print_result", fail)
    say_error(StorageError("the disk is full.", "Free some."), ExitCode.ENVIRONMENT, as_json=True)
    assert capsys.readouterr().err == "impasto: the disk is full.\nFree some.\n"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "nothing to do; 1 s; results in /out"),
        ({"seen": 3, "done": 1, "in_inbox": 2}, "3 seen, 1 done, 2 left in the inbox; 1 s"),
        ({"seen": 2, "waiting": 1, "elsewhere": 1}, "2 seen, 1 claimed, 1 taken by others; 1 s"),
    ],
)
def test_the_end_is_told_in_one_line(capsys: pytest.CaptureFixture[str], counts: dict[str, int], words: str) -> None:
    report_of(DRAIN).finished(watcher_summary(**counts))
    assert capsys.readouterr().out.startswith(words)


def test_failures_say_where_the_reasons_are(capsys: pytest.CaptureFixture[str]) -> None:
    for work, end in ((RUN, run_summary(0, 0, 1, 0)), (DRAIN, watcher_summary(seen=1, failed=1))):
        report_of(work).finished(end)
    assert capsys.readouterr().err.splitlines() == [
        "Reasons and remedies are in /out/failed.",
        "Reasons and remedies are in /inbox/.impasto/failed.",
    ]


def test_files_that_are_not_accounted_for_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Balance(2, 1, 0, 0, 0, 0, 0, missing=("sea/a.jpg",)).is_even
    report_of(DRAIN).finished(watcher_summary(ExitCode.INTERNAL, ("sea/a.jpg",), seen=2, done=1))
    assert "sea/a.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("warnings", "failed", "left_out", "words"),
    [
        (["no profile"], 0, 0, "1 rendered, with 1 warning;"),
        (["no profile", "no room"], 1, 0, "1 rendered, with 2 warnings, 1 hook failed;"),
        ([], 2, 3, "1 rendered, 2 hooks failed, 3 hooks left out;"),
        ([], 0, 0, "1 rendered;"),
    ],
)
def test_what_was_not_as_it_should_be_is_in_the_closing_line(
    capsys: pytest.CaptureFixture[str], warnings: list[str], failed: int, left_out: int, words: str
) -> None:
    for as_json in (False, True):
        hooks: Any = SimpleNamespace(failed=failed, left_out=left_out)
        report = report_of(RUN, as_json=as_json, hooks=hooks)
        report.outcome(rendered(*warnings))
        report.finished(run_summary(1, 0, 0, 0))
        out, err = capsys.readouterr()
        assert err.splitlines() == [f"warning: a: {warning}" for warning in warnings]
        if as_json:
            counts = {"warnings": len(warnings), "hooks_failed": failed, "hooks_left_out": left_out, "rendered": 1}
            assert counts.items() <= json.loads(out.splitlines()[-1]).items()
        else:
            assert out.startswith(words)


def test_a_quiet_report_leaves_stderr_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    report = ConsoleObserver(as_json=False, is_quiet=True)
    report.started(replace(DRAIN, command="watch"))
    outcome = rendered("no profile")
    report.outcome(outcome)
    report.duplicate(outcome.pair)
    report.finished(watcher_summary(seen=1, failed=1))
    out, err = capsys.readouterr()
    assert err == ""
    assert "1 seen, 1 failed, with 1 warning" in out
