"""The pairs of a run on their way: planned pairs become tasks, and their outcomes are recorded and counted."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import ExitCode, OccupiedError, OutOfMemoryError, ProcessDiedError
from pipeline.outbox.mark_files import RUN
from pipeline.outbox.metadata import Failure, Metadata, PairPaths
from pipeline.pair import Step
from pipeline.run.films import Films
from pipeline.run.plan import Action
from pipeline.stage.summary import Summary
from pipeline.stage.task import FRAMES_AHEAD, Task

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.run.plan import PlannedPair
    from pipeline.run.time_budget import TimeBudget
    from pipeline.signals import StopRequest
    from pipeline.stage.attempts import Attempts
    from pipeline.stage.pool.stage_pool import StagePool
    from pipeline.stage.stage import Stage
    from pipeline.stage.summary import Usage
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)


class Tally:
    """Turns planned pairs into tasks, and records and counts the outcomes of the pairs."""

    def __init__(
        self, outbox: Outbox, attempts: Attempts, observer: Observer, pairs: int, budget: TimeBudget | None
    ) -> None:
        self._outbox, self._attempts, self.observer = outbox, attempts, observer
        self._pairs, self._budget = pairs, budget
        self._counts: Counter[str] = Counter()
        self._alone: list[Task] = []
        """Tasks that come after all others, since each must be alone in its process."""
        self.stage: Stage | StagePool | None = None
        """Stage that renders the pairs; None before the first one."""
        self.done: set[str] = set()
        """File names of the results that the outbox has, from this run or an earlier one."""
        self.films = Films()
        """The films of the run; empty until all pairs have ended."""
        self._coming: set[str] = set()
        """File names of the results that this run will make, or try to."""
        self._lacking: set[str] = set()
        """File names of results that this run will not make, so that frames that follow them wait for another run."""
        self._held: dict[str, PlannedPair] = {}
        """Frames that wait for the frame before them, by the file name of that frame's result."""
        self._freed: deque[PlannedPair] = deque()
        """Frames that waited for a frame which is done."""
        self._out_of_time = 0
        """Number of pairs for which the time budget was over."""

    @property
    def expected(self) -> int:
        """Number of pairs to render, as far as it is known, including those that are rendered already."""
        return self._pairs - sum(self._counts[action] for action in Action)

    @property
    def has_failures(self) -> bool:
        """Whether a pair has failed in this run."""
        return self._counts["failed"] > 0

    @property
    def waiting(self) -> int:
        """Number of pairs that are neither done, skipped nor failed."""
        counts = self._counts
        return self._pairs - counts["done"] - counts["failed"] - counts[Action.SKIP] - counts[Action.STILL_FAILED]

    def tasks(self, planned: Iterable[PlannedPair | None], stop_request: StopRequest) -> Generator[Task | None]:
        """Yield the pairs to render as they are planned, each counted as an attempt, until a stop is requested.

        A frame comes after the frame that it follows is done. Pairs during which a process died come after all others,
        those that killed the fewest processes first. Unless the stage isolates them, each waits until no other pair is
        in progress.
        """
        for item in planned:
            if stop_request.requested is not None:
                return
            while self._freed:
                yield from self._task_of(self._freed.popleft())
            if item is None:
                yield None
            elif self._take_turn(item):
                yield from self._task_of(item)
        yield from self._remaining_tasks(stop_request)

    def _remaining_tasks(self, stop_request: StopRequest) -> Iterator[Task | None]:
        """Yield frames as those before them are done, then pairs that must be alone."""
        while stop_request.requested is None:
            is_isolated = self.stage is not None and self.stage.isolates
            if self._freed:
                yield from self._task_of(self._freed.popleft())
            elif self._attempts.are_open and not (is_isolated and self._alone):
                yield None  # one of these pairs may have to be tried again, or frames follow it
            elif not self._alone:
                return
            elif self._is_over:
                self._out_of_time += len(self._alone)
                return
            else:
                self._alone.sort(key=lambda each: each.deaths or math.inf)
                yield self._attempts.begin(self._alone.pop(0))

    def _task_of(self, item: PlannedPair) -> Iterator[Task]:
        """Yield the task of a planned pair, unless it is not rendered, must be alone, or waits for another run."""
        if item.action is Action.RENDER and self._is_over:
            self._out_of_time += 1
            self._lack(item.pair.file_name)
            return
        task = self._take_up(item)
        if task is not None and task.deaths:
            self._alone.append(task)
        elif task is not None:
            yield self._attempts.begin(task)

    def _take_turn(self, item: PlannedPair) -> bool:
        """Return whether a planned pair can begin.

        A frame whose frame before is not done is kept until it is, or left for another run and counted as waiting.
        """
        name, before = item.pair.file_name, item.pair.predecessor
        if item.action is not Action.RENDER:
            if item.action is not Action.SKIP:
                self._lacking.add(name)
            return True
        if before is not None and before.result in self._lacking:
            self._lacking.add(name)
            return False
        self._coming.add(name)
        if before is not None and before.result in self._coming:
            self._held[before.result] = item
            return False
        return True

    def _lack(self, name: str) -> None:
        """Leave the frames that follow a result for another run, since this run does not make it."""
        followers = 0
        while True:
            self._coming.discard(name)
            self._lacking.add(name)
            item = self._held.pop(name, None)
            if item is None:
                break
            name, followers = item.pair.file_name, followers + 1
        if followers:
            logger.warning("%d frames up to %s wait for another run.", followers, name)

    @property
    def _is_over(self) -> bool:
        return self._budget is not None and self._budget.is_over

    def within_budget(self, tasks: Iterable[Task | None]) -> Iterator[Task | None]:
        """Yield tasks with the evaluations that the time budget allows each, when the stage asks for it."""
        for task in tasks:
            if task is None or self._budget is None:
                yield task
                continue
            if self.stage is not None:
                self._budget.devices = self.stage.seats
            yield replace(task, evaluations=self._budget.begin(task.pair))

    def warn_about_short_time(self, time_budget: str) -> None:
        """Log that the time budget was over before any pair could begin, if it was."""
        if self._out_of_time and not self._counts["done"] + self._counts["failed"]:
            logger.warning(
                "run.time_budget = %s was over before a pair could begin: reading the pictures and measuring this "
                "machine take some of it. Allow more time.",
                time_budget,
            )

    def _take_up(self, item: PlannedPair) -> Task | None:
        """Return the task of a planned pair; None if the pair is not rendered."""
        if item.action is Action.RENDER:
            task = self._attempts.consider(Task(item.pair, item.attempt, item.key, ahead=self._ahead_of(item.pair)))
            if isinstance(task, Task):
                return task
            self.finish(task)
            return None
        if item.action is Action.SKIP:
            self._outbox.failures.forget(item.pair.name, PairPaths.of(item.pair), item.key)
            self._outbox.marks.end_attempt(item.pair.file_name, RUN)  # left if a run died right after publishing it
            self.done.add(item.pair.file_name)
        self._counts[item.action] += 1
        self.observer.planned(item)
        self.observer.expected(self.expected)
        return None

    def _ahead_of(self, pair: Pair) -> tuple[Step, ...]:
        """Return the frames of a shot that come after a frame."""
        steps: list[Step] = []
        item = self._held.get(pair.file_name)
        while item is not None and item.pair.predecessor is not None and len(steps) < FRAMES_AHEAD:
            before = item.pair.predecessor
            steps.append(Step(item.pair.content, before.content, before.first))
            item = self._held.get(item.pair.file_name)
        return tuple(steps)

    def finish(self, outcome: Outcome) -> None:
        """Record that a pair is done or has failed, or that it is tried again alone.

        It is if it ran out of memory beside others, or if one of several processes died during it.

        Raises:
            StorageError: the outbox cannot be written.
        """
        had_others = not outcome.task.is_alone and self._attempts.others_are_open(outcome)
        if isinstance(outcome.error, OutOfMemoryError) and had_others:
            logger.warning("%s It is tried again when no other pair is in memory.", outcome.error.message)
            self._attempts.take_back_one(outcome)
            self._alone.append(replace(outcome.task, is_large=True))
            return
        if isinstance(outcome.error, ProcessDiedError):
            again = self._attempts.count_death(outcome)
            if isinstance(again, Task):
                self._alone.append(again)
                return
            outcome = again
        if isinstance(outcome.record, Failure):
            try:
                self._outbox.publish_failure(outcome.pair.name, outcome.record)
            except OccupiedError as error:  # the summary counts the failure, and the next run tries the pair again
                logger.warning("The failure of %s is not recorded: %s", outcome.pair.name, error)
        self._attempts.end(outcome)
        if isinstance(outcome.record, Failure):
            self._lack(outcome.pair.file_name)
        else:
            self.done.add(outcome.pair.file_name)
            self._coming.discard(outcome.pair.file_name)
            if (follower := self._held.pop(outcome.pair.file_name, None)) is not None:
                self._freed.append(follower)
        if self._budget is not None:
            record = outcome.record
            seconds = record.seconds.stylise if isinstance(record, Metadata) and not record.resumed_at else None
            self._budget.end(outcome.pair, seconds)  # the rest of a resumed pair does not show the pace
        self._counts[outcome.record.status] += 1
        self.observer.outcome(outcome)

    def summary(self, seconds: float, usage: Usage) -> Summary:
        """Return the counts and the exit code of the run; unresolved failures of earlier runs count as failures."""
        failed = self._counts["failed"] + self._counts[Action.STILL_FAILED] + len(self.films.failed)
        counts = {
            "rendered": self._counts["done"],
            "skipped": self._counts[Action.SKIP],
            "failed": failed,
            "waiting": self.waiting,
        }
        exit_code = ExitCode.PARTIAL if failed else ExitCode.OK
        return Summary(counts, seconds, exit_code, usage, films=self.films.written)
