"""Tests of feeding tasks to workers while there is room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import StorageError
from pipeline.outbox.metadata import Failure
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.feeding import POLL_SECONDS, feed
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def task(name: str, deaths: int = 0) -> Task:
    path = Path(f"/{name}.png")
    return Task(Pair(path, (path,), path.name, path.name, name, PairSettings()), 1, None, deaths=deaths)


class FakeWorkers:
    """Workers with room for two tasks, which finish the first of them whenever the caller waits."""

    isolates = False

    def __init__(self, fails_at: str = "") -> None:
        self.error: BaseException | None = None
        self.steps: list[str] = []
        self._tasks: list[Task] = []
        self._fails_at = fails_at

    @property
    def in_work(self) -> int:
        return len(self._tasks)

    @property
    def has_room(self) -> bool:
        return len(self._tasks) < 2

    def begin(self, task: Task) -> None:
        self.steps.append(f"begin {task.pair.name}")
        self._tasks.append(task)

    def receive(self, seconds: float) -> Iterator[Outcome]:
        assert seconds in (0, POLL_SECONDS)
        if seconds and self._tasks:
            ended = self._tasks.pop(0)
            self.steps.append(f"end {ended.pair.name}")
            if ended.pair.name == self._fails_at:
                self.fail(StorageError("the disk is full"))
                return
            record = failure_of(ended, StorageError("?"))
            assert isinstance(record, Failure)
            yield Outcome(ended, record)

    def fail(self, error: BaseException) -> None:
        self.error = self.error or error


def names(tasks: Iterable[Task | None], workers: FakeWorkers) -> list[str]:
    """Return the names of the pairs in the order of their outcomes."""
    return [outcome.pair.name for outcome in feed(tasks, workers)]


def test_tasks_begin_while_there_is_room_and_all_have_outcomes() -> None:
    workers = FakeWorkers()
    assert names([task("a"), task("b"), None, task("c")], workers) == ["a", "b", "c"]
    assert workers.steps == ["begin a", "begin b", "end a", "end b", "begin c", "end c"]
    assert names([], workers) == []


def test_a_task_over_which_a_process_died_is_alone() -> None:
    workers = FakeWorkers()
    names([task("a"), task("suspect", deaths=1), task("b")], workers)
    assert workers.steps == ["begin a", "end a", "begin suspect", "end suspect", "begin b", "end b"]


@pytest.mark.parametrize("deaths", [0, 1])
def test_after_an_error_no_task_begins(deaths: int) -> None:
    workers = FakeWorkers(fails_at="a")
    assert names([task("a"), task("b", deaths=deaths), task("c")], workers) == []
    assert str(workers.error) == "the disk is full"
    assert workers.steps[-1] == "end a"


def test_an_error_of_the_tasks_ends_the_work_once_and_others_are_passed_on() -> None:
    def tasks(error: Exception) -> Iterator[Task]:
        yield task("a")
        raise error

    workers = FakeWorkers()
    names(tasks(StorageError("the spool is gone")), workers)
    assert str(workers.error) == "the spool is gone"
    with pytest.raises(ZeroDivisionError):
        names(tasks(ZeroDivisionError()), FakeWorkers())
