"""The shots of a sequence: which frames follow the frame before them, and which begin anew.

A frame begins a shot if it is the first of its sequence, if the picture changes as a whole, or if the frame before it
cannot be read. What a shot begins with is painted like a photograph, so shots do not wait for each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.errors import ImageError, UnreadableError
from pipeline.images.colour.luma_chroma import luma
from pipeline.images.decode import decode
from pipeline.images.files import read_file
from pipeline.images.flow import flow, moved
from pipeline.images.resize import SHORTEST_SIDE, resize_visible
from pipeline.outbox.ledger import recorded_result
from pipeline.pair import Predecessor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.images.picture import Pixels
    from pipeline.outbox.ledger import Fingerprint
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings

_COMPARED_PX: Final = 160
"""Longest side in px of the pictures in which cuts are searched."""
_CUT_LEVELS: Final = 20.0
"""Mean difference of luma in levels, after the motion is taken away, from which a frame begins a shot."""


@dataclass
class _Latest:
    """The latest frame of a sequence."""

    pair: Pair
    key: str | None
    """Key of its result; None if it cannot be read."""
    content_sha256: str
    size: tuple[int, int] | None
    """Width and height in px of its file."""
    age: int
    """Number of frames since the shot began, or was painted through again."""
    small: Pixels | None = None
    """The frame as cuts are searched in it; None: not decoded yet."""


class Shots:
    """Places frames into shots, in the order of their sequences."""

    def __init__(self, outbox: Outbox, fingerprint_of: Callable[[Pair], Fingerprint | None]) -> None:
        """Begin before the first frame.

        Args:
            outbox: the outbox; what it has tells where the shots of earlier runs began, so that nothing is decoded.
            fingerprint_of: returns the fingerprint of a pair; None if one of its files cannot be read.
        """
        self._outbox, self._fingerprint_of = outbox, fingerprint_of
        self._latest: dict[str, _Latest] = {}
        """The latest frame of each sequence, by the file name of its result."""

    def place(self, pair: Pair, content_sha256: str | None, size: tuple[int, int] | None) -> Pair:
        """Return a frame with the frame that it follows, if it does; other pairs as they are.

        Args:
            pair: the pair; frames come in the order of their sequence.
            content_sha256: hash of its photograph; None if that cannot be read.
            size: width and height in px of its photograph; None if they cannot be read.
        """
        if pair.frame is None:
            return pair
        latest = self._latest.pop(pair.frame.previous, None)
        if latest is not None:
            pair = replace(pair, frame=replace(pair.frame, previous_sha256=latest.content_sha256))
        now = _Latest(pair, None, content_sha256 or "", size, 0)
        if latest is not None and latest.key and size == latest.size and pair.settings.sequence.flow != "none":
            following = _following(pair, latest, latest.key)
            if self._is_one_shot(following, now, latest):
                renews = following.predecessor is not None and following.predecessor.renews
                now.pair, now.age = following, 0 if renews else latest.age + 1
        fingerprint = self._fingerprint_of(now.pair)
        now.key = fingerprint.key if fingerprint is not None else None
        self._latest[pair.file_name] = now
        return now.pair

    def forget(self, file_name: str) -> None:
        """Let the frame after a result begin a shot, since there is no such result."""
        self._latest.pop(file_name, None)

    def _is_one_shot(self, following: Pair, now: _Latest, latest: _Latest) -> bool:
        """Whether a frame continues the shot of the frame before it."""
        alone, chained = self._fingerprint_of(now.pair), self._fingerprint_of(following)
        if alone is None or chained is None:
            return False
        recorded = recorded_result(self._outbox, following.file_name)
        if recorded is not None and recorded.frame is not None and recorded.key in (alone.key, chained.key):
            basis = recorded.frame.previous_sha256, recorded.frame.settings.get("cuts")
            if basis == (latest.content_sha256, following.settings.sequence.cuts):
                return recorded.key == chained.key
        try:
            now.small = _small(now.pair.content, following.settings.image)
            if latest.small is None:
                latest.small = _small(latest.pair.content, following.settings.image)
        except (ImageError, UnreadableError):
            return False
        return following.settings.sequence.cuts == "none" or not is_cut(now.small, latest.small)


def _following(pair: Pair, latest: _Latest, key: str) -> Pair:
    before, refresh = latest.pair.predecessor, pair.settings.sequence.refresh
    predecessor = Predecessor(
        content=latest.pair.content,
        result=latest.pair.file_name,
        key=key,
        first=before.first if before is not None else latest.pair.content,
        first_sha256=before.first_sha256 if before is not None else latest.content_sha256,
        renews=bool(refresh) and latest.age + 1 >= refresh,
    )
    return replace(pair, frame=replace(pair.frame, predecessor=predecessor)) if pair.frame is not None else pair


def is_cut(frame: Pixels, before: Pixels) -> bool:
    """Whether a frame shows another picture than the frame before, and not the same one moved.

    Args:
        frame: (H, W, 3), 0–255, small.
        before: of the same size.
    """
    displacement, _ = flow(frame, before)
    difference = luma(frame) - luma(moved(before, displacement))
    return bool(np.abs(difference).mean() > _CUT_LEVELS)


def _small(path: Path, images: ImageSettings) -> Pixels:
    def wanted(width: int, height: int) -> tuple[int, int]:
        factor = _COMPARED_PX / max(width, height)
        return max(SHORTEST_SIDE, round(width * factor)), max(SHORTEST_SIDE, round(height * factor))

    picture = decode(read_file(path), max_pixels=images.max_pixels, formats=images.kinds, wanted=wanted)
    return resize_visible(picture.pixels, picture.alpha, *wanted(picture.width, picture.height))[0]
