"""What a pair is when its files have been read."""

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
    """The photograph in the result's size, as far as it is needed once more after the optimisation."""

    bits: Bits
    tags: Tags
    alpha: Plane | None
    """0–1; None if all is visible."""
    pixels: Pixels | None = None
    """None if the result is done when the optimisation is."""
    mask: Plane | None = None
    """Where the style acts, 0–1; None: everywhere."""
    is_larger: bool = False
    """Than what is optimised."""


@dataclass(frozen=True)
class LoadedPainting:
    """A style, or one of those that are blended."""

    image: Tensor
    """(1, 3, H', W') float32, sRGB 0–255, in the host's memory."""
    weight: float
    key: Hashable
    """Equal where the pixels are; None where they depend on the content."""
    mask: Tensor | None = None
    """(1, 1, H', W') float32, 0–1: the part of it that counts; None: all."""


@dataclass(frozen=True)
class LoadedPair:
    """All that the device needs of a pair, and what the metadata will say of its inputs."""

    content: Tensor
    """(1, 3, H, W) float32, sRGB 0–255, in the host's memory."""
    paintings: tuple[LoadedPainting, ...]
    mask: Tensor | None
    """(1, 1, H, W) float32, 0–1, in the host's memory: where the style acts; None: everywhere."""
    original: Original
    inputs: PairInputs
    warnings: tuple[str, ...]
    small: Mapping[str, Pixels] = field(default_factory=dict)
    """What its files look like, for thumbnails, by SHA-256."""

    @property
    def width(self) -> int:
        """Of the content, in px."""
        return self.content.shape[3]

    @property
    def height(self) -> int:
        """Of the content, in px."""
        return self.content.shape[2]

    @property
    def pixels(self) -> int:
        """Of all pictures that are held."""
        images = self.content, *(painting.image for painting in self.paintings)
        kept = self.original.pixels
        return sum(image[0, 0].numel() for image in images) + (kept[:, :, 0].size if kept is not None else 0)

    def on(self, device: torch.device) -> Subject:
        """What the engine takes, on the device that shall do the work."""

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
        """In memory from which a card takes it while it works on another."""
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
