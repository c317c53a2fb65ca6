"""Which seat gets which task: the one with the fewest pairs, and a seat of its own for a task that must be alone."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Generic

from pipeline.stage.engine_config import optimisation_key
from pipeline.stage.pool.messages import TaskMessage, no_fence
from pipeline.stage.pool.seats import SeatType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.stage.pool.crew import Crew, Worker
    from pipeline.stage.task import Task


class Allotment(Generic[SeatType]):
    """Tasks on their way to the seats, in one call of `StagePool.process`."""

    def __init__(self, crew: Crew[SeatType], numbers: Iterator[int]) -> None:
        """Begin without tasks.

        Args:
            crew: the seats.
            numbers: numbers for tasks, which no other task has had.
        """
        self._crew, self._numbers = crew, numbers
        self.waiting: deque[Task] = deque()
        """Tasks of lost seats, which other seats will get."""
        self.alone: deque[Task] = deque()
        """Tasks that wait for a seat of their own."""
        self._has_reserved = False
        """Whether a seat has such a task, or will get one when it is idle."""
        self._latest: tuple[str, Worker[SeatType] | None] = "", None
        """Optimisation of the latest task (see `optimisation_key`), and the seat that has it."""
        self._of_clips: dict[str, Worker[SeatType]] = {}
        """The seat that got the latest frame of each sequence, and computes the flow of the next ones."""

    @property
    def in_work(self) -> int:
        """Number of tasks at the seats, or on their way there."""
        return sum(len(worker.tasks) for worker in self._crew.workers) + len(self.waiting) + len(self.alone)

    @property
    def has_room(self) -> bool:
        """Whether another task may begin."""
        return not self.waiting and len(self.alone) < len(self._crew.workers) and self._free() is not None

    def begin(self, task: Task) -> None:
        """Give a task to a seat, or keep it until a seat is free for it."""
        if task.is_alone:
            self.alone.append(task)
            self.assign()
            return
        worker = self._worker_for(task)
        if worker is not None:
            self._give(worker, task)
        else:
            self.waiting.append(task)

    def give_back(self, task: Task) -> None:
        """Keep a task of a seat that is lost until another seat is free for it."""
        (self.alone if task.is_alone else self.waiting).append(task)

    def assign(self) -> None:
        """Give waiting tasks to seats: first those that must be alone, each to an idle seat."""
        if self.alone or self._has_reserved:
            self._assign_alone()
        while self.waiting and (worker := self._free()) is not None:
            self._give(worker, self.waiting.popleft())

    def _assign_alone(self) -> None:
        """Give tasks that must be alone to idle seats; if there is none, let the one with the fewest tasks run dry."""
        at_work = self._crew.at_work
        idle = [worker for worker in at_work if not worker.tasks]
        while self.alone and idle:
            self._give(idle.pop(), self.alone.popleft())
        for worker in at_work:
            worker.is_reserved = any(task.is_alone for task in worker.tasks.values())
        others = [worker for worker in at_work if not worker.is_reserved]
        if self.alone and others:
            min(others, key=lambda worker: len(worker.tasks)).is_reserved = True
        self._has_reserved = any(worker.is_reserved for worker in at_work)

    def _free(self, preferred: Worker[SeatType] | None = None) -> Worker[SeatType] | None:
        """Return the seat with the fewest pairs that takes another one; None if no seat does.

        Args:
            preferred: the seat that is taken if others have as few.
        """
        ahead = 1 if self._crew.others_come_soon else sys.maxsize
        free = [worker for worker in self._crew.at_work if worker.has_room(ahead)]
        return min(free, key=lambda worker: (len(worker.tasks), worker is not preferred), default=None)

    def _worker_for(self, task: Task) -> Worker[SeatType] | None:
        """Return the seat with the fewest pairs, or that of the previous task if one optimisation may serve both."""
        key = optimisation_key(task.pair, map(str, task.pair.files)) if task.pair.settings.colour.variants else ""
        latest_key, worker = self._latest
        if not key or key != latest_key or worker is None or not worker.is_at_work or worker.is_reserved:
            worker = self._free(self._of_clips.get(task.pair.frame.clip) if task.pair.frame is not None else None)
        self._latest = key, worker
        return worker

    def _give(self, worker: Worker[SeatType], task: Task) -> None:
        number = next(self._numbers)
        if task.pair.frame is not None:
            self._of_clips[task.pair.frame.clip] = worker
        worker.tasks[number] = task
        worker.seat.send(TaskMessage(number, replace(task, fence=no_fence)))
