"""What a run will do with each pair, and why: inputs against the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ImageError, UnreadableError
from pipeline.images.decode import dimensions, read_file
from pipeline.images.resize import working_size
from pipeline.outbox.ledger import Fingerprint, LedgerEntry, Status, look_up
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.transfer.weights import WeightsSource

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
    size: tuple[int, int] | None = None
    """Working size in px; None if the photograph cannot be read."""


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
    looks: dict[Path, _Look | None] = {}
    rendered = 0
    for pair in pairs:
        content = _look_at(pair.content, looks)
        fingerprint = _fingerprint(pair, weights, looks)
        entry = look_up(outbox, pair, fingerprint)
        action, reason = _decide(entry, redo)
        if action is Action.RENDER and limit is not None and rendered >= limit:
            action, reason = Action.WAIT, f"beyond --limit {limit}"
        rendered += action is Action.RENDER
        key = fingerprint.key if fingerprint else None
        yield PlannedPair(pair, action, reason, entry.failed_attempts + 1, key, _size_of(pair, content))


def _decide(entry: LedgerEntry, redo: Redo | None) -> tuple[Action, str]:
    if redo == "all":
        return Action.RENDER, "--redo all"
    if entry.status is Status.DONE:
        return Action.SKIP, entry.reason
    if redo == "failed" and not entry.failed_attempts:
        return Action.WAIT, f"{entry.reason}; left for a run without --redo failed"
    if redo is None and entry.status is Status.FAILED:
        return Action.STILL_FAILED, f"{entry.reason} (unchanged; --redo failed tries it again)"
    return Action.RENDER, entry.reason


@dataclass(frozen=True)
class _Look:
    """At a file, before it is decoded."""

    sha256: str
    dimensions: tuple[int, int] | None


def _look_at(path: Path, looks: dict[Path, _Look | None]) -> _Look | None:
    if path not in looks:
        try:
            source = read_file(path)
            looks[path] = _Look(source.sha256, dimensions(source))
        except (ImageError, UnreadableError):
            looks[path] = None
    return looks[path]


def _size_of(pair: Pair, content: _Look | None) -> tuple[int, int] | None:
    if content is None or content.dimensions is None:
        return None
    try:
        return working_size(*content.dimensions, pair.settings.image.size)
    except ImageError:
        return None


def _fingerprint(pair: Pair, weights: WeightsSource, looks: dict[Path, _Look | None]) -> Fingerprint | None:
    """None if one of its files cannot be read."""

    def sha256_of(path: Path) -> str:
        look = _look_at(path, looks)
        if look is None:
            raise _UnseenError
        return look.sha256

    try:
        return Fingerprint.of(pair, sha256_of, weights.sha256, ENGINE_VERSION)
    except _UnseenError:
        return None


class _UnseenError(Exception):
    """A file cannot be read."""
