"""The pairs of a run on their way: planned pairs become tasks, and their outcomes are recorded and counted."""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import ExitCode, OccupiedError, OutOfMemoryError, ProcessDiedError
from pipeline.outbox.mark_files import RUN
from pipeline.outbox.metadata import Failure, Metadata, PairPaths
from pipeline.run.plan import Action
from pipeline.stage.summary import Summary
from pipeline.stage.task import Task

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipeline.outbox.publish import Outbox
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

        Pairs during which a process died come after all others, see `_tasks_alone`.
        """
        for item in planned:
            if stop_request.requested is not None:
                return
            if item is None:
                yield None
                continue
            if item.action is Action.RENDER and self._is_over:
                self._out_of_time += 1
                continue  # it waits for the next run
            task = self._take_up(item)
            if task is not None and task.deaths:
                self._alone.append(task)
            elif task is not None:
                yield self._attempts.begin(task)
        yield from self._tasks_alone(stop_request)

    def _tasks_alone(self, stop_request: StopRequest) -> Generator[Task | None]:
        """Yield pairs that must be alone, those that killed the fewest processes first.

        Unless the stage isolates them, each waits until no other pair is in progress.
        """
        while stop_request.requested is None:
            is_isolated = self.stage is not None and self.stage.isolates
            if self._attempts.are_open and not (is_isolated and self._alone):
                yield None  # one of these pairs may have to be tried again
                continue
            if not self._alone:
                return
            if self._is_over:
                self._out_of_time += len(self._alone)
                return
            self._alone.sort(key=lambda each: each.deaths or math.inf)
            yield self._attempts.begin(self._alone.pop(0))

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
            task = self._attempts.consider(Task(item.pair, item.attempt, item.key))
            if isinstance(task, Task):
                return task
            self.finish(task)
            return None
        if item.action is Action.SKIP:
            self._outbox.failures.forget(item.pair.name, PairPaths.of(item.pair), item.key)
            self._outbox.marks.end_attempt(item.pair.file_name, RUN)  # left if a run died right after publishing it
        self._counts[item.action] += 1
        self.observer.planned(item)
        self.observer.expected(self.expected)
        return None

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
        if self._budget is not None:
            record = outcome.record
            seconds = record.seconds.stylise if isinstance(record, Metadata) and not record.resumed_at else None
            self._budget.end(outcome.pair, seconds)  # the rest of a resumed pair does not show the pace
        self._counts[outcome.record.status] += 1
        self.observer.outcome(outcome)

    def summary(self, seconds: float, usage: Usage) -> Summary:
        """Return the counts and the exit code of the run; unresolved failures of earlier runs count as failures."""
        failed = self._counts["failed"] + self._counts[Action.STILL_FAILED]
        counts = {
            "rendered": self._counts["done"],
            "skipped": self._counts[Action.SKIP],
            "failed": failed,
            "waiting": self.waiting,
        }
        return Summary(counts, seconds, ExitCode.PARTIAL if failed else ExitCode.OK, usage)
