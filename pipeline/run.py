"""Plan a list of pairs against the outbox, then send what is left to do through the stage."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pipeline.attempts import Attempts
from pipeline.errors import ExitCode, ImageError, OccupiedError, StorageError, UnreadableError
from pipeline.images.read import read_file
from pipeline.outbox.ledger import Entry, Fingerprint, Status, look_up, settings_in_key
from pipeline.outbox.marks import RUN
from pipeline.outbox.metadata import Failure
from pipeline.stage.device import find_device
from pipeline.stage.stage import Stage
from pipeline.stage.task import Outcome, Task
from pipeline.stop import Stop
from pipeline.transfer.stylizer import ENGINE_VERSION, Evaluation
from pipeline.transfer.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.progress import Display
    from pipeline.settings import Settings
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)

Redo = Literal["failed", "all"]


class Action(StrEnum):
    """What a run does with a pair."""

    RENDER = "render"
    SKIP = "skip"
    STILL_FAILED = "still failed"
    WAIT = "wait"


@dataclass(frozen=True)
class PlannedPair:
    """A pair, what will be done with it, and why."""

    pair: Pair
    action: Action
    reason: str
    attempt: int
    key: str | None


@dataclass(frozen=True)
class Summary:
    """How a run ended: every pair of the manifest is counted once."""

    rendered: int
    skipped: int
    failed: int
    waiting: int
    seconds: float

    @property
    def exit_code(self) -> ExitCode:
        """Failures, those of earlier runs included, are never hidden behind a zero."""
        return ExitCode.PARTIAL if self.failed else ExitCode.OK


def plan(
    pairs: Sequence[Pair],
    outbox: Outbox,
    weights: WeightsSource,
    *,
    redo: Redo | None = None,
    limit: int | None = None,
) -> Iterator[PlannedPair]:
    """Decide for every pair, in order, whether it is rendered; reads inputs and outbox, writes nothing.

    Args:
        pairs: of the manifest.
        outbox: it need not exist.
        weights: part of every key.
        redo: `failed`: only pairs that failed before; `all`: also what is done.
        limit: render at most so many, in the manifest's order.
    """
    hashes: dict[Path, str | None] = {}
    rendered = 0
    for pair in pairs:
        fingerprint = _fingerprint(pair, weights, hashes)
        entry = look_up(outbox, pair, fingerprint)
        action, reason = _decide(entry, redo)
        if action is Action.RENDER and limit is not None and rendered >= limit:
            action, reason = Action.WAIT, f"beyond --limit {limit}"
        rendered += action is Action.RENDER
        key = fingerprint.key if fingerprint else None
        yield PlannedPair(pair, action, reason, entry.failed_attempts + 1, key)


def _decide(entry: Entry, redo: Redo | None) -> tuple[Action, str]:
    if redo == "all":
        return Action.RENDER, "--redo all"
    if entry.status is Status.DONE:
        return Action.SKIP, entry.reason
    if redo == "failed" and not entry.failed_attempts:
        return Action.WAIT, f"{entry.reason}; left for a run without --redo failed"
    if redo is None and entry.status is Status.FAILED:
        return Action.STILL_FAILED, f"{entry.reason} (unchanged; --redo failed tries it again)"
    return Action.RENDER, entry.reason


def _fingerprint(pair: Pair, weights: WeightsSource, hashes: dict[Path, str | None]) -> Fingerprint | None:
    for path in (pair.content, pair.style):
        if path not in hashes:
            try:
                hashes[path] = read_file(path).sha256
            except (ImageError, UnreadableError):
                hashes[path] = None
    content, style = hashes[pair.content], hashes[pair.style]
    if content is None or style is None:
        return None
    return Fingerprint(content, style, settings_in_key(pair.settings), weights.sha256, ENGINE_VERSION)


class _Watched:
    """The stage's listener: asks for a stop between evaluations, and shows them."""

    def __init__(self, display: Display, stop: Stop) -> None:
        self._display, self._stop = display, stop

    def pair_started(self, pair: Pair) -> None:
        self._stop.check()
        self._display.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self._stop.check()
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
    device = find_device(settings.run.device)
    with Stop() as stop, outbox.locked(), Attempts(outbox, settings.run.max_attempts) as attempts:
        tally = _Tally(outbox, attempts, on_planned, on_outcome)
        tasks = []
        for item in plan(pairs, outbox, weights, redo=redo, limit=limit):
            stop.check()
            tasks += tally.take_up(item)
        logger.info("%d of %d pairs to render on %s with weights %s", len(tasks), len(pairs), device, weights.name)
        if tasks:
            stage = Stage.of(settings, weights, outbox, _Watched(display, stop))
            with contextlib.closing(_render(stage, tasks, attempts, display)) as outcomes:
                for outcome in outcomes:
                    tally.finish(outcome)
                    if fail_fast and outcome.error:
                        break
    counts = tally.counts
    failed = counts["failed"] + counts[Action.STILL_FAILED]
    waiting = len(pairs) - counts["done"] - counts[Action.SKIP] - failed
    return Summary(counts["done"], counts[Action.SKIP], failed, waiting, time.monotonic() - begin)


class _Tally:
    """Writes down what becomes of each pair."""

    def __init__(
        self,
        outbox: Outbox,
        attempts: Attempts,
        on_planned: Callable[[PlannedPair], None],
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._outbox, self._attempts, self._on_planned, self._on_outcome = outbox, attempts, on_planned, on_outcome
        self.counts: Counter[str] = Counter()

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
        return []

    def finish(self, outcome: Outcome) -> None:
        """A pair is done, or has failed."""
        if isinstance(outcome.record, Failure):
            try:
                self._outbox.publish_failure(outcome.pair.name, outcome.record)
            except OccupiedError as error:  # a failure that is not written down would be hidden
                raise StorageError(error.message, error.remedy) from error
        self._attempts.end(outcome)
        self.counts[outcome.record.status] += 1
        self._on_outcome(outcome)


def _render(stage: Stage, tasks: list[Task], attempts: Attempts, display: Display) -> Generator[Outcome]:
    display.start(len(tasks))
    try:
        with contextlib.closing(stage.process(map(attempts.begin, tasks))) as outcomes:
            for outcome in outcomes:
                record = outcome.record
                failure = f"{record.reason} {record.remedy}" if isinstance(record, Failure) else None
                display.pair_finished(outcome.pair.name, failure)
                yield outcome
    finally:
        display.stop()
