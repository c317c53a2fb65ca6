"""Tests of the distribution of events to several observers, some of which fail."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import pytest

from pipeline.errors import ExitCode, ImpastoError, Interrupted, StorageError, UsageError, exit_code_of
from pipeline.monitoring.observers import Observers
from pipeline.run.observer import Observer, RunInfo
from pipeline.settings.all_settings import Settings
from tests.monitoring.summaries import run_summary

WORK = RunInfo("run", Path("/night.csv"), Path("/out"), Settings(), pairs=3)
SUMMARY = run_summary(3, 0, 0, 0)


class Heard(Observer):
    """An observer that keeps the names of its events, and raises a given error at a given event."""

    def __init__(self, error: BaseException | None = None, at: str = "status") -> None:
        self.events: list[str] = []
        self._error, self._at = error, at

    def _hear(self, event: str) -> None:
        self.events.append(event)
        if self._error is not None and event == self._at:
            raise self._error

    def started(self, work: RunInfo) -> None:
        del work
        self._hear("started")

    def status(self, status: object) -> None:
        del status
        self._hear("status")

    def finished(self, summary: object) -> None:
        del summary
        self._hear("finished")

    def aborted(self, error: BaseException) -> None:
        self._hear(f"aborted by {type(error).__name__}")


def work_with(*observers: Observer, error: BaseException | None = None) -> None:
    """Pass the events of a run to observers; raise an error in the middle if one is given."""
    with Observers(observers) as all_of_them:
        all_of_them.started(WORK)
        for _ in range(2):
            all_of_them.status({})
        if error is not None:
            raise error
        all_of_them.finished(SUMMARY)


EVERYTHING = ["started", "status", "status", "finished"]


def test_every_event_is_passed_on() -> None:
    events = {name for name, member in vars(Observer).items() if inspect.isfunction(member)}
    assert events <= vars(Observers).keys()


def test_all_are_told_everything_in_order() -> None:
    heard = [Heard(), Heard()]
    work_with(*heard)
    assert [each.events for each in heard] == [EVERYTHING] * 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StorageError("the disk is full.")])
def test_one_that_the_machine_fails_is_a_warning_once_and_is_told_on(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    failing, after = Heard(error), Heard()
    work_with(failing, after)
    assert failing.events == after.events == EVERYTHING
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert str(error) in record.message


def test_a_defect_is_logged_at_once_stops_nothing_and_is_raised_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    failing, after = Heard(TypeError("not a number")), Heard()
    with pytest.raises(ImpastoError, match="TypeError: not a number") as raised:
        work_with(failing, after)
    assert raised.value.exit_code is ExitCode.INTERNAL
    assert failing.events == ["started", "status"], "an observer with a defect gets no further events"
    assert after.events == EVERYTHING
    (record,) = caplog.records
    assert record.exc_info is not None, "the defect is logged with its traceback"


def test_the_works_own_error_comes_before_a_defect() -> None:
    heard = Heard()
    with pytest.raises(StorageError):
        work_with(Heard(TypeError()), heard, error=StorageError("the disk is full."))
    assert heard.events == ["started", "status", "status", "aborted by StorageError"]


def test_the_end_is_told_once_even_if_an_error_follows() -> None:
    heard = Heard()
    observers = Observers([heard])
    observers.started(WORK)
    observers.finished(SUMMARY)
    observers.__exit__(KeyError, KeyError(), None)
    assert heard.events == ["started", "finished"]


def test_what_never_began_does_not_end() -> None:
    heard = Heard()
    with pytest.raises(UsageError), Observers([heard]):
        raise UsageError("there is no such folder")
    assert heard.events == []


def test_a_signal_at_the_end_reaches_the_command_when_all_have_been_told() -> None:
    after = Heard()
    with pytest.raises(Interrupted):
        work_with(Heard(Interrupted(ExitCode.TERMINATED), at="finished"), after)
    assert after.events == EVERYTHING


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Interrupted(ExitCode.TERMINATED), ExitCode.TERMINATED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (StorageError(""), ExitCode.ENVIRONMENT),
        (TypeError(), ExitCode.INTERNAL),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_a_broken_display_is_still_told_to_give_the_terminal_back() -> None:
    told: list[str] = []

    class Broken(Observer):
        def rendering_started(self, pairs: int | None) -> None:
            raise KeyError(pairs)

        def expected(self, pairs: int) -> None:
            told.append(f"expected {pairs}")

        def rendering_ended(self) -> None:
            told.append("ended")

    observers = Observers([Broken()])
    observers.rendering_started(3)
    observers.expected(3)
    observers.rendering_ended()
    assert told == ["ended"]
