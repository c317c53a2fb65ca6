"""The way in: files to pictures of one size, with the colours that the network is to see."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.errors import ImageError
from pipeline.images.colour.luma_chroma import luma
from pipeline.images.colour.modes import finishes, prepare
from pipeline.images.decode import read_file
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
from pipeline.outbox.ledger import Fingerprint, settings_in_key
from pipeline.outbox.working_files import LONGEST_SIDE_PX
from pipeline.stage.engine_config import colour_of, optimisation_key
from pipeline.stage.load.inputs import Sources, decode_source, describe_inputs, dimensions_of
from pipeline.stage.load.loaded_pair import LoadedPainting, LoadedPair, Original
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.images.picture import Picture, Pixels, Plane
    from pipeline.outbox.metadata import PairInputs
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings, PairSettings
    from pipeline.stage.load.inputs import Source
    from pipeline.stage.pixel_budget import PixelBudget
    from pipeline.stage.task import Task

_DARKEST_MASK: Final = 1 / 255
"""A mask that is nowhere as light as that is black."""
_NO_PIXELS: Final[Pixels] = np.empty((0, 0, 3), np.float32)
_LIKE_PROPORTIONS: Final = 0.02
"""Of which a mask's may differ from the photograph's by rounding."""


@dataclass(frozen=True)
class Loading:
    """A loaded pair with what its metadata needs, and the pixels that it holds."""

    task: Task
    loaded: LoadedPair
    key: str
    optimisation: str
    """See `optimisation_key`."""
    started: datetime
    seconds: float
    ready: float
    pixels: int


class Loader:
    """What the threads that load have in common."""

    def __init__(self, weights_sha256: str, images: ImageSettings, *, pin: bool) -> None:
        """With what holds for the images of the whole run.

        Args:
            weights_sha256: part of every key.
            images: which files are read.
            pin: into memory from which a card takes it while it works on another.
        """
        self._weights_sha256, self._images, self._pin = weights_sha256, images, pin

    def load(self, task: Task, budget: PixelBudget, sources: Sources | None = None) -> Loading:
        """Load a pair, when there is room for it; from its files, unless what it is made of is given.

        Raises:
            ImageError: one of its images cannot be used.
            Closed: it is wanted no more.
        """
        started, begin = datetime.now(UTC), time.perf_counter()
        hold = _Hold(budget)
        try:
            loaded = load(task.pair, self._images, hold, sources)
            if self._pin:
                loaded = loaded.pinned()
        except BaseException:
            hold.shrink(0)
            raise
        hold.shrink(loaded.pixels)
        inputs, ready = loaded.inputs, time.perf_counter()
        fingerprint = fingerprint_of(inputs, task.pair.settings, self._weights_sha256)
        hashes = fingerprint.content_sha256, fingerprint.style_sha256, fingerprint.mask_sha256
        return Loading(
            task,
            loaded,
            fingerprint.key,
            optimisation_key(task.pair, hashes),
            started,
            ready - begin - hold.waited,
            ready,
            hold.pixels,
        )


def fingerprint_of(inputs: PairInputs, settings: PairSettings, weights_sha256: str) -> Fingerprint:
    """Of a pair that was read."""
    return Fingerprint(
        inputs.content.sha256,
        inputs.style.sha256,
        settings_in_key(settings),
        weights_sha256,
        ENGINE_VERSION,
        inputs.mask.sha256 if inputs.mask is not None else "",
    )


class _Hold:
    """The part of the budget that one pair has taken."""

    def __init__(self, budget: PixelBudget | None = None) -> None:
        self._budget, self.pixels, self.waited = budget, 0, 0.0

    def take_all(self, pixels: int) -> None:
        """Once, before anything is decoded: nobody waits who holds something."""
        if self._budget is not None:
            begin = time.perf_counter()
            self._budget.take(pixels)
            self.waited = time.perf_counter() - begin
            self.pixels = pixels

    def shrink(self, pixels: int) -> None:
        """Keep so many."""
        if self._budget is not None and pixels < self.pixels:
            self._budget.give_back(self.pixels - pixels)
            self.pixels = pixels


def _read(pair: Pair) -> Sources:
    return Sources(
        read_file(pair.content),
        tuple(map(read_file, pair.styles)),
        read_file(pair.mask) if pair.mask is not None else None,
    )


def load(pair: Pair, images: ImageSettings, hold: _Hold | None = None, sources: Sources | None = None) -> LoadedPair:
    """Read, decode, resize and recolour a pair; nothing is read where what it is made of is given.

    Raises:
        ImageError: one of its images cannot be used.
        Closed: while it waited for room.
    """
    files, hold, settings = sources or _read(pair), hold or _Hold(), pair.settings

    def wanted(width: int, height: int) -> tuple[int, int]:
        size = _working_size(pair, width, height)
        others = sum(across * down for across, down in (dimensions_of(file) or (0, 0) for file in files.all[1:]))
        scaled = scaled_size(*size, settings.style.scale)
        hold.take_all(width * height + others + size[0] * size[1] + len(files.styles) * scaled[0] * scaled[1])
        return (width, height) if _is_upscaled(pair, (width, height), size) else size

    content = decode_source(files.content, images, wanted)
    size = _working_size(pair, content.width, content.height)
    pixels, alpha = resize_visible(content.pixels, content.alpha, *size)
    mask = _Mask.read(files.mask, content, images) if files.mask is not None else None
    plane = resize_plane(mask.plane, *size) if mask is not None else None
    is_matched = settings.colour.mode in ("luminance", "match", "histogram")
    painted = pixels[plane >= plane.max() / 2][None] if plane is not None and is_matched else None
    small = {files.content.sha256: _small(content)}
    colour, seen, paintings, styles = colour_of(settings.colour), pixels, [], []
    for file, weight in zip(files.styles, pair.style_weights, strict=True):
        style = _read_style(file, pair, images, size)
        small[file.sha256] = _small(style)
        styles.append(replace(style, pixels=_NO_PIXELS))  # of a blend one at a time
        fitted = fit_style(style, *scaled_size(*size, settings.style.scale), settings.style.fit)
        seen, painting = prepare(colour, pixels, fitted, painted)
        key = (file.sha256, settings.style.fit, *painting.shape[:2]) if painting is fitted else None
        # Where it has the photograph's chroma, the part counts that lies over what is painted.
        part = plane if colour.mode == "style-yuv" and key is None else None
        paintings.append(LoadedPainting(_tensor(painting), weight, key, _mask_tensor(part, *painting.shape[1::-1])))
    is_larger = _is_upscaled(pair, (content.width, content.height), size)
    final_size = (content.width, content.height) if is_larger else size
    original = Original(
        content.bits,
        content.tags,
        content.alpha if is_larger else alpha,
        (content.pixels if is_larger else pixels) if is_larger or finishes(colour) else None,
        resize_plane(mask.plane, *final_size) if mask is not None else None,
        is_larger=is_larger,
    )
    warnings = [warning for picture in (content, *styles) for warning in picture.warnings]
    return LoadedPair(
        _tensor(seen),
        tuple(paintings),
        _mask_tensor(plane, *size),
        original,
        describe_inputs(pair, files, content, styles, mask.picture if mask is not None else None),
        (*warnings, *(mask.warnings if mask is not None else ())),
        small,
    )


def _small(picture: Picture) -> Pixels:
    """As the report shows it."""
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
    """A painting, large enough for the photograph's working size; paintings have no transparency."""
    style = pair.settings.style
    target = scaled_size(*size, style.scale)
    picture = decode_source(file, images, lambda width, height: fitted_size(width, height, target, style.fit))
    if picture.alpha is None:
        return picture
    lost = f"{file.path.name}: transparency was laid over white"
    return replace(
        picture,
        pixels=over_white(picture.pixels, picture.alpha),
        alpha=None,
        warnings=(*picture.warnings, lost),
    )


@dataclass(frozen=True)
class _Mask:
    """Where the style acts."""

    plane: Plane
    """0–1; what is transparent is 0."""
    picture: Picture
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, file: Source, content: Picture, images: ImageSettings) -> _Mask:
        """The mask of a photograph.

        Raises:
            ImageError: it cannot be used.
        """
        picture = decode_source(file, images, lambda _width, _height: content.pixels.shape[1::-1])
        plane = luma(picture.pixels) / np.float32(255)
        if picture.alpha is not None:
            plane *= picture.alpha
        if plane.max() < _DARKEST_MASK:
            raise ImageError(
                f"{file.path.name}: the mask is black everywhere, so the style acts nowhere.",
                "Make it white where the photograph is to be painted, or leave it out.",
            )
        lost = picture.warnings
        if abs(picture.width * content.height / (picture.height * content.width) - 1) > _LIKE_PROPORTIONS:
            lost = (*lost, f"{file.path.name}: has other proportions than the photograph and was stretched to it")
        return cls(plane, picture, lost)


def _mask_tensor(plane: Plane | None, width: int, height: int) -> Tensor | None:
    return torch.from_numpy(resize_plane(plane, width, height))[None, None] if plane is not None else None


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
