"""Loading: the files of a pair to pictures in their working size, with the colours that the network sees."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.errors import ImageError
from pipeline.images.colour.modes import finishes, preparation, prepare
from pipeline.images.files import read_file
from pipeline.images.resize import (
    fit_style,
    fitted_size,
    over_white,
    resize_plane,
    resize_visible,
    scaled_size,
    shrink,
    working_size,
)
from pipeline.outbox.ledger import Fingerprint, chain_of, settings_in_key
from pipeline.outbox.working_files import LONGEST_SIDE_PX
from pipeline.stage.engine_config import colour_of, optimisation_key
from pipeline.stage.load.decoded_mask import DecodedMask
from pipeline.stage.load.inputs import Sources, decode_source, describe_inputs, dimensions_of
from pipeline.stage.load.loaded_pair import LoadedPainting, LoadedPair, Original, tensor_of
from pipeline.stage.load.predecessor import load_shot, motion_of
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

    from pipeline.images.picture import Picture, Pixels, Plane
    from pipeline.outbox.metadata import PairInputs
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.load.inputs import Source
    from pipeline.stage.load.predecessor import Shot
    from pipeline.stage.pixel_budget import PixelBudget
    from pipeline.stage.task import Task

_FRAMES_OF_A_SHOT: Final = 6
"""Pictures in working size that a frame needs besides its own: photographs, results and flow of earlier frames."""
_NO_PIXELS: Final[Pixels] = np.empty((0, 0, 3), np.float32)


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
        self._weights_sha256, self._images, self._pin, self._outbox = weights_sha256, images, pin, outbox

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
            loaded = load(task.pair, self._images, room, sources, self._outbox)
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
    outbox: Outbox | None = None,
) -> LoadedPair:
    """Read, decode, resize and recolour a pair.

    Args:
        pair: the pair.
        images: formats and sizes that are read.
        room: limit of the pixels that are decoded at the same time; None: no limit.
        sources: inputs of the pair; None: its files are read.
        outbox: the outbox with the result that the pair follows, if it is a frame that does.

    Raises:
        ImageError: one of its images cannot be used.
        Closed: the pixel budget was closed while the pair waited for room.
    """
    if pair.refusal is not None:
        raise ImageError(*pair.refusal)
    files, room, settings = sources or _read(pair), room or _Reservation(), pair.settings

    def wanted(width: int, height: int) -> tuple[int, int]:
        size = _working_size(pair, width, height)
        room.take_all(width * height * (1 if pair.predecessor is None else 3) + _further_pixels(pair, files, size))
        return (width, height) if _is_upscaled(pair, (width, height), size) else size

    content = decode_source(files.content, images, wanted)  # of a frame, the photograph and the result before, too
    size = _working_size(pair, content.width, content.height)
    pixels, alpha = resize_visible(content.pixels, content.alpha, *size)
    mask = DecodedMask.read(files.mask, content, images) if files.mask is not None else None
    plane = resize_plane(mask.plane, *size) if mask is not None else None
    shot = None
    if pair.predecessor is not None and outbox is not None:
        shot = load_shot(pair.predecessor, size, images, outbox)
    source = pixels if shot is None else shot.first  # of the painting's colours
    painted = _painted_pixels(pair, source, plane)
    small = {files.content.sha256: _small(content)}
    seen, paintings, styles = pixels, [], []
    for file, weight in zip(files.styles, pair.style_weights, strict=True):
        style = _read_style(file, pair, images, size)
        small[file.sha256] = _small(style)
        styles.append(replace(style, pixels=_NO_PIXELS))  # at full size, one style of a blend is held at a time
        fitted = fit_style(style, *scaled_size(*size, settings.style.scale), settings.style.fit)
        seen, painting = _recoloured(pair, fitted, pixels, shot, painted)
        key = _key_of_painting(pair, file, painting, is_own=painting is fitted, masked=plane is not None)
        # A style with the photograph's chroma counts only where the photograph is painted.
        part = plane if settings.colour.mode == "style-yuv" and key is None else None
        paintings.append(LoadedPainting(tensor_of(painting), weight, key, _mask_tensor(part, *painting.shape[1::-1])))
    warnings = [warning for picture in (content, *styles) for warning in picture.warnings]
    return LoadedPair(
        tensor_of(seen),
        tuple(paintings),
        _mask_tensor(plane, *size),
        _original(pair, content, mask, pixels, alpha),
        describe_inputs(pair, files, content, styles, mask.picture if mask is not None else None),
        (*warnings, *(mask.warnings if mask is not None else ())),
        small,
        motion_of(pair, pixels, shot) if shot is not None else None,
    )


def _recoloured(
    pair: Pair, painting: Pixels, pixels: Pixels, shot: Shot | None, painted: Pixels | None
) -> tuple[Pixels, Pixels]:
    """Return photograph and painting as the network sees them; of a frame, the painting has the colours of its shot."""
    colour = colour_of(pair.settings.colour)
    seen, recoloured = prepare(colour, pixels, painting, painted)
    if shot is not None:
        _, recoloured = prepare(colour, shot.first, painting, painted)
    return seen, recoloured


def _key_of_painting(pair: Pair, file: Source, painting: Pixels, *, is_own: bool, masked: bool) -> Hashable:
    """Return a key that is equal for equal paintings as the network sees them; None if there will be no equal one.

    Args:
        pair: the pair.
        file: the file of the painting.
        painting: the painting as the network sees it.
        is_own: whether it has its own colours.
        masked: whether its colours depend on a mask.
    """
    key = file.sha256, pair.settings.style.fit, *painting.shape[:2]
    if is_own:
        return key
    if pair.predecessor is None or masked:
        return None
    return *key, pair.predecessor.first_sha256, preparation(colour_of(pair.settings.colour))


def _further_pixels(pair: Pair, files: Sources, size: tuple[int, int]) -> int:
    """Return the pixels that a pair needs besides its photograph: its other files, and all files in working size."""
    others = sum(width * height for width, height in (dimensions_of(file) or (0, 0) for file in files.all[1:]))
    paintings = sum(width * height for width, height in (_painting_size(pair, file, size) for file in files.styles))
    frames = _FRAMES_OF_A_SHOT * size[0] * size[1] if pair.predecessor is not None else 0
    return others + size[0] * size[1] + paintings + frames


def _painting_size(pair: Pair, file: Source, size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) in px of a painting beside a photograph of this working size."""
    style = pair.settings.style
    target = scaled_size(*size, style.scale)
    own = dimensions_of(file)
    return target if own is None or style.fit != "whole" else fitted_size(*own, target, style.fit)


