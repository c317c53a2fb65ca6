"""The Wasserstein distance of features, and the optimal transport of a photograph's features to a painting's.

The features of a layer are taken as normally distributed. The squared 2-Wasserstein distance of two normal
distributions (Dowson & Landau 1982; used for textures by Marron 2018 and Risser 2017's critique of Gram matrices) is

    W = ‖μ − μ_s‖² + tr Σ + tr Σ_s − 2 tr (Lᵀ·Σ·L)^½,  with Σ_s = L·Lᵀ

where μ and Σ are mean and covariance of the image's features, and μ_s and Σ_s those of the painting's. The map

    x → μ_s + T·(x − μ),  T = L·(Lᵀ·Σ·L)^(−½)·Lᵀ

carries the first distribution to the second one at the least cost, and the gradient of W by a feature pulls it to its
image: ∂W/∂f_i = 2/N · (f_i − [μ_s + T·(f_i − μ)]). No root is differentiated.

L has the painting's principal directions only, which hold `PRINCIPAL_SHARE` of its variance: about half of a layer's
channels, so that the matrices are small. A painting that is flat or has few positions has few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.matrix_roots import eigen, root_and_inverse
from pipeline.transfer.moments import Moments, parts, rows
from pipeline.transfer.style_target import StyleComparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

PRINCIPAL_SHARE = 0.995
"""Share of the painting's variance that its principal directions have."""
REGULARISATION = 1e-2
"""Variance that is added to image and painting in every principal direction, relative to the painting's mean variance
of a channel: where the image has no variance at all, the map would be infinite."""
_ROUNDING = 1e-6
"""Smallest variance that is added, relative to the image's second moment: a covariance is not more exact."""
_SMALLEST_VARIANCE = 0.01
"""Smallest variance of a painting relative to its second moment; a painting of one colour has hardly any."""


@dataclass(frozen=True)
class WassersteinTarget:
    """The statistics of the painting of each image of a batch at one layer."""

    mean: Tensor
    """μ_s, (B, C) float32."""
    factor: Tensor
    """L, (B, C, C) float32: the principal directions by falling variance, then zeros."""
    variance: Tensor
    """tr Σ_s, (B,) float32: the unit of the distance."""
    regularisation: Tensor
    """Variance that is added in each principal direction, (B,) float32."""
    ranks: tuple[int, ...]
    """Number of principal directions of each painting, at least 1."""

    @classmethod
    def of(cls, moments: Moments) -> WassersteinTarget:
        """Return the target of one painting."""
        values, vectors = eigen(moments.covariance)
        values, vectors = values.flip(1).clamp(min=0), vectors.flip(2)
        total, variance = values.sum(1), unit_of(moments)
        rank = 1 + int((values.cumsum(1) < PRINCIPAL_SHARE * total[:, None]).sum())
        rank = min(rank, values.shape[1])
        regularisation = REGULARISATION * variance / values.shape[1]
        factor = vectors * (values + regularisation[:, None]).sqrt()[:, None, :]
        factor[:, :, rank:] = 0
        factor = factor.float().contiguous()  # eigenvectors are not; in a batch they would be, and round otherwise
        return cls(moments.mean, factor, variance.float(), regularisation.float(), (rank,))

    def __len__(self) -> int:
        return len(self.mean)

    def select(self, images: Sequence[int]) -> WassersteinTarget:
        """Return the targets of some images of the batch."""
        at = list(images)
        ranks = tuple(self.ranks[image] for image in at)
        return WassersteinTarget(self.mean[at], self.factor[at], self.variance[at], self.regularisation[at], ranks)

    @staticmethod
    def stack(each: Sequence[WassersteinTarget]) -> WassersteinTarget:
        """Return the targets of a batch, from the targets of its parts."""
        return WassersteinTarget(
            torch.cat([target.mean for target in each]),
            torch.cat([target.factor for target in each]),
            torch.cat([target.variance for target in each]),
            torch.cat([target.regularisation for target in each]),
            tuple(rank for target in each for rank in target.ranks),
        )

    def compare(self, moments: Moments, weight: float | Tensor, count: float | Tensor) -> StyleComparison:
        """Compare by W / tr Σ_s: nearly 0 for the painting itself, and about 1 for an image without any texture.

        The variance e of `regularisation` is added to both distributions in the principal directions, of which there
        are r. With L of the painting's regularised covariance, W is

            ‖μ − μ_s‖² + tr Σ + r·e + tr (L·Lᵀ) − 2 tr (Lᵀ·Σ·L + e·Lᵀ·L)^½
        """
        factor = self.factor[:, :, : max(self.ranks)]
        own = factor.square().sum(1)  # the columns of L are orthogonal
        rounding = _ROUNDING * moments.second.diagonal(dim1=1, dim2=2).sum(1)
        shift = torch.maximum(self.regularisation, rounding)
        inner = factor.mT @ moments.covariance @ factor + torch.diag_embed(own * shift[:, None])
        root, inverse = root_and_inverse(inner)
        transport = factor @ inverse @ factor.mT
        gap = moments.mean - self.mean
        added = shift * (own > 0).sum(1)  # not from `ranks`: a CUDA graph copies nothing from the host
        trace = moments.covariance.diagonal(dim1=1, dim2=2).sum(1)
        distance = gap.square().sum(1) + trace + added + own.sum(1) - 2 * root
        distance = distance.clamp(min=0)  # rounding may bring it below
        unit = weight / self.variance[:, None, None]
        step = 2 * unit / count
        mixer = (torch.eye(transport.shape[1], device=transport.device) - transport) * step
        moved = (transport @ moments.mean[..., None])[..., 0]
        return StyleComparison(distance * unit[:, 0, 0], mixer, (moved - self.mean) * step[..., 0])


