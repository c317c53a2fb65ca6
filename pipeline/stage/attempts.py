"""Attempts at pairs, counted on disk before they begin, so that a pair that kills the process is recognised.

A process can also be killed from outside, by a power cut for instance, and then every pair in progress looks guilty. So
a pair during which a process died is a suspect: it is rendered after all other pairs and alone. Only deaths of
processes that had no other pair in progress are evidence against it. A suspect that is rendered in the end is
acquitted: its deaths came from outside, so more of them are needed as evidence against other pairs.

With several devices, each has a process of its own, and this one survives when one of them dies. Then it is certain
which pairs were in progress in the process that died, and the others are not suspects.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from pipeline.errors import DeviceError, FatalPairError, ProcessDiedError
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from pipeline.outbox.publish import Outbox

_PATIENCE: Final = 3
"""Largest number of deaths that make a pair fail, as a multiple of those that suffice if none came from outside."""


class Attempts:
    """The attempts of this process. At the end of the context, attempts without an outcome are taken back.

    A process that is killed takes nothing back. Only one thread uses an object of this class.
    """

    def __init__(self, outbox: Outbox, max_deaths: int) -> None:
        """Begin without attempts.

        Args:
            outbox: the outbox.
            max_deaths: number of processes that must die during a pair alone before it fails, if no process died for
                another reason.
        """
        self._outbox, self._max_deaths = outbox, max_deaths
        self._open: dict[str, Task] = {}
        """Tasks of attempts without an outcome, by file name of the result."""
        self._alone: set[str] = set()
        """File names of those whose attempt was counted as one beside which no other pair was in progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, DeviceError):
            self.keep(error.suspects)
        self.take_back()

    @property
    def are_open(self) -> bool:
        """Whether there are attempts without an outcome."""
        return bool(self._open)

    def others_are_open(self, outcome: Outcome) -> bool:
        """Whether there are attempts without an outcome beside the one that has this outcome."""
        return not self._open.keys() <= {outcome.pair.file_name}

    def consider(self, task: Task) -> Task | Outcome:
        """Return the task with the number of processes that died during it, or its failure if there were too many.

        Raises:
            StorageError: the outbox cannot be read.
        """
        mark = self._outbox.marks.read(task.pair.file_name)
        if mark is None or mark.owner != task.owner or not mark.attempts:
            return task
        name = task.pair.file_name
        deaths, alone = mark.attempts - (name in self._open), mark.alone - (name in self._alone)
        if alone < self._max_deaths or alone < self._needed:
            return replace(task, attempt=task.attempt + deaths, deaths=deaths, deaths_alone=alone)
        error = FatalPairError(
            f"{task.pair.content_label}: the process died {alone} times while it worked on this pair alone.",
            "Open both images with another program, and find out why the process died; then try again.",
        )
        return Outcome(task, failure_of(task, error), error)

    @property
    def _needed(self) -> int:
        return self._max_deaths + min(self._outbox.marks.acquitted(), (_PATIENCE - 1) * self._max_deaths)

    def begin(self, task: Task) -> Task:
        """Count an attempt, and return its task.

        Raises:
            StorageError: the outbox cannot be written.
        """
        name = task.pair.file_name
        if name not in self._open:
            is_alone = task.deaths > 0 and not self._open
            self._outbox.marks.begin_attempt(name, task.owner, task.key, alone=is_alone)
            self._open[name] = task
            if is_alone:
                self._alone.add(name)
        return task

    def end(self, outcome: Outcome) -> None:
        """End the attempt at a pair whose result or failure is published.

        Raises:
            StorageError: the outbox cannot be written.
        """
        task = outcome.task
        if task.deaths_alone and not isinstance(outcome.error, FatalPairError):
            self._outbox.marks.acquit(task.deaths_alone)
        self._outbox.marks.end_attempt(task.pair.file_name, task.owner)
        self._close(task.pair.file_name)

    def count_death(self, outcome: Outcome) -> Task | Outcome:
        """Leave the attempt at a pair counted, since one of several processes died during it.

        Returns:
            The task of the next attempt, or the failure of the pair if there were too many.

        Raises:
            StorageError: the outbox cannot be read or written.
        """
        task, error = outcome.task, outcome.error
        name = task.pair.file_name
        was_alone = task.deaths > 0 and isinstance(error, ProcessDiedError) and error.is_alone
        if was_alone and name not in self._alone:
            self._outbox.marks.count_alone(name, task.owner)
        self._close(name)
        return self.consider(replace(task, attempt=task.attempt - task.deaths, deaths=0, deaths_alone=0))

    def take_back_one(self, outcome: Outcome) -> None:
        """Take back the attempt at a pair that failed and will be tried again, since the process has survived it.

        Raises:
            StorageError: the outbox cannot be written.
        """
        self._take_back(outcome.task)

    def keep(self, suspects: tuple[str, ...]) -> None:
        """Leave attempts counted, since the device failed during them: the next process treats them like a death.

        Otherwise a pair that makes the device fail would end every run, before the pairs behind it.

        Args:
            suspects: file names of the pairs' results.
        """
        for name in suspects:
            self._close(name)

    def take_back(self) -> None:
        """Take back all attempts without an outcome, since the process does not end because of these pairs.

        Raises:
            StorageError: the outbox cannot be written.
        """
        for task in list(self._open.values()):
            self._take_back(task)

    def _take_back(self, task: Task) -> None:
        name = task.pair.file_name
        self._outbox.marks.end_attempt(name, task.owner, take_back=True, alone=name in self._alone)
        self._close(name)

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._alone.discard(name)
