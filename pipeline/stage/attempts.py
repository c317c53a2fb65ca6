"""Attempts at pairs, counted on disk before they begin, so that a pair that kills the process is recognised."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pipeline.errors import FatalPairError
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from pipeline.outbox.publish import Outbox


class Attempts:
    """The attempts of this process. At the end of the context, attempts without an outcome are taken back.

    A process that is killed takes nothing back. The next process renders all pairs that were in progress one by one, so
    that only the pair that kills it is counted again. Only one thread uses an object of this class.
    """

    def __init__(self, outbox: Outbox, max_deaths: int) -> None:
        """Begin without attempts; a pair during which `max_deaths` processes died fails."""
        self._outbox, self._max_deaths = outbox, max_deaths
        self._open: dict[str, Task] = {}
        """Tasks of attempts without an outcome, by file name of the result."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.take_back()

    def consider(self, task: Task) -> Task | Outcome:
        """Return the task with the number of processes that died during it, or its failure if there were too many.

        Raises:
            StorageError: the outbox cannot be read.
        """
        mark = self._outbox.marks.read(task.pair.file_name)
        deaths = mark.attempts if mark is not None and mark.owner == task.owner else 0
        deaths -= task.pair.file_name in self._open
        if deaths < self._max_deaths:
            return replace(task, attempt=task.attempt + deaths, deaths=deaths)
        error = FatalPairError(
            f"{task.pair.content_label}: the process died {deaths} times while it worked on this pair.",
            "Open both images with another program, and find out why the process died; then try again.",
        )
        return Outcome(task, failure_of(task, error), error)

    def begin(self, task: Task) -> Task:
        """Count an attempt, and return its task.

        Raises:
            StorageError: the outbox cannot be written.
        """
        if task.pair.file_name not in self._open:
            self._outbox.marks.begin_attempt(task.pair.file_name, task.owner, task.key)
            self._open[task.pair.file_name] = task
        return task

    def end(self, outcome: Outcome) -> None:
        """End the attempt at a pair whose result or failure is published.

        Raises:
            StorageError: the outbox cannot be written.
        """
        self._outbox.marks.end_attempt(outcome.pair.file_name, outcome.task.owner)
        self._open.pop(outcome.pair.file_name, None)

    def take_back_one(self, outcome: Outcome) -> None:
        """Take back the attempt at a pair that failed and will be tried again, since the process has survived it.

        Raises:
            StorageError: the outbox cannot be written.
        """
        self._outbox.marks.end_attempt(outcome.pair.file_name, outcome.task.owner, take_back=True)
        self._open.pop(outcome.pair.file_name, None)

    def take_back(self) -> None:
        """Take back all attempts without an outcome, since the process does not end because of these pairs.

        Raises:
            StorageError: the outbox cannot be written.
        """
        for name, task in list(self._open.items()):
            self._outbox.marks.end_attempt(name, task.owner, take_back=True)
            del self._open[name]
