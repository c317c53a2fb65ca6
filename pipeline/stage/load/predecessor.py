"""The frame before a frame: its photograph, its result, and the motion between both frames."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.errors import ChangedError, ImageError
from pipeline.images.colour.modes import prepare
from pipeline.images.decode import decode
from pipeline.images.files import read_file
from pipeline.images.flow import flow, moved, still
from pipeline.images.formats import READABLE
from pipeline.images.resize import resize, resize_visible
from pipeline.outbox.ledger import recorded_result
from pipeline.stage.engine_config import colour_of
from pipeline.stage.load.loaded_pair import LoadedMotion, difference, tensor_of
from pipeline.transfer.motion import Motion

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.images.files import SourceFile
    from pipeline.images.picture import Pixels
    from pipeline.outbox.metadata import Metadata
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair, Predecessor
    from pipeline.settings.pair_settings import ImageSettings


VISIBLE_SECONDS: Final = 20.0
"""Longest wait in seconds until a result that another machine has published is seen on a network share."""
_LOOK_SECONDS: Final = 0.2
"""Seconds between two looks for it."""
_FADING: Final = 10.0
"""Factor of the temporal term of a frame that is painted through again, which fades the new picture in."""


@dataclass(frozen=True)
class Shot:
    """The frames of a shot that a frame needs, in its working size, (H, W, 3), 0–255."""

    before: Pixels
    """Photograph of the frame before."""
    first: Pixels
    """Photograph of the shot's first frame."""
    result: Pixels
    """Result of the frame before, in its own size."""


def load_shot(predecessor: Predecessor, size: tuple[int, int], images: ImageSettings, outbox: Outbox) -> Shot:
    """Read the frames of a shot that a frame needs.

    Args:
        predecessor: the frame before.
        size: working size (width, height) in px.
        images: formats and sizes that are read.
        outbox: the outbox with the result of the frame before.

    Raises:
        ImageError: one of the files cannot be used.
        ChangedError: one of the files has changed since the run was planned.
    """
    recorded, result = _published(predecessor, outbox)
    before = _photograph(predecessor.content, recorded.pair.content.sha256, size, images)
    first = before
    if predecessor.first != predecessor.content:
        first = _photograph(predecessor.first, predecessor.first_sha256, size, images)
    own_pixels = recorded.output.width * recorded.output.height
    picture = decode(result, max_pixels=own_pixels, formats=READABLE)
    return Shot(before, first, picture.pixels)


def _published(predecessor: Predecessor, outbox: Outbox) -> tuple[Metadata, SourceFile]:
    """Return metadata and file of the result before, which another machine may see a little later than its maker.

    Raises:
        ChangedError: they are not those that this frame follows.
    """
    end = time.monotonic() + VISIBLE_SECONDS
    while True:
        recorded = recorded_result(outbox, predecessor.result)
        if recorded is not None and recorded.key == predecessor.key:
            with contextlib.suppress(ImageError):  # it is missing
                result = read_file(outbox.root.resolve() / predecessor.result)
                if result.sha256 == recorded.output.sha256:
                    return recorded, result
        if time.monotonic() > end:
            raise _changed(predecessor.result)
        time.sleep(_LOOK_SECONDS)


def _photograph(path: Path, sha256: str, size: tuple[int, int], images: ImageSettings) -> Pixels:
    source = read_file(path)
    if source.sha256 != sha256:
        raise _changed(path.name)
    picture = decode(source, max_pixels=images.max_pixels, formats=images.kinds, wanted=lambda _width, _height: size)
    return resize_visible(picture.pixels, picture.alpha, *size)[0]


def _changed(name: str) -> ChangedError:
    return ChangedError(f"{name}: has changed since this run was planned.", "Run the same command again.")


def motion_of(pair: Pair, pixels: Pixels, shot: Shot) -> LoadedMotion:
    """Return the motion from the frame before to this frame.

    Args:
        pair: the frame's pair.
        pixels: its photograph in working size.
        shot: the other frames.
    """
    settings = pair.settings
    renews = pair.predecessor is not None and pair.predecessor.renews
    displacement, trust = flow(pixels, shot.before)
    kept = still(pixels, shot.before, shot.first, displacement)
    displacement[kept > 0] = 0  # an interpolation between pixels would blur what stands still
    height, width = pixels.shape[:2]
    result = resize(shot.result, width, height)
    seen = prepare(colour_of(settings.colour), result, result)[0]
    trust = np.maximum(trust, kept)
    motion = Motion(
        tensor_of(moved(seen, displacement)),
        torch.from_numpy(trust)[None, None],
        torch.from_numpy(kept)[None, None],
        settings.sequence.temporal * (_FADING if renews else 1.0),
        renews=renews,
    )
    photographs = difference(pixels, moved(shot.before, displacement), trust)
    return LoadedMotion(motion, shot.result, np.clip(moved(result, displacement), 0, 255), photographs)
