"""Tests of the log: lines for people, and JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ImageError, StorageError
from pipeline.monitoring.logs import LogFormat, LogObserver, logging_to_stderr
from pipeline.outbox.metadata import JobFailure
from pipeline.pair import Pair
from pipeline.run.observer import RunInfo
from pipeline.run.plan import Action, PlannedPair
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.task import Outcome, Task, failure_of
from pipeline.watch.backoff import Backoff
from tests.faults.world import describe
from tests.monitoring.summaries import run_summary

ours, theirs = logging.getLogger("pipeline.stage.somewhere"), logging.getLogger("somewhere.else")


def pair(name: str = "a") -> Pair:
    return Pair(Path(f"/{name}.png"), (Path("/sea.png"),), f"{name}.png", "sea.png", name, PairSettings())


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the lines of the log on stderr, which are JSON; check that stdout is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize(
    ("log_format", "verbose", "seen"),
    [("human", False, "wW"), ("human", True, "iwIW"), ("json", False, "iwW"), ("json", True, "diwIW")],
)
def test_people_see_warnings_and_programs_what_happens_too(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat, seen: str, *, verbose: bool
) -> None:
    with logging_to_stderr(log_format, verbose=verbose):
        for logger, letters in ((ours, "diw"), (theirs, "DIW")):
            for level, letter in zip((logging.DEBUG, logging.INFO, logging.WARNING), letters, strict=True):
                logger.log(level, letter)
    err = capsys.readouterr().err.splitlines()
    told = [json.loads(line)["message"] if log_format == "json" else line[-1] for line in err]
    assert "".join(told) == seen


def test_a_line_of_json_has_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr("json"):
        ours.warning(
            "two\nlines of %s", "a\x1b[31m\udce9", extra={"event": "step", "pair": "a", "key": None, "seconds": 0.5}
        )
    (line,) = lines(capsys)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "level": "warning",
        "event": "step",
        "message": "two\nlines of a\ufffd[31m\ufffd",
        "pair": "a",
        "seconds": 0.5,
        "logger": "pipeline.stage.somewhere",
    }


def test_what_a_library_adds_to_all_records_is_no_field(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    made = logging.getLogRecordFactory()

    def with_time(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = made(*args, **kwargs)
        record.library_time = 5
        return record

    request.addfinalizer(lambda: logging.setLogRecordFactory(made))
    logging.setLogRecordFactory(with_time)
    with logging_to_stderr("json"):
        ours.warning("a step", extra={"event": "step", "pair": "a"})
    (line,) = lines(capsys)
    assert line.keys() == {"time", "level", "event", "message", "pair", "logger"}


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_warnings_of_python_are_told_by_the_log(capsys: pytest.CaptureFixture[str], log_format: LogFormat) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with logging_to_stderr(log_format):
            warnings.warn("this tensor is odd", UserWarning, stacklevel=1)
    (line,) = capsys.readouterr().err.splitlines()
    message = json.loads(line)["message"] if log_format == "json" else line
    assert message.endswith("UserWarning: this tensor is odd")
    assert (log_format == "json") == line.startswith("{")


def test_a_traceback_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise TypeError("not a number")

    with logging_to_stderr("json"):
        try:
            fail()
        except TypeError:
            ours.exception("it failed")
        thread = threading.Thread(target=fail, name="saver")
        thread.start()
        thread.join()
    caught, uncaught = lines(capsys)
    assert "TypeError: not a number" in caught["traceback"]
    assert (uncaught["event"], uncaught["level"]) == ("defect", "critical")
    assert "saver" in uncaught["message"]
    assert "TypeError: not a number" in uncaught["traceback"]


def test_afterwards_all_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> tuple[object, ...]:
        root = logging.getLogger()
        hooks = (threading.excepthook, warnings.showwarning, sys.excepthook)
        return (*hooks, root.level, tuple(root.handlers), logging.getLogger("pipeline").level)

    before = state()
    with logging_to_stderr("json", verbose=True):
        assert state() != before
    assert state() == before


def test_the_log_tells_what_becomes_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(pair(), 2, None, owner="host-1-abc/job-7")
    record = describe(task, b"photo", b"style", b"picture")
    seconds = record.seconds.model_copy(update={"stylise": 1.5})
    record = record.model_copy(update={"warnings": ["no profile"], "seconds": seconds})
    error = ImageError("it is no picture.", "Use another.")
    reason = JobFailure(
        job="job-8", files=("x.csv",), error_class="input", reason="no", remedy="do", attempts=2, failed="2026-01-01"
    )
    log = LogObserver()
    with logging_to_stderr("json"):
        log.started(RunInfo("run", Path("/night.csv"), Path("/out"), Settings(), pairs=3))
        log.planned(PlannedPair(pair("b"), Action.SKIP, "done already", 1, "k"))
        log.planned(PlannedPair(pair("c"), Action.STILL_FAILED, "unchanged", 1, None))
        log.outcome(Outcome(task, record))
        log.outcome(Outcome(Task(pair("d"), 1, None), failure_of(task, error), error))
        log.duplicate(pair("e"))
        log.failed_job(reason)
        log.finished(run_summary(1, 1, 1, 0, seconds=2.0))
        log.aborted(StorageError("the disk is full.", "Free some."))
        pause = Backoff()
        pause.begin("the disk is full", 0.0)
        pause.end()
    told = lines(capsys)
    assert [line["event"] for line in told] == [
        "started", "skip", "still failed", "step", "step", "step", "step", "warning", "done", "failed", "duplicate",
        "failed_job", "finished", "finished", "paused", "resumed",
    ]  # fmt: skip
    by_event = {line["event"]: line for line in told}
    known = {"pair": "a", "key": record.key, "worker": "host-1-abc", "job": "job-7", "attempt": 2}
    steps = [line for line in told if line["event"] == "step"]
    assert [line["step"] for line in steps] == ["load", "queue", "stylise", "save"]
    assert all(known.items() <= line.items() for line in (*steps, by_event["warning"], by_event["done"]))
    assert steps[2]["seconds"] == 1.5
    assert by_event["warning"]["warning"] == "no profile"
    failed = {"pair": "d", "reason": error.message, "remedy": error.remedy, "error_class": "input", "level": "error"}
    assert failed.items() <= by_event["failed"].items()
    assert "worker" not in by_event["failed"], "events of a run do not name a worker"
    assert (by_event["started"]["pairs"], by_event["started"]["command"]) == (3, "run")
    assert [(line["exit_code"], line.get("rendered")) for line in told if line["event"] == "finished"] == [
        (3, 1),
        (4, None),
    ]
    assert by_event["failed_job"]["files"] == ["x.csv"]
    assert by_event["paused"]["reason"] == "the disk is full"


def test_fields_of_other_libraries_replace_none_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr("json"):
        theirs.warning("odd", extra={"time": "never", "level": 7, "data": {(1, 2): "no key of JSON"}})
    (line,) = lines(capsys)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {"level": "warning", "event": "log", "message": "odd", "logger": "somewhere.else"}
