from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipeline.console import Report
from pipeline.errors import ExitCode
from pipeline.intake.books import Balance
from pipeline.stage.usage import Usage
from pipeline.watch import WatchSummary


def summary(**counts: int) -> WatchSummary:
    every = dict.fromkeys(("seen", "done", "duplicate", "failed", "waiting", "in_inbox", "elsewhere"), 0)
    return WatchSummary(Balance(**{**every, **counts}, missing=()), 1.0, ExitCode.OK, Usage())


def test_work_goes_on_when_nobody_reads_stdout_any_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    def fail(text: str) -> None:
        said.append(text)
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("typer.echo", fail)
    report = Report(as_json=True)
    for _ in range(3):
        report.watch_summary(summary(), Path("out"), Path("failed"))
    assert len(said) == 1
    assert len(caplog.messages) == 1
    assert "Broken pipe" in caplog.messages[0]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "nothing to do; 1 s; results in out"),
        ({"seen": 3, "done": 1, "in_inbox": 2}, "3 seen, 1 done, 2 left in the inbox; 1 s"),
        ({"seen": 2, "waiting": 1, "elsewhere": 1}, "2 seen, 1 claimed, 1 taken by others; 1 s"),
    ],
)
def test_the_end_is_told_in_one_line(capsys: pytest.CaptureFixture[str], counts: dict[str, int], words: str) -> None:
    Report(as_json=False).watch_summary(summary(**counts), Path("out"), Path("failed"))
    assert capsys.readouterr().out.startswith(words)


def test_files_that_are_not_accounted_for_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    balance = Balance(2, 1, 0, 0, 0, 0, 0, missing=("sea/a.jpg",))
    assert not balance.is_even
    Report(as_json=False).watch_summary(
        WatchSummary(balance, 1.0, ExitCode.INTERNAL, Usage()), Path("out"), Path("failed")
    )
    assert "sea/a.jpg" in capsys.readouterr().err
