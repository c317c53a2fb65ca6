"""Attempts are counted durably before they begin, so that a pair that ends the process is found out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pipeline.errors import FatalPairError
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from pipeline.outbox.publish import Outbox


class Attempts:
    """The attempts that this process makes; on leaving, those that came to no end are taken back.

    A process that is killed takes nothing back. The pair that was on its device, and the one that was loaded meanwhile,
    are then rendered alone, so that only the one to blame is counted again.
    """

    def __init__(self, outbox: Outbox, most: int) -> None:
        """Of at most so many in vain."""
        self._outbox, self._most = outbox, most
        self._open: dict[str, Task] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.take_back()

    def consider(self, task: Task) -> Task | Outcome:
        """The task as it is to be done in view of earlier attempts, or its failure if there were too many.

        Raises:
            StorageError: the outbox cannot be read.
        """
        mark = self._outbox.marks.read(task.pair.file_name)
        died = mark.attempts if mark is not None and mark.owner == task.owner else 0
        died -= task.pair.file_name in self._open
        if died < self._most:
            return replace(task, attempt=task.attempt + died, deaths=died)
        error = FatalPairError(
            f"{task.pair.content_label}: the process died {died} times while it worked on this pair.",
            "Look at both images with another program, and for what ended the process; then try again.",
        )
        return Outcome(task, failure_of(task, error), error)

    def begin(self, task: Task) -> Task:
        """Count an attempt; the task is given back.

        Raises:
            StorageError: the outbox cannot be written.
        """
        if task.pair.file_name not in self._open:
            self._outbox.marks.begin_attempt(task.pair.file_name, task.owner, task.key)
            self._open[task.pair.file_name] = task
        return task

    def end(self, outcome: Outcome) -> None:
        """The pair is published, or its failure is.

        Raises:
            StorageError: the outbox cannot be written.
        """
        self._outbox.marks.end_attempt(outcome.pair.file_name, outcome.task.owner)
        self._open.pop(outcome.pair.file_name, None)

    def take_back_one(self, outcome: Outcome) -> None:
        """The pair failed and will be tried again; the process did not die over it.

        Raises:
            StorageError: the outbox cannot be written.
        """
        self._outbox.marks.end_attempt(outcome.pair.file_name, outcome.task.owner, take_back=True)
        self._open.pop(outcome.pair.file_name, None)

    def take_back(self) -> None:
        """What was begun and came to no end was not the pair's fault.

        Raises:
            StorageError: the outbox cannot be written.
        """
        for name, task in list(self._open.items()):
            self._outbox.marks.end_attempt(name, task.owner, take_back=True)
            del self._open[name]
