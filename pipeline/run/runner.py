"""A run: compare a list of pairs with the outbox, then send those that are to be rendered through the stage."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExitCode, LockedError, OccupiedError, OutOfMemoryError, ProcessDiedError
from pipeline.outbox.mark_files import RUN
from pipeline.outbox.metadata import Failure, Metadata, PairPaths
from pipeline.run.plan import Action, plan
from pipeline.run.prefetch import prefetch
from pipeline.run.time_budget import TimeBudget
from pipeline.settings.base import parse_duration
from pipeline.signals import StopRequest
from pipeline.stage.attempts import Attempts
from pipeline.stage.device.devices import find_devices
from pipeline.stage.device.estimate import Estimator
from pipeline.stage.engine_config import optimisation_key
from pipeline.stage.pool.stage_pool import make_stage
from pipeline.stage.summary import Summary, Usage
from pipeline.stage.task import Outcome, Task
from pipeline.transfer.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from pipeline.outbox.publish import Outbox
    from pipeline.outbox.run_lock import Shard
    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.run.plan import PlannedPair, Redo
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.pool.stage_pool import StagePool
    from pipeline.stage.stage import Stage
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)

_PLANNED_AHEAD: Final = 64
"""Largest number of pairs that are read and hashed in advance."""
_LOCK_POLL_SECONDS: Final = 0.2
"""Seconds between two looks whether another run still has the outbox."""
_LOOKS_IN_SILENCE: Final = 25
"""Number of such looks before a warning says that this run waits."""


def run(  # noqa: PLR0913 - what a run consists of
    pairs: Sequence[Pair],
    outbox: Outbox,
    settings: Settings,
    observer: Observer,
    *,
    redo: Redo | None = None,
    limit: int | None = None,
    fail_fast: bool = False,
    wait_seconds: float = 0.0,
    shard: Shard | None = None,
) -> Summary:
    """Render the pairs that the outbox does not have yet.

    Args:
        pairs: all pairs of the manifest.
        outbox: the outbox, which is locked during the run.
        settings: the settings of the whole run.
        observer: receives the events of the run, except for `started`, `finished` and `aborted`, which the caller
            sends.
        redo: see `plan`.
        limit: see `plan`.
        fail_fast: stop after the first pair that fails.
        wait_seconds: longest time to wait for another run that works on the outbox.
        shard: the shard of which these are the pairs; None: this is the only run on the outbox.

    Raises:
        MachineError: the device, the disk or the weights failed.
        LockedError: another run works on the outbox.
        Interrupted: a signal came; the next run continues the work.
    """
    begin = time.monotonic()
    weights = find_weights(settings.network.weights, settings.network.preprocessing)
    devices = ", ".join(map(str, find_devices(settings.run.local_device)))
    if settings.run.cluster:
        devices = f"the cluster {settings.run.cluster}"
    usage = Usage()
    with (
        StopRequest() as stop_request,
        _locked(outbox, shard, stop_request, wait_seconds),
        Attempts(outbox, settings.run.max_attempts) as attempts,
        contextlib.closing(prefetch(plan(pairs, outbox, weights, redo=redo, limit=limit), _PLANNED_AHEAD)) as ahead,
    ):
        observer.began()
        planned: Iterable[PlannedPair | None] = ahead
        budget = None
        if settings.run.time_budget:  # the time for each pair depends on all of them
            planned = items = _plan_all(planned, stop_request)
            budget = _time_budget(items, settings, weights, begin)
        tally = _Tally(outbox, attempts, observer, len(pairs), budget)
        with contextlib.closing(tally.tasks(planned, stop_request)) as tasks:
            first = next((task for task in tasks if task is not None), None)
            logger.info("%d pairs on %s with weights %s", len(pairs), devices, weights.name)
            if first is not None:
                listener = _StageListener(observer, stop_request, settings.run.grace_seconds)
                with contextlib.closing(make_stage(settings, weights, outbox, listener)) as stage:
                    usage = stage.usage
                    _render(stage, itertools.chain([first], tasks), tally, fail_fast=fail_fast)
        if tally.waiting and not fail_fast:
            stop_request.check()
        tally.warn_about_short_time(settings.run.time_budget)
    return tally.summary(time.monotonic() - begin, usage)


@contextlib.contextmanager
def _locked(outbox: Outbox, shard: Shard | None, stop_request: StopRequest, wait_seconds: float) -> Iterator[None]:
    """Use the outbox as its only run, or the only one of this shard, after a wait if need be.

    Raises:
        LockedError: another run works on the outbox, and did so for all of the time.
        Interrupted: a signal came during the wait.
        StorageError: the outbox cannot be made or written.
    """
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        for attempt in itertools.count():
            try:
                stack.enter_context(outbox.locked(shard))
            except LockedError:
                if time.monotonic() - begin >= wait_seconds:
                    raise
            else:
                break
            if attempt == _LOOKS_IN_SILENCE:
                logger.warning("%s: another run works on this outbox; this one waits for it.", outbox.root)
            stop_request.check()
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _plan_all(planned: Iterable[PlannedPair | None], stop_request: StopRequest) -> list[PlannedPair]:
    items = []
    for item in planned:
        stop_request.check()
        if item is not None:
            items.append(item)
    return items


def _time_budget(
    planned: Iterable[PlannedPair], settings: Settings, weights: WeightsSource, begin: float
) -> TimeBudget | None:
    """Return the budget of a run that began at `begin` on the monotonic clock; None if there is nothing to render."""
    to_render = [item for item in planned if item.action is Action.RENDER]
    if not to_render:
        return None
    end = begin + parse_duration(settings.run.time_budget)
    if time.monotonic() >= end:  # no pair can begin, so there is nothing to measure
        return TimeBudget(0.0, lambda *_: 0.0)
    estimator = Estimator(settings, weights)
    budget = TimeBudget(
        end - time.monotonic(),
        lambda pair, size, evaluations: estimator.expect(pair.settings, *size, evaluations).seconds,
        devices=len(find_devices(settings.run.local_device)),
    )
    for item in to_render:
        if item.size is not None:
            budget.add(item.pair, item.size, optimisation_key(item.pair, map(str, item.pair.files)))
    return budget


class _StageListener:
    """The stage's `Listener`: passes evaluations on to the observer, and ends the work if a stop was requested.

    After SIGTERM the pair in progress has a period of grace. After Ctrl-C it has none: a person does not want to wait.
    """

    def __init__(self, observer: Observer, stop_request: StopRequest, grace_seconds: float) -> None:
        self._observer, self._stop_request, self._grace_seconds = observer, stop_request, grace_seconds

    def check(self) -> None:
        self._stop_request.check()

    def pair_started(self, pair: Pair) -> None:
        self._stop_request.check()
        self._observer.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        is_terminated = self._stop_request.requested is ExitCode.TERMINATED
        self._stop_request.check(self._grace_seconds if is_terminated else 0.0)
        self._observer.evaluated(pair, evaluation)


class _Tally:
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
                yield self._begin(task)
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
            yield self._begin(self._alone.pop(0))

    @property
    def _is_over(self) -> bool:
        return self._budget is not None and self._budget.is_over

    def _begin(self, task: Task) -> Task:
        evaluations = None
        if self._budget is not None:
            if self.stage is not None:
                self._budget.devices = self.stage.seats
            evaluations = self._budget.begin(task.pair)
        return self._attempts.begin(replace(task, evaluations=evaluations))

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


def _render(stage: Stage | StagePool, tasks: Iterable[Task | None], tally: _Tally, *, fail_fast: bool) -> None:
    """Send tasks through the stage; with `fail_fast`, until a pair fails."""
    tally.stage = stage
    tally.observer.rendering_started(tally.expected)
    try:
        with contextlib.closing(stage.process(tasks)) as outcomes:
            for outcome in outcomes:
                tally.finish(outcome)
                if fail_fast and tally.has_failures:
                    break
    finally:
        tally.observer.rendering_ended()
