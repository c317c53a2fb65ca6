"""Parts of the objective: its weights, Gram matrices and total variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.vgg import channels_of

if TYPE_CHECKING:
    from torch import Tensor

TV_SMOOTHING = 1.0
"""Difference, in levels of 0–255, below which total variation is quadratic, so that it has a gradient everywhere."""

_VALUES_AT_ONCE = 1 << 22
"""Number of features that are converted to float32 or weighted at once for a Gram matrix, 16 MB."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """Layers that are compared, and the weight of each term."""

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_layer_weights: tuple[float, ...]
    content_weight: float
    style_weight: float
    tv_weight: float

    @property
    def layers(self) -> frozenset[str]:
        """Layers of content and style."""
        return frozenset(self.content_layers + self.style_layers)

    def style_weight_of(self, layer: str) -> float:
        """Return style_weight · w_l / C_l² of a style layer."""
        weights = self.style_layer_weights or (1.0,) * len(self.style_layers)
        return self.style_weight * weights[self.style_layers.index(layer)] / channels_of(layer) ** 2


def rows(features: Tensor) -> Tensor:
    """Return features (B, C, H, W) as (B, H·W, C): a view if they are channels-last."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def gram_sum(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return Σ_i m_i · f_i · f_iᵀ in float32: Gram matrices before the division by Σ m, or by H·W.

    Args:
        features: (B, C, H, W).
        mask: m, (B, 1, H, W) float32; None: 1 everywhere.

    Returns:
        (B, C, C) float32.
    """
    long = rows(features)
    if long.dtype is torch.float32 and mask is None:
        return long.mT @ long
    total = features.new_zeros((len(long), long.shape[2], long.shape[2]), dtype=torch.float32)
    for part in _parts(long):
        wide = long[:, part].float()
        total.baddbmm_(wide.mT, wide if mask is None else wide * rows(mask)[:, part])
    return total


def add_mixed(gradient: Tensor, features: Tensor, mixer: Tensor, mask: Tensor) -> None:
    """Add m_i · M · f_i at every position i, the gradient of a guided Gram matrix.

    Args:
        gradient: (B, C, H, W) channels-last, changed in place.
        features: (B, C, H, W).
        mixer: M, (B, C, C), in the features' precision.
        mask: m, (B, 1, H, W) float32.
    """
    long, total = rows(features), rows(gradient)
    for part in _parts(long):
        # The features are weighted, not the product, which could exceed float16 where the mask is black.
        weighted = (long[:, part] * rows(mask)[:, part]).to(long.dtype)
        total[:, part].baddbmm_(weighted, mixer)


def _parts(long: Tensor) -> list[slice]:
    """Return slices of (B, H·W, C) along its middle dimension."""
    step = _VALUES_AT_ONCE // long.shape[2]
    return [slice(start, start + step) for start in range(0, long.shape[1], step)]


def total_variation(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean(ρ(∂x)) + mean(ρ(∂y)) with ρ(d) = √(d² + ε²) − ε and ε = `TV_SMOOTHING`, and its gradient.

    It is about the mean absolute difference of neighbouring pixels.

    Args:
        image: (B, 3, H, W), 0–255.

    Returns:
        (B,) and the gradient (B, 3, H, W): ρ'(d) = d / √(d² + ε²), added to and taken from the pixels of a difference.
    """
    value, gradient = image.new_zeros(len(image)), torch.zeros_like(image)
    for dim in (3, 2):
        d = image.diff(dim=dim)
        root = (d * d).add_(TV_SMOOTHING**2).sqrt_()
        count, length = d[0].numel(), d.shape[dim]
        value += (root.sum((1, 2, 3)) - TV_SMOOTHING * count) / count
        d.div_(root).div_(count)
        gradient.narrow(dim, 1, length).add_(d)
        gradient.narrow(dim, 0, length).sub_(d)
    return value, gradient
