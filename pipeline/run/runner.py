"""A run: compare a list of pairs with the outbox, then send those that are to be rendered through the stage."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExitCode, LockedError
from pipeline.run.films import publish_films
from pipeline.run.plan import Action, plan
from pipeline.run.prefetch import prefetch
from pipeline.run.tally import Tally
from pipeline.run.time_budget import TimeBudget
from pipeline.settings.base import parse_duration
from pipeline.signals import StopRequest
from pipeline.stage.attempts import Attempts
from pipeline.stage.device.devices import find_devices
from pipeline.stage.device.estimate import Estimator
from pipeline.stage.engine_config import optimisation_key
from pipeline.stage.pool.stage_pool import make_stage
from pipeline.stage.summary import Usage
from pipeline.transfer.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.outbox.publish import Outbox
    from pipeline.outbox.run_lock import Shard
    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.run.plan import PlannedPair, Redo
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.pool.stage_pool import StagePool
    from pipeline.stage.stage import Stage
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Task
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
        observer: receives the events, except for `started`, `finished` and `aborted`, which the caller sends.
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
    logger.info("%d pairs on %s with weights %s", len(pairs), _devices_of(settings), weights.name)
    with (
        StopRequest() as stop_request,
        _locked(outbox, shard, stop_request, wait_seconds),
        Attempts(outbox, settings.run.max_attempts) as attempts,
        contextlib.closing(prefetch(plan(pairs, outbox, weights, redo=redo, limit=limit), _PLANNED_AHEAD)) as ahead,
    ):
        observer.began()
        planned, budget = _within_time(ahead, settings, weights, begin, stop_request)
        tally = Tally(outbox, attempts, observer, len(pairs), budget)
        listener = _StageListener(observer, stop_request, settings.run.grace_seconds)
        with contextlib.closing(tally.tasks(planned, stop_request)) as tasks:
            usage = _render(partial(make_stage, settings, weights, outbox, listener), tasks, tally, fail_fast=fail_fast)
        if tally.waiting and not fail_fast:
            stop_request.check()
        tally.films = publish_films(pairs, outbox, tally.done, stop_request.check)
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


def _devices_of(settings: Settings) -> str:
    """Return the devices of a run, in words."""
    devices = ", ".join(map(str, find_devices(settings.run.local_device)))
    return f"the cluster {settings.run.cluster}" if settings.run.cluster else devices


def _within_time(
    ahead: Iterable[PlannedPair | None],
    settings: Settings,
    weights: WeightsSource,
    begin: float,
    stop_request: StopRequest,
) -> tuple[Iterable[PlannedPair | None], TimeBudget | None]:
    """Return the planned pairs with the time budget, if there is one: the time for each pair depends on all of them."""
    if not settings.run.time_budget:
        return ahead, None
    items = []
    for item in ahead:
        stop_request.check()
        if item is not None:
            items.append(item)
    return items, _time_budget(items, settings, weights, begin)


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
        lambda pair, size, evaluations: (
            estimator.expect(pair.settings, *size, evaluations, follows=pair.follows).seconds
        ),
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

    def check(self, *, in_progress: bool) -> None:
        self._stop_request.check(self._grace if in_progress else 0.0)

    def pair_started(self, pair: Pair) -> None:
        self._stop_request.check()
        self._observer.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self._stop_request.check(self._grace)
        self._observer.evaluated(pair, evaluation)

    @property
    def _grace(self) -> float:
        return self._grace_seconds if self._stop_request.requested is ExitCode.TERMINATED else 0.0


def _render(
    make: Callable[[], Stage | StagePool], tasks: Iterator[Task | None], tally: Tally, *, fail_fast: bool
) -> Usage:
    """Send tasks through a stage, which is made if there are any; with `fail_fast`, until a pair fails."""
    first = next((task for task in tasks if task is not None), None)
    if first is None:
        return Usage()
    with contextlib.closing(make()) as stage:
        tally.stage = stage
        tally.observer.rendering_started(tally.expected)
        try:
            with contextlib.closing(stage.process(tally.within_budget(itertools.chain([first], tasks)))) as outcomes:
                for outcome in outcomes:
                    tally.finish(outcome)
                    if fail_fast and tally.has_failures:
                        break
        finally:
            tally.observer.rendering_ended()
        return stage.usage
