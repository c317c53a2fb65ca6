"""What is minimised (Gatys, Ecker & Bethge 2016), on the 0–255 scale of the authors' own code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.vgg import channels_of

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.transfer.vgg import Vgg19

TV_SMOOTHING = 1.0
"""In levels of 0–255: below it total variation is quadratic, so that its gradient is defined everywhere."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """Which layers are compared, and the weight of each term."""

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_layer_weights: tuple[float, ...]
    content_weight: float
    style_weight: float
    tv_weight: float


@dataclass(frozen=True)
class Terms:
    """The objective and its weighted terms: total = content + style + tv. Numbers, or tensors while optimising."""

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor


def gram(features: Tensor) -> Tensor:
    """Gram matrices G = F·Fᵀ / (H·W).

    Args:
        features: (B, C, H, W).

    Returns:
        (B, C, C).
    """
    rows = features.flatten(2)
    return rows @ rows.mT / rows.shape[2]


def total_variation(image: Tensor) -> Tensor:
    """mean(ρ(∂x)) + mean(ρ(∂y)) with ρ(d) = √(d² + ε²) − ε, ε = `TV_SMOOTHING`: about the mean absolute difference.

    Args:
        image: (B, 3, H, W), 0–255.
    """
    across, down = image.diff(dim=3), image.diff(dim=2)
    smoothed = [torch.sqrt(d * d + TV_SMOOTHING**2) - TV_SMOOTHING for d in (across, down)]
    return smoothed[0].mean() + smoothed[1].mean()


class Objective:
    """content_weight · Σ_l mean((F_l − P_l)²) + style_weight · Σ_l w_l/C_l² · mean((G_l − A_l)²) + tv_weight · TV.

    F are the image's features and P the content's, G the image's Gram matrices and A the style's, C_l the channels of
    layer l. With w = 1, style_weight = 1000, content_weight = 1 and rectified layers it is that of
    leongatys/PytorchNeuralStyleTransfer.
    """

    def __init__(self, network: Vgg19, content: Tensor, style: Tensor, spec: ObjectiveSpec) -> None:
        self._network, self._spec = network, spec
        self._layers = {*spec.content_layers, *spec.style_layers}
        with torch.no_grad():
            self._content = network.features(content, spec.content_layers)
            self._grams = {layer: gram(f) for layer, f in network.features(style, spec.style_layers).items()}
        self._style_weights = {
            layer: spec.style_weight * weight / channels_of(layer) ** 2
            for layer, weight in zip(
                spec.style_layers, spec.style_layer_weights or (1.0,) * len(spec.style_layers), strict=True
            )
        }

    def __call__(self, image: Tensor) -> Terms:
        """The terms at an image (1, 3, H, W), sRGB 0–255, as scalars that autograd can differentiate."""
        features = self._network.features(image, self._layers)
        zero = image.new_zeros(())
        content = zero + sum((features[layer] - p).square().mean() for layer, p in self._content.items())
        style = zero + sum(
            self._style_weights[layer] * (gram(features[layer]) - a).square().mean() for layer, a in self._grams.items()
        )
        content = self._spec.content_weight * content
        tv = self._spec.tv_weight * total_variation(image)
        return Terms(content + style + tv, content, style, tv)