def unit_of(moments: Moments) -> Tensor:
    """Return tr Σ of features, (B,), the unit of distances; for pictures of one colour it is a little more."""
    floor = _SMALLEST_VARIANCE * moments.second.diagonal(dim1=1, dim2=2).sum(1)
    variance = moments.covariance.diagonal(dim1=1, dim2=2).sum(1)
    return torch.maximum(variance, floor.clamp(min=torch.finfo(torch.float32).tiny))


def transport_of(content: Moments, style: Moments) -> tuple[Tensor, Tensor]:
    """Return T and μ_s − T·μ of the map x → μ_s + T·(x − μ), (1, C, C) and (1, C) float32.

    Args:
        content: moments of the photograph's features.
        style: moments of the painting's features.
    """
    target = WassersteinTarget.of(style)
    factor = target.factor[:, :, : target.ranks[0]]
    own = factor.square().sum(1)
    covariance = content.covariance
    shift = REGULARISATION * torch.maximum(
        covariance.diagonal(dim1=1, dim2=2).mean(1), target.variance / covariance.shape[1]
    )
    _, inverse = root_and_inverse(factor.mT @ covariance @ factor + torch.diag_embed(own * shift[:, None]))
    transport = factor @ inverse @ factor.mT
    return transport, target.mean - (transport @ content.mean[..., None])[..., 0]


def transport(features: Tensor, matrix: Tensor, offset: Tensor, scale: float, mask: Tensor | None = None) -> None:
    """Replace features by T·x + b, as far as the mask is white.

    Args:
        features: (1, C, H, W) channels-last, `scale` times as large as the network's own; changed in place.
        matrix: T, (1, C, C) float32.
        offset: b, (1, C) float32.
        scale: the factor of the features.
        mask: m, (1, 1, H, W) float32; None: 1 everywhere.
    """
    long = rows(features)
    for part in parts(long):
        own = long[:, part].float()
        moved = torch.baddbmm(offset[:, None] * scale, own, matrix)
        long[:, part] = (moved if mask is None else torch.lerp(own, moved, rows(mask)[:, part])).to(long.dtype)
