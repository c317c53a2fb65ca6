"""Loading: the files of a pair to pictures in their working size, with the colours that the network sees."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.errors import ImageError
from pipeline.images.colour.modes import finishes, prepare_content
from pipeline.images.files import read_file
from pipeline.images.resize import resize_plane
from pipeline.outbox.ledger import Fingerprint, chain_of, settings_in_key
from pipeline.stage.engine_config import colour_of, optimisation_key
from pipeline.stage.load.decoded_mask import DecodedMask
from pipeline.stage.load.inputs import Sources, describe_inputs, dimensions_of
from pipeline.stage.load.loaded_pair import LoadedPair, Original, tensor_of
from pipeline.stage.load.photograph import Photograph
from pipeline.stage.load.predecessor import FRAMES_OF_A_SHOT, Predecessors, motion_of
from pipeline.stage.load.styles import LoadedStyles, mask_tensor, painting_size, small_of
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.outbox.metadata import PairInputs
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair, Step
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.pixel_budget import PixelBudget
    from pipeline.stage.task import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """A task whose pair is loaded, with facts for its metadata."""

    task: Task
    loaded: LoadedPair
    key: str
    """Key of the pair, from the files as they were read."""
    optimisation: str
    """Key of the optimisation, see `optimisation_key`."""
    started: datetime
    """Time at which loading began, UTC."""
    seconds: float
    """Seconds that loading took, without the wait for room."""
    ready: float
    """Time at which loading ended, by `time.perf_counter`."""
    pixels: int
    """Number of pixels of the `PixelBudget` that the pair holds until it is finished."""


class Loader:
    """Loads pairs. Several threads may call it at the same time."""

    def __init__(self, weights_sha256: str, images: ImageSettings, *, pin: bool, outbox: Outbox | None = None) -> None:
        """Store the values that all pairs of a run share.

        Args:
            weights_sha256: hash of the weights, which is part of every key.
            images: formats and sizes that are read.
            pin: load into page-locked memory, from which a card copies a pair while it works on another pair.
            outbox: the outbox with the results that frames follow; None: there are no such frames.
        """
        self._weights_sha256, self._images, self._pin = weights_sha256, images, pin
        self._predecessors = Predecessors(outbox, images) if outbox is not None else None

    def load(self, task: Task, budget: PixelBudget, sources: Sources | None = None) -> Loading:
        """Load a pair as soon as the budget has room for it.

        Args:
            task: the task of the pair.
            budget: room for pixels; the result says how many of them the pair holds.
            sources: inputs of the pair; None: its files are read.

        Raises:
            ImageError: one of its images cannot be used.
            Closed: the budget was closed while the pair waited for room.
        """
        started, begin = datetime.now(UTC), time.perf_counter()
        room = _Reservation(budget)
        try:
            loaded = load(task.pair, self._images, room, sources, self._predecessors)
            if self._pin:
                loaded = loaded.pinned()
        except BaseException:
            room.shrink(0)
            raise
        room.shrink(loaded.pixels)
        inputs, ready = loaded.inputs, time.perf_counter()
        fingerprint = fingerprint_of(inputs, task.pair, self._weights_sha256)
        hashes = fingerprint.content_sha256, fingerprint.style_sha256, fingerprint.mask_sha256
        return Loading(
            task,
            loaded,
            fingerprint.key,
            optimisation_key(task.pair, hashes),
            started,
            ready - begin - room.seconds,
            ready,
            room.pixels,
        )

    def expect(self, pair: Pair, steps: Sequence[Step]) -> None:
        """Forget what was computed for frames of a shot, except for those that come after one of its frames."""
        if self._predecessors is not None and pair.frame is not None:
            self._predecessors.expect(pair, steps)

    def look_ahead(self, pair: Pair, step: Step, budget: PixelBudget) -> None:
        """Compute the flow of a frame that will be loaded soon, if there is room for it.

        Errors are left to the frame itself, which meets them again when it is loaded.

        Args:
            pair: the pair of an earlier frame of the shot.
            step: the frame's photographs.
            budget: room for pixels; this never waits for it.
        """
        if self._predecessors is None:
            return
        try:
            self._predecessors.look_ahead(pair, step, budget)
        except Exception:
            logger.debug("%s: no flow was computed ahead", step.frame.name, exc_info=True)


def fingerprint_of(inputs: PairInputs, pair: Pair, weights_sha256: str) -> Fingerprint:
    """Return the fingerprint of a pair whose files were read."""
    return Fingerprint(
        inputs.content.sha256,
        inputs.style.sha256,
        settings_in_key(pair.settings),
        weights_sha256,
        ENGINE_VERSION,
        inputs.mask.sha256 if inputs.mask is not None else "",
        chain_of(pair),
    )


class _Reservation:
    """The pixels of a budget that one pair holds; without a budget there is no limit."""

    def __init__(self, budget: PixelBudget | None = None) -> None:
        self._budget = budget
        self.pixels = 0
        """Number of pixels that the pair holds."""
        self.seconds = 0.0
        """Seconds of waiting for room."""

    def take_all(self, pixels: int) -> None:
        """Wait for room for a whole pair. Called once, before decoding, so that no loader waits while it holds pixels.

        Raises:
            Closed: the budget was closed.
        """
        if self._budget is not None:
            begin = time.perf_counter()
            self._budget.take(pixels)
            self.seconds = time.perf_counter() - begin
            self.pixels = pixels

    def shrink(self, pixels: int) -> None:
        """Keep this many pixels, and release the others."""
        if self._budget is not None and pixels < self.pixels:
            self._budget.release(self.pixels - pixels)
            self.pixels = pixels


def _read(pair: Pair) -> Sources:
    return Sources(
        read_file(pair.content),
        tuple(map(read_file, pair.styles)),
        read_file(pair.mask) if pair.mask is not None else None,
    )


def load(
    pair: Pair,
    images: ImageSettings,
    room: _Reservation | None = None,
    sources: Sources | None = None,
    predecessors: Predecessors | None = None,
) -> LoadedPair:
    """Read, decode, resize and recolour a pair.

    Args:
        pair: the pair.
        images: formats and sizes that are read.
        room: limit of the pixels that are decoded at the same time; None: no limit.
        sources: inputs of the pair; None: its files are read.
        predecessors: reads the frame that the pair follows, if it is a frame that does.

    Raises:
        ImageError: one of its images cannot be used.
        Closed: the pixel budget was closed while the pair waited for room.
    """
    if pair.refusal is not None:
        raise ImageError(*pair.refusal)
    files, reserved = sources or _read(pair), room or _Reservation()

    def take_room(own_pixels: int, size: tuple[int, int]) -> None:
        decoded = own_pixels * (1 if pair.predecessor is None else 3)  # the frame, the one before, and its result
        reserved.take_all(decoded + _further_pixels(pair, files, size))

    content = Photograph.read(files.content, pair.settings.image, images, take_room)
    mask = DecodedMask.read(files.mask, content.picture, images) if files.mask is not None else None
    plane = resize_plane(mask.plane, *content.size) if mask is not None else None
    shot = None
    if pair.predecessor is not None and predecessors is not None:
        shot = predecessors.shot_of(pair, pair.predecessor, files.content.sha256, content.pixels)
    styles = LoadedStyles.read(pair, files, images, content.pixels, plane=plane, shot=shot)
    warnings = [warning for picture in (content.picture, *styles.pictures) for warning in picture.warnings]
    return LoadedPair(
        tensor_of(prepare_content(colour_of(pair.settings.colour), content.pixels)),
        tuple(styles.paintings),
        mask_tensor(plane, *content.size),
        _original(pair, content, mask),
        describe_inputs(pair, files, content.picture, styles.pictures, mask.picture if mask is not None else None),
        (*warnings, *(mask.warnings if mask is not None else ())),
        {files.content.sha256: small_of(content.picture), **styles.small},
        motion_of(pair, shot) if shot is not None else None,
    )


def _further_pixels(pair: Pair, files: Sources, size: tuple[int, int]) -> int:
    """Return the pixels that a pair needs besides its photograph: its other files, and all files in working size."""
    others = sum(width * height for width, height in (dimensions_of(file) or (0, 0) for file in files.all[1:]))
    paintings = sum(width * height for width, height in (painting_size(pair, file, size) for file in files.styles))
    frames = FRAMES_OF_A_SHOT * size[0] * size[1] if pair.predecessor is not None else 0
    return others + size[0] * size[1] + paintings + frames


def _original(pair: Pair, content: Photograph, mask: DecodedMask | None) -> Original:
    """Return the photograph in the result's size: its own size if the result is enlarged, else the working size."""
    picture, pixels, alpha, size = content.picture, content.pixels, content.alpha, content.size
    if content.is_upscaled:
        pixels, alpha, size = picture.pixels, picture.alpha, (picture.width, picture.height)
    return Original(
        picture.bits,
        picture.tags,
        alpha,
        pixels if content.is_upscaled or finishes(colour_of(pair.settings.colour)) else None,
        resize_plane(mask.plane, *size) if mask is not None else None,
        is_larger=content.is_upscaled,
    )
