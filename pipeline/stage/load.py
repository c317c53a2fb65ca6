"""The way in: two files to two pictures of one size, with the colours that the network is to see."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.errors import ImageError
from pipeline.images.colour import with_chroma_of
from pipeline.images.read import Picture, SourceFile, decode, dimensions, read_file
from pipeline.images.size import fit_style, fitted_size, resize, working_size
from pipeline.outbox.ledger import Fingerprint, settings_in_key
from pipeline.outbox.metadata import InputFile, PairInputs
from pipeline.transfer.stylizer import ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

    from pipeline.images.read import Pixels
    from pipeline.pair import Pair
    from pipeline.stage.budget import PixelBudget
    from pipeline.stage.task import Task


@dataclass(frozen=True)
class LoadedPair:
    """All that the device needs of a pair, and what the metadata will say of its inputs."""

    content: Tensor
    """(1, 3, H, W) float32, sRGB 0–255, in the host's memory."""
    style: Tensor
    """(1, 3, H', W') float32, sRGB 0–255, in the host's memory."""
    style_key: Hashable
    """Equal where the style's pixels are; None where they depend on the content."""
    inputs: PairInputs
    warnings: tuple[str, ...]

    @property
    def width(self) -> int:
        """Of the content, in px."""
        return self.content.shape[3]

    @property
    def height(self) -> int:
        """Of the content, in px."""
        return self.content.shape[2]


@dataclass(frozen=True)
class Loading:
    """A loaded pair with what its metadata needs, and the pixels that it holds."""

    task: Task
    loaded: LoadedPair
    key: str
    started: datetime
    seconds: float
    ready: float
    pixels: int


class Loader:
    """What the threads that load have in common."""

    def __init__(self, weights_sha256: str, max_pixels: int, *, pin: bool) -> None:
        """`pin`: into memory from which a card takes it while it works on another."""
        self._weights_sha256, self._max_pixels, self._pin = weights_sha256, max_pixels, pin

    def load(self, task: Task, budget: PixelBudget) -> Loading:
        """Load a pair, when there is room for it.

        Raises:
            ImageError: one of the two images cannot be used.
            Closed: it is wanted no more.
        """
        started, begin = datetime.now(UTC), time.perf_counter()
        hold = _Hold(budget)
        try:
            loaded = load(task.pair, self._max_pixels, hold)
            if self._pin:
                loaded = LoadedPair(
                    loaded.content.pin_memory(),
                    loaded.style.pin_memory(),
                    loaded.style_key,
                    loaded.inputs,
                    loaded.warnings,
                )
        except BaseException:
            hold.shrink(0)
            raise
        hold.shrink(loaded.content[0, 0].numel() + loaded.style[0, 0].numel())
        inputs, ready = loaded.inputs, time.perf_counter()
        key = Fingerprint(
            inputs.content.sha256,
            inputs.style.sha256,
            settings_in_key(task.pair.settings),
            self._weights_sha256,
            ENGINE_VERSION,
        ).key
        return Loading(task, loaded, key, started, ready - begin - hold.waited, ready, hold.pixels)


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


def load(pair: Pair, max_pixels: int, hold: _Hold | None = None) -> LoadedPair:
    """Read, decode, resize and recolour a pair.

    Raises:
        ImageError: one of the two images cannot be used.
        Closed: while it waited for room.
    """
    hold = hold or _Hold()
    files = read_file(pair.content), read_file(pair.style)
    settings = pair.settings

    def wanted(width: int, height: int) -> tuple[int, int]:
        try:
            size = working_size(width, height, settings.image.size)
        except ImageError as error:
            raise ImageError(f"{pair.content.name}: {error.message}", error.remedy) from error
        painting = dimensions(files[1]) or (0, 0)
        hold.take_all(width * height + painting[0] * painting[1] + 2 * size[0] * size[1])
        return size

    fit = settings.style.fit
    content = decode(files[0], max_pixels=max_pixels, wanted=wanted)
    width, height = working_size(content.width, content.height, settings.image.size)
    content_pixels = resize(content.pixels, width, height)
    style = decode(files[1], max_pixels=max_pixels, wanted=lambda w, h: fitted_size(w, h, (width, height), fit))
    style_pixels = fit_style(style, width, height, fit)
    style_key: Hashable = (files[1].sha256, fit, *style_pixels.shape[:2])
    if settings.colour.mode == "style-yuv":
        style_pixels, style_key = with_chroma_of(style_pixels, content_pixels), None
    inputs = PairInputs(
        content=_describe(pair.content_label, files[0], content), style=_describe(pair.style_label, files[1], style)
    )
    return LoadedPair(
        _tensor(content_pixels), _tensor(style_pixels), style_key, inputs, content.warnings + style.warnings
    )


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def _describe(label: str, file: SourceFile, picture: Picture) -> InputFile:
    return InputFile(
        path=label, sha256=file.sha256, width=picture.width, height=picture.height, format=picture.format.lower()
    )
