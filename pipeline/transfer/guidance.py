"""Masks: guided Gram matrices (Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, section 4).

The paper multiplies the features of a layer by a guidance channel T with Σ T² = 1 before it takes their Gram matrix, so
that T² is the weight of each position. Here the mask m gives the weights, T² = m / Σ m, and the Gram matrix is

    G = Σ_i m_i · f_i · f_iᵀ / Σ_i m_i

For a mask that is white everywhere it is F·Fᵀ / (H·W). At a layer after n poolings m is the mask's mean over the
2ⁿ × 2ⁿ px that belong to a feature. Unlike in the paper there is only one region: outside of it the photograph stays.
The statistics of the painting are those of the whole painting, unless it has a mask of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

from pipeline.transfer.vgg import halvings_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

_SMALLEST_SUM = 1e-6
"""Smallest sum of a mask that is not black: far less than one grey level of one pixel."""
_FAINTEST = 1 / 8
"""Smallest divisor of the start of a scale; where the mask is less, the style starts fainter."""


@dataclass(frozen=True)
class Guidance:
    """The masks of a batch at the sizes of all layers, and the contents, which stay where the masks are black."""

    content: Tensor
    """Contents, (B, 3, H, W) float32, sRGB 0–255."""
    masks: dict[int, Tensor]
    """Masks by number of halvings n, from 0: (B, 1, H/2ⁿ, W/2ⁿ) float32, 0–1."""
    sums: dict[int, Tensor]
    """Σ m by number of halvings: (B, 1, 1) float32; infinite where a mask is black, so that the Gram matrix is 0."""

    @staticmethod
    def of(content: Tensor, mask: Tensor, layers: Collection[str]) -> Guidance:
        """Return the guidance of one image (1, 3, H, W) by its mask (1, 1, H, W), for these layers."""
        halvings = sorted({0, *map(halvings_of, layers)})
        masks = {n: F.avg_pool2d(mask, 2**n) if n else mask for n in halvings}
        return Guidance(content, masks, {n: positive_sum(each) for n, each in masks.items()})

    @property
    def share(self) -> Tensor:
        """Share of each image that is painted: mean(m), (B, 1, 1)."""
        return self.mask.mean((2, 3))[..., None]

    @property
    def mask(self) -> Tensor:
        """Masks at full size, (B, 1, H, W)."""
        return self.masks[0]

    def select(self, images: Sequence[int]) -> Guidance:
        """Return the guidance of some images of the batch."""
        masks, sums = ({n: t[list(images)] for n, t in each.items()} for each in (self.masks, self.sums))
        return Guidance(self.content[list(images)], masks, sums)

    @staticmethod
    def stack(each: Sequence[Guidance]) -> Guidance:
        """Return the guidance of a batch, from the guidance of each of its parts."""
        return Guidance(
            torch.cat([guidance.content for guidance in each]),
            {n: torch.cat([guidance.masks[n] for guidance in each]) for n in each[0].masks},
            {n: torch.cat([guidance.sums[n] for guidance in each]) for n in each[0].sums},
        )

    def composite(self, image: Tensor) -> Tensor:
        """Return the evaluated image x = c + m·(z − c): exactly z where m is 1, exactly the content c where it is 0.

        Args:
            image: z, (B, 3, H, W), finite.
        """
        return torch.lerp(self.content, image, self.mask)

    def inverse_composite(self, image: Tensor) -> Tensor:
        """Return z = c + (x − c) / max(m, 1/8), the start of a scale; its composite is x where m is at least 1/8.

        With z = x the style would fade by m at every scale of the pyramid where the mask is soft.

        Args:
            image: x, (B, 3, H, W).
        """
        return self.content + (image - self.content) / self.mask.clamp(min=_FAINTEST)


def positive_sum(mask: Tensor) -> Tensor:
    """Return Σ m of masks (B, 1, H, W), (B, 1, 1); infinite where a mask is black, so that weighted means are 0."""
    total = mask.sum((1, 2, 3)).view(-1, 1, 1)
    return total.where(total > _SMALLEST_SUM, torch.inf)


def shrink_mask(mask: Tensor, width: int, height: int) -> Tensor:
    """Resample a mask (1, 1, H, W) by area, so that edges do not ring, and black and white areas stay as they are."""
    if mask.shape[2:] == (height, width):
        return mask
    return F.interpolate(mask, (height, width), mode="area")
