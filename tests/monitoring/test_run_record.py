"""Tests of the record of a run, and of the report that is updated while it runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ExitCode, ImpastoError, Interrupted, LockedError, UsageError, WeightsError
from pipeline.monitoring.live_report import PAUSE_FACTOR, REPORT_SECONDS, LiveReport
from pipeline.monitoring.run_record import RunRecorder
from pipeline.outbox.report import update
from pipeline.outbox.run_records import RunRecord, read_runs, write_run
from pipeline.run.observer import RunInfo
from pipeline.run.plan import Action
from pipeline.settings.all_settings import validate
from pipeline.text import now
from tests.monitoring.summaries import run_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def pair(name: str) -> Any:
    return SimpleNamespace(name=name)


def outcome(status: str, name: str = "a") -> Any:
    """Return the outcome of a pair with a status."""
    return SimpleNamespace(pair=pair(name), record=SimpleNamespace(status=status))


def the_only(root: Path) -> RunRecord:
    """Return the only run record of an outbox."""
    (record,) = read_runs(root)
    return record


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    (tmp_path / ".impasto").mkdir()
    return tmp_path


@pytest.fixture
def recorder(outbox: Path) -> Iterator[RunRecorder]:
    """Return the recorder of a run that holds its locks; its timer never comes."""
    recorder = RunRecorder(write_seconds=3600)
    recorder.started(work(outbox))
    recorder.began()
    yield recorder
    recorder._timer.end()


def test_a_run_is_recorded_when_it_has_its_locks(outbox: Path) -> None:
    recorder = RunRecorder(write_seconds=3600)
    recorder.started(work(outbox, spool=Path("/spool")))
    assert read_runs(outbox) == []
    recorder.began()
    record = the_only(outbox)
    assert (record.command, record.source, record.spool) == ("run", "/night.csv", "/spool")
    assert (record.preset, record.settings["image"]["size"], record.pairs) == ("luminance", 99, 5)
    assert (record.state, record.is_alive, record.counts) == ("running", True, {"waiting": 5})
    recorder._timer.end()


def test_a_timer_writes_the_record_while_nothing_happens(outbox: Path) -> None:
    recorder = RunRecorder(write_seconds=0.01)
    recorder.started(work(outbox))
    recorder.began()
    first = the_only(outbox).written
    while the_only(outbox).written == first:
        pass
    recorder.finished(SUMMARY)
    assert not recorder._timer._thread.is_alive()


def test_everything_is_counted(outbox: Path, recorder: RunRecorder) -> None:
    for action in (Action.SKIP, Action.STILL_FAILED, Action.WAIT):
        recorder.planned(SimpleNamespace(action=action))  # type: ignore[arg-type]
    recorder.outcome(outcome("done"))
    recorder.duplicate(SimpleNamespace())  # type: ignore[arg-type]
    assert the_only(outbox).counts == {"waiting": 5}, "the record is not written at every event"
    recorder.write()
    assert the_only(outbox).counts == {"done": 1, "skipped": 2, "failed": 1, "waiting": 1}
    recorder.failed_job(SimpleNamespace())  # type: ignore[arg-type]
    recorder.write()
    assert the_only(outbox).counts["failed"] == 2


def test_the_pairs_on_the_devices_of_a_run_are_recorded(outbox: Path, recorder: RunRecorder) -> None:
    for name in ("a", "b", "a"):  # the first pair is tried again
        recorder.pair_started(pair(name))
    recorder.write()
    assert the_only(outbox).on_device == ["a", "b"]
    recorder.outcome(outcome("done", "a"))
    recorder.outcome(outcome("failed", "c"))  # never on a device
    recorder.write()
    assert the_only(outbox).on_device == ["b"]


def test_what_a_watcher_is_at_is_recorded(outbox: Path) -> None:
    recorder = RunRecorder(write_seconds=3600)
    recorder.started(work(outbox, command="watch", pairs=None, spool=Path("/spool")))
    recorder.began()
    recorder.pair_started(pair("sea/dog"))
    recorder.status({"on_device": "sea/cat", "state": "paused", "reason": "disk full"})
    recorder.write()
    record = the_only(outbox)
    assert (record.on_device, record.state, record.reason, record.counts) == (["sea/cat"], "paused", "disk full", {})
    recorder._timer.end()


def test_the_end_is_recorded_with_its_exit_code(outbox: Path, recorder: RunRecorder) -> None:
    recorder.pair_started(pair("a"))
    recorder.finished(SUMMARY)
    record = the_only(outbox)
    assert (record.state, record.exit_code, record.is_alive, record.on_device) == ("ended", 3, False, [])


def test_an_end_by_a_signal_says_why(outbox: Path, recorder: RunRecorder) -> None:
    recorder.aborted(Interrupted(ExitCode.TERMINATED))
    record = the_only(outbox)
    assert (record.state, record.exit_code) == ("ended", 143)
    assert record.reason.startswith("Interrupted.")


def test_an_end_before_the_locks_is_recorded_where_there_is_an_outbox(tmp_path: Path, outbox: Path) -> None:
    for root in (outbox, tmp_path / "none"):
        recorder = RunRecorder()
        recorder.started(work(root))
        recorder.aborted(WeightsError("there are none."))
    assert (the_only(outbox).exit_code, the_only(outbox).reason) == (4, "there are none.")
    assert not (tmp_path / "none").exists()


def test_one_that_had_no_turn_touches_no_record(outbox: Path) -> None:
    ended = RunRecorder(write_seconds=3600)
    ended.started(work(outbox))
    ended.began()
    ended.finished(SUMMARY)
    before = {path: path.read_bytes() for path in (outbox / ".impasto/runs").iterdir()}
    late = RunRecorder()
    late.started(work(outbox))
    late.aborted(LockedError("another run has it."))
    assert {path: path.read_bytes() for path in (outbox / ".impasto/runs").iterdir()} == before


def test_a_later_process_of_the_same_work_removes_the_record_of_one_that_is_over(outbox: Path) -> None:
    earlier = RunRecord(
        command="run", source="/night.csv", pid=1, preset="p", settings={}, started=now(), written=now(), ended=now()
    )
    write_run(outbox, earlier)
    write_run(outbox, earlier.model_copy(update={"source": "/other.csv"}))
    recorder = RunRecorder(write_seconds=3600)
    recorder.started(work(outbox))
    recorder.began()
    assert {(each.source, each.pid) for each in read_runs(outbox)} == {("/night.csv", os.getpid()), ("/other.csv", 1)}
    assert len(list((outbox / ".impasto/runs").iterdir())) == 2
    recorder._timer.end()


def test_a_record_that_cannot_be_written_is_a_warning_once_and_tried_again(
    outbox: Path, recorder: RunRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    state = outbox / ".impasto"
    state.rename(outbox / "unmounted")
    recorder.write()
    recorder.write()
    assert len(caplog.messages) == 1
    assert "cannot be written" in caplog.messages[0]
    (outbox / "unmounted").rename(state)
    recorder.outcome(outcome("done"))
    recorder.write()
    assert the_only(outbox).counts["done"] == 1


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


@pytest.mark.parametrize(("took", "pause"), [(0.1, REPORT_SECONDS), (30.0, PAUSE_FACTOR * 30.0)])
def test_an_update_takes_a_small_share_of_the_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    begun: list[float] = []

    def slow(_: Path) -> None:
        begun.append(clock.now)
        clock.now += took

    monkeypatch.setattr(update, "update_report", slow)
    report = LiveReport(clock)
    report.started(work(tmp_path))
    clock.now += REPORT_SECONDS
    for _ in range(2):
        report.outcome(outcome("done"))
        assert report._thread is not None
        report._thread.join()
        clock.now += pause - 1
        report.outcome(outcome("done"))
        report._thread.join()
        clock.now += 1
    assert begun[1] - begun[0] == pytest.approx(took + pause)
    assert len(begun) == 2


def test_what_a_report_fails_by_is_told(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(update, "update_report", fail)
    report = LiveReport(clock)
    report.started(work(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        report.finished(SUMMARY)


@pytest.mark.parametrize("error", [LockedError("another run has it."), UsageError("there is no such folder.")])
def test_one_that_had_no_turn_leaves_the_report_as_it_is(
    tmp_path: Path, clock: Clock, updates: list[Path], error: ImpastoError
) -> None:
    report = LiveReport(clock)
    report.started(work(tmp_path))
    report.aborted(error)
    assert updates == []
