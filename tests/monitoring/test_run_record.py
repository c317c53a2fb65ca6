"""Tests of the record of a run, and of the report that is updated while it runs."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ExitCode, Interrupted, LockedError
from pipeline.monitoring.live_report import REPORT_SECONDS, LiveReport
from pipeline.monitoring.run_record import WRITE_SECONDS, RunRecorder
from pipeline.outbox.report import update
from pipeline.outbox.run_records import RunRecord, read_runs, write_run
from pipeline.run.observer import RunInfo
from pipeline.run.plan import Action
from pipeline.settings.all_settings import validate
from tests.monitoring.summaries import run_summary

SUMMARY = run_summary(3, 0, 1, 0)


class Clock:
    """A clock that shows the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def work(root: Path, **changes: Any) -> RunInfo:
    settings = validate({"image": {"size": 99}, "preset": "luminance"})
    return RunInfo(
        **{"command": "run", "source": Path("/night.csv"), "outbox": root, "settings": settings, "pairs": 5, **changes}
    )


def outcome(status: str) -> Any:
    """Return the outcome of a pair with a status."""
    return SimpleNamespace(record=SimpleNamespace(status=status))


def the_only(root: Path) -> RunRecord:
    """Return the only run record of an outbox."""
    (record,) = read_runs(root)
    return record


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_run_is_recorded_from_its_start(tmp_path: Path, clock: Clock) -> None:
    RunRecorder(clock).started(work(tmp_path, spool=Path("/spool")))
    record = the_only(tmp_path)
    assert (record.command, record.source, record.spool) == ("run", "/night.csv", "/spool")
    assert (record.preset, record.settings["image"]["size"], record.pairs) == ("luminance", 99, 5)
    assert (record.state, record.is_alive, record.counts) == ("running", True, {"waiting": 5})


def test_everything_is_counted_and_written_every_few_seconds(tmp_path: Path, clock: Clock) -> None:
    recorder = RunRecorder(clock)
    recorder.started(work(tmp_path, pairs=9))
    for action in (Action.SKIP, Action.STILL_FAILED, Action.WAIT):
        recorder.planned(SimpleNamespace(action=action))  # type: ignore[arg-type]
    recorder.outcome(outcome("done"))
    recorder.outcome(outcome("failed"))
    recorder.duplicate(SimpleNamespace())  # type: ignore[arg-type]
    assert the_only(tmp_path).counts == {"waiting": 9}, "the record is not written again at once"
    clock.now += WRITE_SECONDS
    recorder.failed_job(SimpleNamespace())  # type: ignore[arg-type]
    assert the_only(tmp_path).counts == {"done": 1, "skipped": 2, "failed": 3, "waiting": 3}


def test_what_a_watcher_is_at_is_recorded(tmp_path: Path, clock: Clock) -> None:
    recorder = RunRecorder(clock)
    recorder.started(work(tmp_path, command="watch", pairs=None))
    clock.now += WRITE_SECONDS
    recorder.status({"on_device": "sea/cat", "state": "paused", "reason": "disk full"})
    record = the_only(tmp_path)
    assert (record.on_device, record.state, record.reason, record.counts) == (["sea/cat"], "paused", "disk full", {})


def test_the_end_is_recorded_with_its_exit_code(tmp_path: Path, clock: Clock) -> None:
    recorder = RunRecorder(clock)
    recorder.started(work(tmp_path))
    recorder.finished(SUMMARY)
    record = the_only(tmp_path)
    assert (record.state, record.exit_code, record.is_alive) == ("ended", 3, False)


def test_an_end_by_a_signal_says_why(tmp_path: Path, clock: Clock) -> None:
    recorder = RunRecorder(clock)
    recorder.started(work(tmp_path))
    recorder.aborted(Interrupted(ExitCode.TERMINATED))
    record = the_only(tmp_path)
    assert (record.state, record.exit_code) == ("ended", 143)
    assert record.reason.startswith("Interrupted.")


def test_one_that_had_no_turn_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    recorder = RunRecorder(clock)
    recorder.started(work(tmp_path))
    recorder.aborted(LockedError("another run has it."))
    assert read_runs(tmp_path) == []


def test_the_record_of_one_that_is_at_work_is_kept(tmp_path: Path, clock: Clock) -> None:
    RunRecorder(clock).started(work(tmp_path))
    other = the_only(tmp_path).model_copy(update={"pid": 1})  # process 1 (init) always exists
    write_run(tmp_path, other)
    late = RunRecorder(clock)
    late.started(work(tmp_path))
    late.aborted(LockedError("another run has it."))
    assert the_only(tmp_path) == other


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    made: list[Path] = []
    monkeypatch.setattr(update, "update_report", made.append)
    return made


def test_the_report_is_written_now_and_then_and_at_the_end(tmp_path: Path, clock: Clock, updates: list[Path]) -> None:
    report = LiveReport(clock)
    report.started(work(tmp_path))
    report.outcome(outcome("done"))
    assert updates == []
    for _ in range(2):
        clock.now += REPORT_SECONDS
        report.outcome(outcome("done"))
        assert report._thread is not None
        report._thread.join()
        report.outcome(outcome("done"))
    assert updates == [tmp_path] * 2
    report.finished(SUMMARY)
    assert updates == [tmp_path] * 3
    report.aborted(Interrupted(ExitCode.TERMINATED))
    assert updates == [tmp_path] * 4


def test_no_pair_waits_for_a_report(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    made: list[Path] = []

    def slow(root: Path) -> None:
        assert goes_on.wait(30)
        made.append(root)

    monkeypatch.setattr(update, "update_report", slow)
    report = LiveReport(clock)
    report.started(work(tmp_path))
    for _ in range(3):
        clock.now += REPORT_SECONDS
        report.outcome(outcome("done"))
    assert made == []
    goes_on.set()
    report.finished(SUMMARY)
    assert made == [tmp_path] * 2, "the report is updated once during the work and once at its end"


def test_what_a_report_fails_by_is_told(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(update, "update_report", fail)
    report = LiveReport(clock)
    report.started(work(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        report.finished(SUMMARY)
