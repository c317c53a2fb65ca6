"""Plan a list of pairs against the outbox, then send what is left to do through the stage."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExitCode, OccupiedError, StorageError
from pipeline.outbox.marks import RUN
from pipeline.outbox.metadata import Failure, Metadata
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
    from collections.abc import Callable, Generator, Iterable, Sequence

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.run.plan import PlannedPair, Redo
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.listener import Display
    from pipeline.stage.pool.stage_pool import StagePool
    from pipeline.stage.stage import Stage
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)

_PLANNED_AHEAD: Final = 64
"""Pairs that are read and hashed before it is their turn."""


class _Watched:
    """The stage's listener: asks for a stop between evaluations, and shows them.

    After SIGTERM the pair in work has its time of grace; who presses Ctrl-C does not want to wait for it.
    """

    def __init__(self, display: Display, stop: StopRequest, grace_seconds: float) -> None:
        self._display, self._stop, self._grace_seconds = display, stop, grace_seconds

    def pair_started(self, pair: Pair) -> None:
        self._stop.check()
        self._display.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self._stop.check(self._grace_seconds if self._stop.requested is ExitCode.TERMINATED else 0.0)
        self._display.evaluated(pair, evaluation)


def run(  # noqa: PLR0913 - what a run consists of
    pairs: Sequence[Pair],
    outbox: Outbox,
    settings: Settings,
    display: Display,
    *,
    redo: Redo | None = None,
    limit: int | None = None,
    fail_fast: bool = False,
    on_planned: Callable[[PlannedPair], None] = lambda _: None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> Summary:
    """Render what the outbox does not have yet.

    Args:
        pairs: of the manifest.
        outbox: locked for as long as this lasts.
        settings: those that hold for the whole run.
        display: what a person sees.
        redo: see `plan`.
        limit: see `plan`.
        fail_fast: stop after the first pair that fails.
        on_planned: called with every pair that will not be rendered.
        on_outcome: called with every pair that was, done or failed.

    Raises:
        MachineError: the machine cannot do it.
        LockedError: another run has the outbox.
        Interrupted: a signal came; the next run continues.
    """
    begin = time.monotonic()
    weights = find_weights(settings.network.weights, settings.network.preprocessing)
    devices = ", ".join(map(str, find_devices(settings.run.device)))
    usage = Usage()
    with StopRequest() as stop, outbox.locked(), Attempts(outbox, settings.run.max_attempts) as attempts:
        planned: Iterable[PlannedPair | None]
        planned = prefetch(plan(pairs, outbox, weights, redo=redo, limit=limit), _PLANNED_AHEAD)
        budget = None
        if settings.run.time_budget:  # it takes all pairs to know how much time there is for each
            planned = items = _plan_all(planned, stop)
            budget = _time_budget(items, settings, weights, begin)
        tally = _Tally(outbox, attempts, display, on_planned, on_outcome, len(pairs), budget)
        tasks = tally.tasks(planned, stop)
        with contextlib.closing(tasks):
            first = next((task for task in tasks if task is not None), None)
            logger.info("%d pairs on %s with weights %s", len(pairs), devices, weights.name)
            if first is not None:
                watched = _Watched(display, stop, settings.run.grace_seconds)
                with (
                    contextlib.closing(make_stage(settings, weights, outbox, watched)) as stage,
                    contextlib.closing(_render(stage, itertools.chain([first], tasks), display, tally)) as outcomes,
                ):
                    usage = stage.usage
                    for outcome in outcomes:
                        tally.finish(outcome)
                        if fail_fast and outcome.error:
                            break
        if tally.waiting and not fail_fast:
            stop.check()
    return tally.summary(time.monotonic() - begin, usage)


def _plan_all(planned: Iterable[PlannedPair | None], stop: StopRequest) -> list[PlannedPair]:
    items = []
    for item in planned:
        stop.check()
        if item is not None:
            items.append(item)
    return items


def _time_budget(
    planned: Iterable[PlannedPair], settings: Settings, weights: WeightsSource, begin: float
) -> TimeBudget | None:
    """That of a run which began at a moment of the monotonic clock; None if there is nothing to render."""
    to_render = [item for item in planned if item.action is Action.RENDER]
    if not to_render:
        return None
    estimator = Estimator(settings, weights)
    budget = TimeBudget(
        parse_duration(settings.run.time_budget) - (time.monotonic() - begin),
        lambda pair, size, evaluations: estimator.expect(pair.settings, *size, evaluations).seconds,
        devices=len(find_devices(settings.run.device)),
    )
    for item in to_render:
        if item.size is not None:
            budget.add(item.pair, item.size, optimisation_key(item.pair, map(str, item.pair.files)))
    return budget


class _Tally:
    """Writes down what becomes of each pair."""

    def __init__(  # noqa: PLR0913, PLR0917 - who is to know of it
        self,
        outbox: Outbox,
        attempts: Attempts,
        display: Display,
        on_planned: Callable[[PlannedPair], None],
        on_outcome: Callable[[Outcome], None],
        pairs: int,
        budget: TimeBudget | None,
    ) -> None:
        self._outbox, self._attempts, self._display = outbox, attempts, display
        self._on_planned, self._on_outcome, self._pairs, self._budget = on_planned, on_outcome, pairs, budget
        self.counts: Counter[str] = Counter()

    @property
    def expected(self) -> int:
        """Pairs to be rendered, as far as it is known."""
        return self._pairs - sum(self.counts[action] for action in Action)

    @property
    def waiting(self) -> int:
        """Pairs that nothing was done about."""
        counts = self.counts
        return self._pairs - counts["done"] - counts["failed"] - counts[Action.SKIP] - counts[Action.STILL_FAILED]

    def summary(self, seconds: float, usage: Usage) -> Summary:
        """Return the counts of the run. Failures, those of earlier runs included, are never hidden behind a zero."""
        failed = self.counts["failed"] + self.counts[Action.STILL_FAILED]
        counts = {
            "rendered": self.counts["done"],
            "skipped": self.counts[Action.SKIP],
            "failed": failed,
            "waiting": self.waiting,
        }
        return Summary(counts, seconds, ExitCode.PARTIAL if failed else ExitCode.OK, usage)

    def tasks(self, planned: Iterable[PlannedPair | None], stop: StopRequest) -> Generator[Task | None]:
        """What is to be rendered, as it is planned, each counted as an attempt; no more after a stop was asked for."""
        for item in planned:
            if stop.requested is not None:
                return
            if item is None:
                yield None
                continue
            if item.action is Action.RENDER and self._budget is not None and self._budget.is_over:
                continue  # it waits for the next run
            for task in self.take_up(item):
                evaluations = self._budget.begin(task.pair) if self._budget is not None else None
                yield self._attempts.begin(replace(task, evaluations=evaluations))

    def take_up(self, item: PlannedPair) -> list[Task]:
        """The task, if there is one."""
        if item.action is Action.RENDER:
            task = self._attempts.consider(Task(item.pair, item.attempt, item.key))
            if isinstance(task, Task):
                return [task]
            self.finish(task)
            return []
        if item.action is Action.SKIP:
            self._outbox.forget_failure(item.pair.name)
            self._outbox.end_attempt(item.pair.file_name, RUN)  # if the last run ended right after it was done
        self.counts[item.action] += 1
        self._on_planned(item)
        self._display.expect(self.expected)
        return []

    def finish(self, outcome: Outcome) -> None:
        """A pair is done, or has failed."""
        if isinstance(outcome.record, Failure):
            try:
                self._outbox.publish_failure(outcome.pair.name, outcome.record)
            except OccupiedError as error:  # a failure that is not written down would be hidden
                raise StorageError(error.message, error.remedy) from error
        self._attempts.end(outcome)
        if self._budget is not None:
            record = outcome.record
            seconds = record.seconds.stylise if isinstance(record, Metadata) and not record.resumed_at else None
            self._budget.end(outcome.pair, seconds)  # the rest of a pair says nothing of the pace
        self.counts[outcome.record.status] += 1
        self._on_outcome(outcome)


def _render(
    stage: Stage | StagePool, tasks: Iterable[Task | None], display: Display, tally: _Tally
) -> Generator[Outcome]:
    display.start(tally.expected)
    try:
        with contextlib.closing(stage.process(tasks)) as outcomes:
            for outcome in outcomes:
                record = outcome.record
                failure = f"{record.reason} {record.remedy}" if isinstance(record, Failure) else None
                display.pair_finished(outcome.pair.name, failure)
                yield outcome
    finally:
        display.stop()
