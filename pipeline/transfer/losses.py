"""Parts of the objective: its weights, the gradient of the style term, and total variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from pipeline.transfer.moments import parts, rows

if TYPE_CHECKING:
    from torch import Tensor

TV_SMOOTHING = 1.0
"""Difference, in levels of 0–255, below which total variation is quadratic, so that it has a gradient everywhere."""


Style = Literal["wasserstein", "gram"]
"""Measure of the difference between an image's and a painting's features; see `wasserstein` and `gram`."""
ContentTarget = Literal["transported", "photograph"]
"""Features that the content term asks for: the photograph's, or these after their transport to the painting's."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """Layers that are compared, and the weight of each term."""

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_layer_weights: tuple[float, ...]
    content_weight: float
    style_weight: float
    tv_weight: float
    style: Style = "gram"
    content_target: ContentTarget = "photograph"
    content_layer_weights: tuple[float, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """Layers of content and style."""
        return frozenset(self.content_layers + self.style_layers)

    @property
    def painting_layers(self) -> tuple[str, ...]:
        """Layers at which the paintings' moments are needed."""
        transported = self.content_layers if self.content_target == "transported" else ()
        return tuple(dict.fromkeys((*self.style_layers, *transported)))

    @property
    def is_relative(self) -> bool:
        """Whether the terms are relative to variances, so that weights do not depend on the network's activations."""
        return self.style == "wasserstein"

    def content_weight_of(self, layer: str) -> float:
        """Return content_weight · w_l of a content layer."""
        if not self.content_layer_weights:
            return self.content_weight
        return self.content_weight * self.content_layer_weights[self.content_layers.index(layer)]

    def style_weight_of(self, layer: str) -> float:
        """Return style_weight · w_l of a style layer; if the terms are relative, w is divided by Σ w."""
        weights = self.style_layer_weights or (1.0,) * len(self.style_layers)
        total = sum(weights) if self.is_relative else 1.0
        return self.style_weight * weights[self.style_layers.index(layer)] / (total or 1.0)


def add_mixed(
    gradient: Tensor, features: Tensor, mixer: Tensor, offset: Tensor | None = None, mask: Tensor | None = None
) -> None:
    """Add m_i · (M · f_i + v) at every position i, the gradient of a style term.

    Args:
        gradient: (B, C, H, W) channels-last, changed in place.
        features: (B, C, H, W).
        mixer: M, (B, C, C), in the features' precision.
        offset: v, (B, C), in the features' precision; None: 0.
        mask: m, (B, 1, H, W) float32; None: 1 everywhere.
    """
    long, total = rows(features), rows(gradient)
    if mask is None and offset is None:
        total.baddbmm_(long, mixer)
        return
    for part in parts(long):
        own = long[:, part]
        added = offset[:, None] if offset is not None else own.new_zeros(1)
        if mask is not None:
            # The features are weighted, not the product, which could exceed float16 where the mask is black.
            weights = rows(mask)[:, part]
            own, added = (own * weights).to(long.dtype), (added * weights).to(long.dtype)
        # M·f and v nearly cancel out, so they are rounded together, and not with the gradient.
        total[:, part] += torch.baddbmm(added, own, mixer)


def mixed(features: Tensor, mixer: Tensor, offset: Tensor | None) -> Tensor:
    """Return M · f_i + v at every position, channels-last; see `add_mixed` for the arguments."""
    long = rows(features)
    product = long @ mixer if offset is None else torch.baddbmm(offset[:, None], long, mixer)
    return product.view(len(features), *features.shape[2:], -1).permute(0, 3, 1, 2)


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
