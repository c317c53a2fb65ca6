"""A pair whose files have been read and resized to their working size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.images.resize import resize
from pipeline.transfer.targets import Painting, Subject

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from torch import Tensor

    from pipeline.images.picture import Bits, Pixels, Plane, Tags
    from pipeline.outbox.metadata import PairInputs
    from pipeline.transfer.motion import Motion


_FILLED: Final = 0.002
"""Share of the frame where its predecessor cannot be trusted, from which that part is painted at a small size first."""


@dataclass(frozen=True)
class Original:
    """The properties of the photograph that are needed after the optimisation, in the result's size."""

    bits: Bits
    """Bits per channel of the photograph's file."""
    tags: Tags
    alpha: Plane | None
    """Opacity, 0–1; None if all is visible."""
    pixels: Pixels | None = None
    """Pixels of the photograph; None if no step after the optimisation needs them."""
    mask: Plane | None = None
    """Weight of the style, 0–1; None: 1 everywhere."""
    is_larger: bool = False
    """Whether the result is larger than the image that is optimised."""


@dataclass(frozen=True)
class LoadedPainting:
    """A style, or one of several paintings that are blended."""

    image: Tensor
    """(1, 3, H', W') float32, sRGB 0–255, in the host's memory."""
    weight: float
    """Share of the painting in the blend."""
    key: Hashable
    """Key of the pixels, equal for equal pixels; None if they depend on the content."""
    mask: Tensor | None = None
    """(1, 1, H', W') float32, 0–1: weight of each pixel in the style; None: all weights are equal."""


@dataclass(frozen=True)
class LoadedMotion:
    """The motion from the frame before, for the engine and for what follows it."""

    motion: Motion
    """For the engine, in the host's memory."""
    before: Pixels
    """Result of the frame before, in its own size, (H', W', 3), 0–255."""
    expected: Pixels
    """The same result in working size, moved to this frame."""
    photographs: float
    """Root of the mean squared difference between the photographs, in levels, where the flow is trusted."""

    @property
    def trusted(self) -> Plane:
        """Where the flow is trusted, (H, W), 0–1."""
        trust: Plane = self.motion.trust[0, 0].numpy()
        return trust

    @property
    def still(self) -> Plane:
        """Where nothing changes, (H, W), 0–1."""
        kept: Plane = self.motion.still[0, 0].numpy()
        return kept

    @property
    def fills(self) -> bool:
        """Whether part of the frame is painted at a small size first, since its predecessor does not show it."""
        return bool(self.trusted.mean() < 1 - _FILLED)

    @property
    def pixels(self) -> int:
        """Number of pixels of all pictures that it holds: the results before, twice, and its two weights."""
        return self.before[:, :, 0].size + 3 * self.expected[:, :, 0].size

    def flicker(self, pixels: Pixels) -> float:
        """Return the root of the mean squared difference between a result and its predecessor, moved, in levels."""
        height, width = self.expected.shape[:2]
        return difference(resize(np.clip(pixels, 0, 255), width, height), self.expected, self.trusted)

    def pinned(self) -> LoadedMotion:
        """Copy the engine's part to page-locked memory."""
        return replace(self, motion=self.motion.pinned())


@dataclass(frozen=True)
class LoadedPair:
    """All that the device needs from a pair, and the description of its inputs for the metadata."""

    content: Tensor
    """(1, 3, H, W) float32, sRGB 0–255, in the host's memory."""
    paintings: tuple[LoadedPainting, ...]
    mask: Tensor | None
    """(1, 1, H, W) float32, 0–1, in the host's memory: weight of the style; None: 1 everywhere."""
    original: Original
    inputs: PairInputs
    warnings: tuple[str, ...]
    """Warnings about the files, for the metadata."""
    small: Mapping[str, Pixels] = field(default_factory=dict)
    """Small pictures of the files, for thumbnails, by SHA-256 of the file."""
    motion: LoadedMotion | None = None
    """The motion from the frame before; None if the pair follows no frame."""

    @property
    def width(self) -> int:
        """Width of the content, in px."""
        return self.content.shape[3]

    @property
    def height(self) -> int:
        """Height of the content, in px."""
        return self.content.shape[2]

    @property
    def fills(self) -> bool | None:
        """Whether places that the frame before does not show are painted at a small size first.

        None: the pair goes through the whole pyramid, since it follows no frame, or takes only its large shapes.
        """
        return self.motion.fills if self.motion is not None and not self.motion.motion.renews else None

    @property
    def pixels(self) -> int:
        """Number of pixels of all pictures that the pair holds."""
        images = self.content, *(painting.image for painting in self.paintings)
        kept = self.original.pixels
        pixels = sum(image[0, 0].numel() for image in images) + (kept[:, :, 0].size if kept is not None else 0)
        return pixels + (self.motion.pixels if self.motion is not None else 0)

    def on(self, device: torch.device) -> Subject:
        """Copy the pair to the device that paints it, in the form that the engine takes."""

        def moved(image: Tensor) -> Tensor:
            return image.to(device, non_blocking=True)

        return Subject(
            moved(self.content),
            [
                Painting(moved(each.image), each.weight, each.key, moved(each.mask) if each.mask is not None else None)
                for each in self.paintings
            ],
            moved(self.mask) if self.mask is not None else None,
            self.motion.motion.on(device) if self.motion is not None else None,
        )

    def pinned(self) -> LoadedPair:
        """Copy the pair to page-locked memory, from which a card copies it while it works on another pair."""
        return replace(
            self,
            content=self.content.pin_memory(),
            paintings=tuple(
                replace(each, image=each.image.pin_memory(), mask=_pinned(each.mask)) for each in self.paintings
            ),
            mask=_pinned(self.mask),
            motion=self.motion.pinned() if self.motion is not None else None,
        )


def tensor_of(pixels: Pixels) -> Tensor:
    """Convert (H, W, 3) to (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def _pinned(mask: Tensor | None) -> Tensor | None:
    return mask.pin_memory() if mask is not None else None


def difference(one: Pixels, other: Pixels, weight: Plane) -> float:
    """Return the root of the weighted mean squared difference of pictures, in levels; 0 if all weights are 0."""
    total = float(weight.sum())
    return float(np.sqrt((weight * ((one - other) ** 2).mean(axis=2)).sum() / total)) if total else 0.0
