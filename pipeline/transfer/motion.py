"""Frames of a film: the start of a frame from its predecessor, and the temporal term that holds it there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.pyramid import resample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

DEVIATION_LEVELS = 8.0
"""Deviation from the predecessor, in levels of 0–255, at which the temporal term is its share of the objective."""


@dataclass(frozen=True)
class Motion:
    """The result of the frame before, moved along the flow to this frame."""

    warped: Tensor
    """The moved result, (1, 3, H, W) float32, sRGB 0–255."""
    trust: Tensor
    """Where it can be trusted, (1, 1, H, W) float32, 0–1."""
    still: Tensor
    """Where the frame keeps the predecessor as it is, since nothing changes there, (1, 1, H, W) float32, 0–1."""
    share: float = 0.0
    """Share of the objective of the start that a deviation of `DEVIATION_LEVELS` everywhere costs."""
    renews: bool = False
    """Whether only the smallest scale starts from the predecessor, so that all detail is painted anew."""

    def on(self, device: torch.device) -> Motion:
        """Copy the motion to a device."""
        return self._with_all(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Motion:
        """Copy the motion to page-locked memory."""
        return self._with_all(lambda tensor: tensor.pin_memory())

    def _with_all(self, change: Callable[[Tensor], Tensor]) -> Motion:
        return replace(self, warped=change(self.warped), trust=change(self.trust), still=change(self.still))

    def start(self, image: Tensor) -> Tensor:
        """Return the predecessor where it can be trusted, and the image elsewhere, in the image's size.

        Args:
            image: (1, 3, h, w) float32.
        """
        height, width = image.shape[2:]
        trust = resample(self.trust, width, height).clamp(0, 1)
        return image + trust * (resample(self.warped, width, height) - image)


@dataclass(frozen=True)
class TemporalTarget:
    """The predecessors of a batch of frames, and the weights of their terms.

    The objective is that of x = z + s·(w − z) with the moved predecessor w, and s where nothing changes: there the
    frame keeps its predecessor to the bit, whatever z is. The gradient by z is 1 − s times the gradient by x.
    """

    warped: Tensor
    """(B, 3, H, W) float32."""
    trust: Tensor
    """(B, 1, H, W) float32."""
    weight: Tensor
    """Weight by image, (B,) float32, for a deviation in levels²."""
    still: Tensor
    """s, (B, 1, H, W) float32, 0–1."""
    kept: Tensor
    """w as z shows it, (B, 3, H, W): the same without a mask (see `Guidance.inverse_composite`)."""

    @classmethod
    def of(cls, motion: Motion, objective: Tensor, kept: Tensor) -> TemporalTarget:
        """Return the target of one frame.

        Args:
            motion: the moved predecessor.
            objective: the other terms' total at the start, (1,).
            kept: the moved predecessor as z shows it.
        """
        return cls(motion.warped, motion.trust, motion.share / DEVIATION_LEVELS**2 * objective, motion.still, kept)

    def composite(self, image: Tensor) -> Tensor:
        """Return x for z, (B, 3, H, W)."""
        return torch.lerp(image, self.kept, self.still.expand_as(image))

    def add(self, image: Tensor, gradient: Tensor) -> Tensor:
        """Return weight · mean(trust · (x − warped)²) by image, (B,), and add its gradient in place."""
        weighted = self.trust * (image - self.warped)
        each = self.weight / image[0].numel()
        value = each * (weighted * (image - self.warped)).sum((1, 2, 3))
        gradient.add_(weighted.mul_(2 * each.view(-1, 1, 1, 1)))
        return value

    def select(self, images: Sequence[int]) -> TemporalTarget:
        """Return the targets of some images of the batch."""
        return TemporalTarget(*(each[list(images)] for each in vars(self).values()))

    @staticmethod
    def stack(each: Sequence[TemporalTarget]) -> TemporalTarget:
        """Return the targets of a batch."""
        return TemporalTarget(*map(torch.cat, zip(*(vars(target).values() for target in each), strict=True)))
