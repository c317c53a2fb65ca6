"""What is minimised (Gatys, Ecker & Bethge 2016), on the 0–255 scale of the authors' own code, and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from pipeline.transfer.vgg import channels_of, convolution_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.transfer.vgg import Activations, Chain

TV_SMOOTHING = 1.0
"""In levels of 0–255: below it total variation is quadratic, so that its gradient is defined everywhere."""

_VALUES_AT_ONCE = 1 << 22
"""Features that are converted from half precision to float32 at once for a Gram matrix: 16 MB."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """Which layers are compared, and the weight of each term."""

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_layer_weights: tuple[float, ...]
    content_weight: float
    style_weight: float
    tv_weight: float

    @property
    def layers(self) -> frozenset[str]:
        """All that are compared."""
        return frozenset(self.content_layers + self.style_layers)

    def style_weight_of(self, layer: str) -> float:
        """style_weight · w_l / C_l²."""
        weights = self.style_layer_weights or (1.0,) * len(self.style_layers)
        return self.style_weight * weights[self.style_layers.index(layer)] / channels_of(layer) ** 2


@dataclass(frozen=True)
class Painting:
    """A style, and its share where several are blended."""

    image: Tensor
    """(1, 3, H, W) float32, sRGB 0–255; its size need not be the content's."""
    weight: float = 1.0


@dataclass(frozen=True)
class Targets:
    """What images are compared with."""

    content: dict[str, Tensor]
    """By layer (B, C, H/2ⁿ, W/2ⁿ), in the chain's precision and scales."""
    grams: dict[str, Tensor]
    """By layer (B, C, C) float32."""

    @property
    def images(self) -> int:
        """B."""
        return len(next(iter((*self.content.values(), *self.grams.values()))))

    def split(self) -> list[Targets]:
        """Of each image for itself."""
        return [
            Targets(
                {layer: target[i : i + 1] for layer, target in self.content.items()},
                {layer: target[i : i + 1] for layer, target in self.grams.items()},
            )
            for i in range(self.images)
        ]

    @staticmethod
    def stack(each: Sequence[Targets]) -> Targets:
        """Of a batch, from those of its images."""
        first = each[0]
        return Targets(
            {layer: torch.cat([t.content[layer] for t in each]) for layer in first.content},
            {layer: torch.cat([t.grams[layer] for t in each]) for layer in first.grams},
        )


