"""The plan of a run: an action and its reason for each pair, from a comparison of its inputs with the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ImageError, UnreadableError
from pipeline.images.decode import dimensions
from pipeline.images.files import read_file
from pipeline.images.resize import working_size
from pipeline.outbox.ledger import Fingerprint, LedgerEntry, Status, look_up
from pipeline.run.shots import Shots
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.transfer.weights import WeightsSource

Redo = Literal["failed", "all"]
"""Pairs that are rendered again: `failed`: pairs that failed before; `all`: also pairs that are done."""


class Action(StrEnum):
    """The action of a run on a pair."""

    RENDER = "render"
    SKIP = "skip"
    STILL_FAILED = "still failed"
    WAIT = "wait"


@dataclass(frozen=True)
class PlannedPair:
    """A pair with the action of a run on it, and the reason."""

    pair: Pair
    action: Action
    reason: str
    attempt: int
    """Number of the attempt that rendering would be, from 1."""
    key: str | None
    """The result's key; None if an input cannot be read."""
    size: tuple[int, int] | None = None
    """Working size (width, height) in px; None if the photograph cannot be read."""


def plan(
    pairs: Sequence[Pair],
    outbox: Outbox,
    weights: WeightsSource,
    *,
    redo: Redo | None = None,
    limit: int | None = None,
) -> Iterator[PlannedPair]:
    """Decide for every pair, in order, whether it is rendered; reads inputs and outbox and writes nothing.

    Args:
        pairs: the pairs of the manifest.
        outbox: the outbox; its folder need not exist.
        weights: the network's weights, which are part of every key.
        redo: `failed`: only pairs that failed before; `all`: also pairs that are done; None: pairs that are not done.
        limit: the largest number of pairs to render, in the manifest's order; None: all.
    """
    headers: dict[Path, _FileHeader | None] = {}
    shots = Shots(outbox, lambda pair: _fingerprint(pair, weights, headers))
    rendered = 0
    for named in pairs:
        content = _header_of(named.content, headers)
        pair = shots.place(named, *((content.sha256, content.dimensions) if content else (None, None)))
        fingerprint = _fingerprint(pair, weights, headers)
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
class _FileHeader:
    """Properties of a file that are known without decoding it."""

    sha256: str
    dimensions: tuple[int, int] | None
    """Width and height in px; None if they cannot be read."""


def _header_of(path: Path, headers: dict[Path, _FileHeader | None]) -> _FileHeader | None:
    if path not in headers:
        try:
            source = read_file(path)
            headers[path] = _FileHeader(source.sha256, dimensions(source))
        except (ImageError, UnreadableError):
            headers[path] = None
    return headers[path]


def _size_of(pair: Pair, content: _FileHeader | None) -> tuple[int, int] | None:
    if content is None or content.dimensions is None:
        return None
    try:
        return working_size(*content.dimensions, pair.settings.image.size)
    except ImageError:
        return None


def _fingerprint(pair: Pair, weights: WeightsSource, headers: dict[Path, _FileHeader | None]) -> Fingerprint | None:
    """Return the fingerprint of a pair; None if one of its files cannot be read."""

    def sha256_of(path: Path) -> str:
        header = _header_of(path, headers)
        if header is None:
            raise _UnreadableInputError
        return header.sha256

    try:
        return Fingerprint.of(pair, sha256_of, weights.sha256, ENGINE_VERSION)
    except _UnreadableInputError:
        return None


class _UnreadableInputError(Exception):
    """An input cannot be read."""
