"""Plan a list of pairs against the outbox, then send what is left to do through the stage."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Self

from pipeline.errors import ExitCode, ImageError, Interrupted
from pipeline.images.read import read_file
from pipeline.outbox.ledger import Entry, Fingerprint, Status, look_up, settings_in_key
from pipeline.outbox.metadata import Failure
from pipeline.stage.device import find_device, find_precision
from pipeline.stage.stage import Outcome, Stage, Task
from pipeline.transfer.stylizer import ENGINE_VERSION, Evaluation
from pipeline.transfer.weights import find_weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import FrameType

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
            except ImageError:
                hashes[path] = None
    content, style = hashes[pair.content], hashes[pair.style]
    if content is None or style is None:
        return None
    return Fingerprint(content, style, settings_in_key(pair.settings), weights.sha256, ENGINE_VERSION)


class Stop:
    """Turns Ctrl-C and SIGTERM into `Interrupted` at the next safe moment; a second signal ends the process at once."""

    def __init__(self) -> None:
        self._requested: ExitCode | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave us

    def _request(self, number: int, _: FrameType | None) -> None:
        self._requested = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._requested is not None:
            raise Interrupted(self._requested)


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
    counts: Counter[str] = Counter()
    with Stop() as stop, outbox.locked():
        tasks = []
        for item in plan(pairs, outbox, weights, redo=redo, limit=limit):
            stop.check()
            if item.action is Action.RENDER:
                tasks.append(Task(item.pair, item.attempt, item.key))
                continue
            if item.action is Action.SKIP:
                outbox.forget_failure(item.pair.name)
            counts[item.action] += 1
            on_planned(item)
        logger.info("%d of %d pairs to render on %s with weights %s", len(tasks), len(pairs), device, weights.name)
        if tasks:
            stage = Stage(
                network=load_weights(weights),
                weights=weights,
                device=device,
                precision=find_precision(settings.network.precision, device),
                outbox=outbox,
                max_pixels=settings.image.max_pixels,
                listener=_Watched(display, stop),
            )
            for outcome in _render(stage, tasks, display, fail_fast=fail_fast):
                counts[outcome.record.status] += 1
                on_outcome(outcome)
    failed = counts["failed"] + counts[Action.STILL_FAILED]
    waiting = len(pairs) - counts["done"] - counts[Action.SKIP] - failed
    return Summary(counts["done"], counts[Action.SKIP], failed, waiting, time.monotonic() - begin)


def _render(stage: Stage, tasks: list[Task], display: Display, *, fail_fast: bool) -> Iterator[Outcome]:
    display.start(len(tasks))
    try:
        with contextlib.closing(stage.process(tasks)) as outcomes:
            for outcome in outcomes:
                record = outcome.record
                failure = f"{record.reason} {record.remedy}" if isinstance(record, Failure) else None
                display.pair_finished(outcome.pair.name, failure)
                yield outcome
                if failure and fail_fast:
                    return
    finally:
        display.stop()