def gram(features: Tensor) -> Tensor:
    """Gram matrices G = F·Fᵀ / (H·W), in float32.

    Args:
        features: (B, C, H, W).

    Returns:
        (B, C, C) float32.
    """
    rows = _rows(features)
    if rows.dtype is torch.float32:
        return rows.mT @ rows / rows.shape[1]
    total = features.new_zeros((len(rows), rows.shape[2], rows.shape[2]), dtype=torch.float32)
    for part in torch.split(rows, _VALUES_AT_ONCE // rows.shape[2], dim=1):
        wide = part.float()
        total.baddbmm_(wide.mT, wide)
    return total / rows.shape[1]


def _rows(features: Tensor) -> Tensor:
    """(B, H·W, C): a view where features are channels-last."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def total_variation(image: Tensor) -> tuple[Tensor, Tensor]:
    """mean(ρ(∂x)) + mean(ρ(∂y)) with ρ(d) = √(d² + ε²) − ε, ε = `TV_SMOOTHING`: about the mean absolute difference.

    Args:
        image: (B, 3, H, W), 0–255.

    Returns:
        (B,) and its gradient (B, 3, H, W): ρ'(d) = d / √(d² + ε²), taken by both pixels of a difference.
    """
    value, gradient = image.new_zeros(len(image)), torch.zeros_like(image)
    for dim in (3, 2):
        d = image.diff(dim=dim)
        root = (d * d + TV_SMOOTHING**2).sqrt_()
        count, length = d[0].numel(), d.shape[dim]
        value += (root.sum((1, 2, 3)) - TV_SMOOTHING * count) / count
        d.div_(root).div_(count)
        gradient.narrow(dim, 1, length).add_(d)
        gradient.narrow(dim, 0, length).sub_(d)
    return value, gradient


class Objective:
    """content_weight · Σ_l mean((F_l − P_l)²) + style_weight · Σ_l w_l/C_l² · mean((G_l − A_l)²) + tv_weight · TV.

    F are the image's features and P the content's, G the image's Gram matrices and A the style's (a weighted mean of
    several styles'), C_l the channels of layer l. With w = 1, style_weight = 1000, content_weight = 1 and rectified
    layers it is that of leongatys/PytorchNeuralStyleTransfer.
    """

    def __init__(self, chain: Chain, spec: ObjectiveSpec, targets: Targets) -> None:
        self._chain, self._spec, self._targets = chain, spec, targets
        self._single = [Objective(chain, spec, one) for one in targets.split()] if self._one_by_one else []

    @property
    def _one_by_one(self) -> bool:
        """Two cores are as busy with one image as with four, and one at a time takes a fourth of the memory.

        It is also rounded as if it were alone, to the last bit; convolutions of a batch may not be.
        """
        return self._chain.device.type == "cpu" and self._targets.images > 1

    @staticmethod
    def targets(chain: Chain, spec: ObjectiveSpec, content: Tensor, paintings: Sequence[Painting]) -> Targets:
        """Of one image (1, 3, H, W) and the paintings that it shall look like."""
        kept = {}
        if spec.content_layers:
            at_content = chain.forward(content, spec.content_layers)
            kept = {layer: at_content[layer].clone() for layer in spec.content_layers}
        grams = dict.fromkeys(spec.style_layers, torch.zeros((), device=content.device))
        if spec.style_layers:
            total = sum(painting.weight for painting in paintings)
            for painting in paintings:
                features = chain.forward(painting.image, spec.style_layers)
                for layer in grams:
                    scale = chain.scales[convolution_of(layer)]
                    grams[layer] = grams[layer] + gram(features[layer]) * (painting.weight / total / scale**2)
        return Targets(kept, grams)

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate a batch; nothing waits for the device.

        Args:
            image: (B, 3, H, W) float32, sRGB 0–255.

        Returns:
            Terms (B, 4) float32: total, content, style, tv, weighted, so that the first is the sum of the others; and
            the gradient of the total (B, 3, H, W) float32. A pair's row does not depend on the others in the batch.
        """
        if self._single:
            each = [one(image[i : i + 1]) for i, one in enumerate(self._single)]
            return torch.cat([terms for terms, _ in each]), torch.cat([gradient for _, gradient in each])
        spec, scales = self._spec, self._chain.scales
        activations = self._chain.forward(image, spec.layers)
        content = style = image.new_zeros(len(image))
        for layer, target in self._targets.content.items():
            factor = spec.content_weight / scales[convolution_of(layer)] ** 2
            content = content + factor * (activations[layer] - target).float().square_().mean((1, 2, 3))
        mixers = {}
        for layer, target in self._targets.grams.items():
            weight, scale = spec.style_weight_of(layer), scales[convolution_of(layer)]
            features = activations[layer]
            difference = gram(features) / scale**2 - target
            style = style + weight * difference.square().mean((1, 2))
            channels, pixels = features.shape[1], features[0, 0].numel()
            mixers[layer] = difference * (4 * weight / (channels**2 * pixels * scale**2))
        tv, tv_gradient = total_variation(image)
        amplifier = self._amplifier(activations, mixers)
        gradient = self._gradient(activations, mixers, amplifier)
        gradient.add_(tv_gradient, alpha=spec.tv_weight)
        tv = tv * spec.tv_weight
        return torch.stack((content + style + tv, content, style, tv), dim=1), gradient

    def _gradient(self, activations: Activations, mixers: dict[str, Tensor], amplifier: Tensor | None) -> Tensor:
        """Content: 2 content_weight · (F − P) / (C·H·W). Style: 4 style_weight · w_l/C_l² · F·(G − A) / (C²·H·W)."""

        def inject(layer: str, features: Tensor, gradient: Tensor | None) -> Tensor:
            if layer in mixers:
                mixer = (mixers[layer] if amplifier is None else mixers[layer] * amplifier).to(features.dtype)
                if gradient is None:
                    rows = _rows(features) @ mixer
                    gradient = rows.view(len(features), *features.shape[2:], -1).permute(0, 3, 1, 2)
                else:
                    gradient = gradient.contiguous(memory_format=torch.channels_last)  # so that its rows are a view
                    _rows(gradient).baddbmm_(_rows(features), mixer)
            if layer in self._targets.content:
                difference = features - self._targets.content[layer]
                factor = self._content_factor(layer, features)
                if amplifier is None:
                    difference *= factor
                else:
                    difference = (difference.float() * (amplifier[..., None] * factor)).to(features.dtype)
                gradient = difference if gradient is None else gradient.add_(difference)
            return cast("Tensor", gradient)  # it was called for one of the two

        gradient = self._chain.backward(activations, inject)
        return gradient if amplifier is None else gradient.div_(amplifier[..., None])

    def _content_factor(self, layer: str, features: Tensor) -> float:
        scale = self._chain.scales[convolution_of(layer)]
        return 2 * self._spec.content_weight / (features[0].numel() * scale**2)

    def _amplifier(self, activations: Activations, mixers: dict[str, Tensor]) -> Tensor | None:
        """(B, 1, 1): brings what is injected to a root mean square of about 1/16 at most, where float16 would lose it.

        Bound by what is at hand: rms(F·M)² = trace(M·G·M) / C.
        """
        if self._chain.dtype is not torch.float16:
            return None
        powers = []
        for layer, mixer in mixers.items():
            powers.append((mixer @ gram(activations[layer]) * mixer).sum((1, 2)) / mixer.shape[1])
        for layer, target in self._targets.content.items():
            difference = (activations[layer] - target).float()
            powers.append(difference.square_().mean((1, 2, 3)) * self._content_factor(layer, activations[layer]) ** 2)
        largest = torch.stack(powers).amax(0).sqrt()
        return (1 / 16 / largest.clamp(min=1e-30)).view(-1, 1, 1)
