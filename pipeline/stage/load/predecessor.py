"""The frame before a frame: its photograph, its result, and the motion between both frames."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.errors import ChangedError, ImageError
from pipeline.images.colour.modes import prepare_content
from pipeline.images.decode import decode, dimensions
from pipeline.images.files import read_file
from pipeline.images.flow import moved
from pipeline.images.formats import READABLE
from pipeline.images.resize import resize, working_size
from pipeline.outbox.ledger import recorded_result
from pipeline.pair import Step
from pipeline.stage.engine_config import colour_of
from pipeline.stage.load.flows import FlowKey, FlowsAhead, FrameFlow
from pipeline.stage.load.loaded_pair import LoadedMotion, tensor_of
from pipeline.stage.load.photograph import Photograph
from pipeline.transfer.motion import Motion

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable
    from pathlib import Path

    from pipeline.images.files import SourceFile
    from pipeline.images.picture import Pixels
    from pipeline.outbox.metadata import Metadata
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair, Predecessor
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.pixel_budget import PixelBudget


FRAMES_OF_A_SHOT: Final = 6
"""Pictures in working size that a frame needs besides its own: photographs, results and flow of earlier frames."""
VISIBLE_SECONDS: Final = 20.0
"""Longest wait in seconds until a result that another machine has published is seen on a network share."""
_LOOK_SECONDS: Final = 0.2
"""Seconds between two looks for it."""
_FADING: Final = 10.0
"""Factor of the temporal term of a frame that is painted through again, which fades the new picture in."""


@dataclass(frozen=True)
class Shot:
    """The frames of a shot that a frame needs."""

    first: Pixels
    """Photograph of the shot's first frame in working size, (H, W, 3), 0–255."""
    result: Pixels
    """Result of the frame before, in its own size, (H', W', 3), 0–255."""
    flow: FrameFlow
    """The flow from the frame to the frame before."""


class Predecessors:
    """Reads the frames before frames. Several threads may call it at the same time."""

    def __init__(self, outbox: Outbox, images: ImageSettings) -> None:
        """Begin without a flow.

        Args:
            outbox: the outbox with the results of the frames before.
            images: formats and sizes that are read.
        """
        self._outbox, self._images = outbox, images
        self._flows = FlowsAhead()

    def shot_of(self, pair: Pair, predecessor: Predecessor, sha256: str, pixels: Pixels) -> Shot:
        """Read the frames of a shot that a frame needs.

        Args:
            pair: the frame's pair.
            predecessor: the frame before.
            sha256: hash of the frame's photograph.
            pixels: the frame's photograph in working size, (H, W, 3), 0–255.

        Raises:
            ImageError: one of the files cannot be used.
            ChangedError: one of the files has changed since the run was planned.
        """
        recorded, result = _published(predecessor, self._outbox)
        before_sha256, first_sha256 = recorded.pair.content.sha256, predecessor.first_sha256
        first = self._photograph(_unchanged(predecessor.first, first_sha256), pair)

        def flow() -> FrameFlow:
            is_first = predecessor.first == predecessor.content
            before = first if is_first else self._photograph(_unchanged(predecessor.content, before_sha256), pair)
            return FrameFlow.between(pixels, before, first)

        step = Step(pair.content, predecessor.content, predecessor.first)
        found = self._flows.take(_key_of_flow(pair, step), (sha256, before_sha256, first_sha256), flow)
        own_pixels = recorded.output.width * recorded.output.height
        return Shot(first, decode(result, max_pixels=own_pixels, formats=READABLE).pixels, found)

    def expect(self, pair: Pair, steps: Collection[Step]) -> None:
        """Forget the flows of a shot, except those of the frames that come after one of its frames."""
        first = pair.predecessor.first if pair.predecessor is not None else pair.content
        self._flows.expect(_shot_of(pair, first), steps)

    def look_ahead(self, pair: Pair, step: Step, budget: PixelBudget) -> None:
        """Compute the flow of a frame that will be loaded soon, if there is room for it.

        Args:
            pair: the pair of an earlier frame of the shot.
            step: the frame's photographs.
            budget: room for pixels; this never waits for it.

        Raises:
            ImageError: one of the files cannot be used.
        """
        key = _key_of_flow(pair, step)
        if key in self._flows:
            return
        frame = read_file(step.frame)
        native = dimensions(frame)
        if native is None:
            return
        pixels = native[0] * native[1]
        size = working_size(*native, pair.settings.image.size)
        room = 3 * pixels + FRAMES_OF_A_SHOT * size[0] * size[1]
        if not budget.take_now(room):
            return
        try:
            files = frame, read_file(step.before), read_file(step.first)
            self._flows.compute(
                key,
                size[0] * size[1],
                tuple(file.sha256 for file in files),
                lambda: FrameFlow.between(*(self._photograph(file, pair) for file in files)),
            )
        finally:
            budget.release(room)

    def _photograph(self, file: SourceFile, pair: Pair) -> Pixels:
        return Photograph.read(file, pair.settings.image, self._images).pixels


def _key_of_flow(pair: Pair, step: Step) -> FlowKey:
    return FlowKey(_shot_of(pair, step.first), step, (pair.settings.image.size, pair.settings.image.upscale))


def _shot_of(pair: Pair, first: Path) -> Hashable:
    """Return what the frames of a shot share that follow each other, by its first photograph."""
    return pair.frame.clip if pair.frame is not None else "", pair.settings.colour.mode, first


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


def _unchanged(path: Path, sha256: str) -> SourceFile:
    source = read_file(path)
    if source.sha256 != sha256:
        raise _changed(path.name)
    return source


def _changed(name: str) -> ChangedError:
    return ChangedError(f"{name}: has changed since this run was planned.", "Run the same command again.")


def motion_of(pair: Pair, shot: Shot) -> LoadedMotion:
    """Return the motion from the frame before to this frame.

    Args:
        pair: the frame's pair.
        shot: the other frames.
    """
    settings, flow = pair.settings, shot.flow
    renews = pair.predecessor is not None and pair.predecessor.renews
    height, width = flow.trust.shape
    result = resize(shot.result, width, height)
    seen = prepare_content(colour_of(settings.colour), result)
    motion = Motion(
        tensor_of(moved(seen, flow.displacement)),
        torch.from_numpy(flow.trust)[None, None],
        torch.from_numpy(flow.still)[None, None],
        settings.sequence.temporal * (_FADING if renews else 1.0),
        renews=renews,
    )
    return LoadedMotion(motion, shot.result, np.clip(moved(result, flow.displacement), 0, 255), flow.difference)
