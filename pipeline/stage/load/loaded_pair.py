"""A pair whose files have been read and resized to their working size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.transfer.targets import Painting, Subject

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import torch
    from torch import Tensor

    from pipeline.images.picture import Bits, Pixels, Plane, Tags
    from pipeline.outbox.metadata import PairInputs


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

    @property
    def width(self) -> int:
        """Width of the content, in px."""
        return self.content.shape[3]

    @property
    def height(self) -> int:
        """Height of the content, in px."""
        return self.content.shape[2]

    @property
    def pixels(self) -> int:
        """Number of pixels of all pictures that the pair holds."""
        images = self.content, *(painting.image for painting in self.paintings)
        kept = self.original.pixels
        return sum(image[0, 0].numel() for image in images) + (kept[:, :, 0].size if kept is not None else 0)

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
        )


def _pinned(mask: Tensor | None) -> Tensor | None:
    return mask.pin_memory() if mask is not None else None
