"""Means and second moments of features, from which the style term is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.guidance import Guidance
from pipeline.transfer.tiling import WHOLE, statistics_margin, tiles
from pipeline.transfer.vgg import convolution_of, halvings_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from pipeline.transfer.tiling import Fit, Tile
    from pipeline.transfer.vgg import Chain

_VALUES_AT_ONCE = 1 << 22
"""Number of features that are converted to float32 or weighted at once, 16 MB."""
_BLOCK = 1024
"""Number of positions over which products are summed at once."""


@dataclass(frozen=True)
class Moments:
    """Moments of the features of a layer over all positions i, with weights m_i."""

    mean: Tensor
    """μ = Σ m_i · f_i / Σ m_i, (B, C) float32."""
    second: Tensor
    """Σ m_i · f_i · f_iᵀ / Σ m_i, (B, C, C) float32: without a mask the Gram matrix F·Fᵀ / (H·W)."""

    @property
    def covariance(self) -> Tensor:
        """Covariance of the features, (B, C, C)."""
        return self.second - self.mean[:, :, None] * self.mean[:, None, :]

    @staticmethod
    def blend(each: Sequence[Moments], weights: Sequence[float]) -> Moments:
        """Return the moments of a mixture of pictures, which are the weighted means of theirs."""
        shares = [weight / sum(weights) for weight in weights]
        mean, second = torch.zeros_like(each[0].mean), torch.zeros_like(each[0].second)
        for moments, share in zip(each, shares, strict=True):
            mean, second = mean + moments.mean * share, second + moments.second * share
        return Moments(mean, second)


def rows(features: Tensor) -> Tensor:
    """Return features (B, C, H, W) as (B, H·W, C): a view if they are channels-last."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def parts(long: Tensor) -> list[slice]:
    """Return slices of (B, H·W, C) along its middle dimension, so that converted parts are small."""
    step = _VALUES_AT_ONCE // long.shape[2]
    return [slice(start, start + step) for start in range(0, long.shape[1], step)]


def moment_sums(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return Σ_i m_i · f_i and Σ_i m_i · f_i · f_iᵀ in float32, from sums over blocks of positions.

    A long sum of equal addends is rounded in one direction. Where most of a picture has one colour, a covariance would
    be lost in that error, so no sum is longer than `_BLOCK`.

    Args:
        features: (B, C, H, W).
        mask: m, (B, 1, H, W) float32; None: 1 everywhere.

    Returns:
        (B, C) and (B, C, C).
    """
    long = rows(features)
    batch, _, channels = long.shape
    half = channels // 2
    first = features.new_zeros((batch, channels), dtype=torch.float32)
    second = features.new_zeros((batch, channels, channels), dtype=torch.float32)
    for part in parts(long):
        wide = long[:, part].float()
        weighted = wide if mask is None else wide * rows(mask)[:, part]
        first += weighted.sum(1)
        whole = wide.shape[1] // _BLOCK * _BLOCK
        if whole:
            one, other = (each[:, :whole].reshape(-1, _BLOCK, channels) for each in (wide, weighted))
            second[:, :, half:] += _summed(one.mT @ other[..., half:], batch)
            second[:, :half, :half] += _summed(one[..., :half].mT @ other[..., :half], batch)
        if whole < wide.shape[1]:
            second.baddbmm_(wide[:, whole:].mT, weighted[:, whole:])
    second[:, half:, :half] = second[:, :half, half:].mT  # the product is symmetric: a fourth of it is not computed
    return first, second


def _summed(products: Tensor, batch: int) -> Tensor:
    """Return the sums (batch, …) of products of blocks (batch · blocks, …)."""
    return products.view(batch, -1, *products.shape[1:]).sum(1)


def moments_of(
    chain: Chain, layers: Collection[str], image: Tensor, fit: Fit = WHOLE, mask: Tensor | None = None
) -> dict[str, Moments]:
    """Return the moments of an image (1, 3, H, W) by layer; with a mask (1, 1, H, W) those of what it shows."""
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    guidance = Guidance.of(image, mask, layers) if mask is not None else None
    for tile in tiles(image.shape[2], image.shape[3], fit.tile, statistics_margin(layers)):

        def add(layer: str, features: Tensor, tile: Tile = tile) -> None:
            halvings = halvings_of(layer)
            weights = tile.core_of_whole(guidance.masks[halvings], halvings) if guidance is not None else None
            first, second = moment_sums(tile.core_of_tile(features, halvings), weights)
            if layer in sums:
                first, second = sums[layer][0] + first, sums[layer][1] + second
            sums[layer] = first, second

        chain.forward(tile.cut(image), layers, add, keep="nothing")
    counts = {
        layer: guidance.sums[halvings_of(layer)] if guidance is not None else pixels_of(image, layer) for layer in sums
    }
    return {
        layer: scaled_moments(first, second, counts[layer], chain.scales[convolution_of(layer)])
        for layer, (first, second) in sums.items()
    }


def scaled_moments(first: Tensor, second: Tensor, count: float | Tensor, scale: float) -> Moments:
    """Return moments from sums over features that are `scale` times as large as the network's own.

    Args:
        first: Σ m_i · f_i, (B, C).
        second: Σ m_i · f_i · f_iᵀ, (B, C, C).
        count: Σ m_i, a number or (B, 1, 1).
        scale: the factor of the features.
    """
    of_mean = count[..., 0] if isinstance(count, torch.Tensor) else count
    return Moments(first / (of_mean * scale), second / (count * scale**2))


def pixels_of(image: Tensor, layer: str) -> int:
    """Return H·W of a layer's features."""
    height, width = (side >> halvings_of(layer) for side in image.shape[2:])
    return int(height * width)
