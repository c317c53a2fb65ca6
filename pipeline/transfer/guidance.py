"""Where the style acts: guided Gram matrices (Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, section 4).

The paper multiplies the features of a layer by a guidance channel T with Σ T² = 1 before it takes their Gram matrix,
so that each place counts by T². Here the mask m is what places count by, T² = m / Σ m, and

    G = Σ_i m_i · f_i · f_iᵀ / Σ_i m_i

which is F·Fᵀ / (H·W) where the mask is white everywhere. At a layer behind n poolings m is the mask's mean over the
2ⁿ × 2ⁿ px that a feature has for its own. There is one region; elsewhere the photograph stays, and the painting is
looked at as a whole.
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
"""Of a mask, below which a layer sees nothing of it: far less than one grey level of one pixel."""
_FAINTEST = 1 / 8
"""A style that shines through the mask less than that is not made stronger at the start of a scale."""


@dataclass(frozen=True)
class Guidance:
    """The mask of each image of a batch, at all sizes, and what stays where it is black."""

    content: Tensor
    """(B, 3, H, W) float32, sRGB 0–255."""
    masks: dict[int, Tensor]
    """By halvings, from 0: (B, 1, H/2ⁿ, W/2ⁿ) float32, 0–1."""
    sums: dict[int, Tensor]
    """By halvings: (B, 1, 1) float32, Σ m; infinite where there is next to nothing, so that the Gram matrix is 0."""

    @staticmethod
    def of(content: Tensor, mask: Tensor, layers: Collection[str]) -> Guidance:
        """Of one image (1, 3, H, W) and its mask (1, 1, H, W), for these style layers."""
        halvings = sorted({0, *map(halvings_of, layers)})
        masks = {n: F.avg_pool2d(mask, 2**n) if n else mask for n in halvings}
        sums = {n: each.sum((1, 2, 3)).view(-1, 1, 1) for n, each in masks.items()}
        return Guidance(content, masks, {n: total.where(total > _SMALLEST_SUM, torch.inf) for n, total in sums.items()})

    @property
    def share(self) -> Tensor:
        """Of the image that is painted: mean(m), (B, 1, 1)."""
        return self.mask.mean((2, 3))[..., None]

    @property
    def mask(self) -> Tensor:
        """(B, 1, H, W)."""
        return self.masks[0]

    def select(self, images: Sequence[int]) -> Guidance:
        """Of some images of the batch."""
        masks, sums = ({n: t[list(images)] for n, t in each.items()} for each in (self.masks, self.sums))
        return Guidance(self.content[list(images)], masks, sums)

    @staticmethod
    def stack(each: Sequence[Guidance]) -> Guidance:
        """Of a batch, from those of its images."""
        return Guidance(
            torch.cat([guidance.content for guidance in each]),
            {n: torch.cat([guidance.masks[n] for guidance in each]) for n in each[0].masks},
            {n: torch.cat([guidance.sums[n] for guidance in each]) for n in each[0].sums},
        )

    def composite(self, image: Tensor) -> Tensor:
        """What is evaluated, x = c + m·(z − c): to the last bit z where m is 1, and the content c where it is 0.

        Args:
            image: z, (B, 3, H, W), finite.
        """
        return torch.lerp(self.content, image, self.mask)

    def inverse_composite(self, image: Tensor) -> Tensor:
        """The start of a scale, z = c + (x − c) / max(m, 1/8), whose composite is x where the mask is not faint.

        Were z = x, the style would fade by m at every scale of the pyramid where the mask is soft.

        Args:
            image: x, (B, 3, H, W).
        """
        return self.content + (image - self.content) / self.mask.clamp(min=_FAINTEST)


def shrink_mask(mask: Tensor, width: int, height: int) -> Tensor:
    """(1, 1, H, W) to the given size by area: no ringing at its edges, and what is black or white stays so."""
    if mask.shape[2:] == (height, width):
        return mask
    return F.interpolate(mask, (height, width), mode="area")