def _painted_pixels(pair: Pair, pixels: Pixels, plane: Plane | None) -> Pixels | None:
    """Return the painted pixels of a mask, (1, N, 3), for modes that match colours to them; None: all pixels."""
    if plane is None or pair.settings.colour.mode not in ("luminance", "match", "histogram", "regions"):
        return None
    painted: Pixels = pixels[plane >= plane.max() / 2][None]
    return painted


def _original(pair: Pair, content: Picture, mask: DecodedMask | None, pixels: Pixels, alpha: Plane | None) -> Original:
    """Return the photograph in the result's size: its own size if the result is enlarged, else that of `pixels`."""
    height, width = pixels.shape[:2]
    is_larger = _is_upscaled(pair, (content.width, content.height), (width, height))
    if is_larger:
        pixels, alpha, width, height = content.pixels, content.alpha, content.width, content.height
    return Original(
        content.bits,
        content.tags,
        alpha,
        pixels if is_larger or finishes(colour_of(pair.settings.colour)) else None,
        resize_plane(mask.plane, width, height) if mask is not None else None,
        is_larger=is_larger,
    )


def _small(picture: Picture) -> Pixels:
    """Return a picture in the size of a thumbnail, without transparency."""
    pixels = picture.pixels if picture.alpha is None else over_white(picture.pixels, picture.alpha)
    return shrink(pixels, LONGEST_SIDE_PX)


def _working_size(pair: Pair, width: int, height: int) -> tuple[int, int]:
    try:
        return working_size(width, height, pair.settings.image.size)
    except ImageError as error:
        raise ImageError(f"{pair.content.name}: {error.message}", error.remedy) from error


def _is_upscaled(pair: Pair, native: tuple[int, int], working: tuple[int, int]) -> bool:
    return pair.settings.image.upscale == "guided" and native[0] * native[1] > working[0] * working[1]


def _read_style(file: Source, pair: Pair, images: ImageSettings, size: tuple[int, int]) -> Picture:
    """Decode a painting, at least in the size that the working size requires; transparency is laid over white."""
    style = pair.settings.style
    target = scaled_size(*size, style.scale)
    picture = decode_source(file, images, lambda width, height: fitted_size(width, height, target, style.fit))
    if picture.alpha is None:
        return picture
    warning = f"{file.path.name}: transparency was laid over white"
    return replace(
        picture,
        pixels=over_white(picture.pixels, picture.alpha),
        alpha=None,
        warnings=(*picture.warnings, warning),
    )


def _mask_tensor(plane: Plane | None, width: int, height: int) -> Tensor | None:
    return torch.from_numpy(resize_plane(plane, width, height))[None, None] if plane is not None else None
