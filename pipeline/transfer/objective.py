"""The objective (Gatys, Ecker & Bethge 2016), on the 0–255 scale of the authors' own code, and its gradient."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import torch

from pipeline.transfer.losses import add_mixed, mixed, total_variation
from pipeline.transfer.moments import moment_sums, pixels_of, scaled_moments
from pipeline.transfer.tiling import WHOLE, gradient_margin, statistics_margin, tiles
from pipeline.transfer.vgg import channels_of, convolution_of, halvings_of

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.targets import Targets
    from pipeline.transfer.tiling import Fit, Tile
    from pipeline.transfer.vgg import Chain, Keep


class Objective:
    """content_weight · Σ_l w_l · content_l + style_weight · Σ_l w_l · style_l + tv_weight · TV, in one of two forms.

    F are the image's features, G its Gram matrices, P the features that the content term asks for, and C_l the number
    of channels of layer l.

    - `gram`: content_l = mean((F_l − P_l)²) and style_l = mean((G_l − A_l)²) / C_l², with the painting's Gram
      matrices A. With w = 1, style_weight = 1000, content_weight = 1 and rectified layers it is the objective of
      leongatys/PytorchNeuralStyleTransfer.
    - `wasserstein`: style_l is the distance of `wasserstein`, and content_l is divided by the mean variance of P_l, so
      that both are shares: 0 at a match, about 1 where there is nothing. The weights of style layers are divided by
      their sum.

    With a mask m the objective is that of the composite x = c + m·(z − c) of content c and image z, with guided Gram
    matrices (see `guidance`), and the style term is multiplied by mean(m). Content and TV are means over the whole
    image, so where m is 1 content and style have the same balance as without a mask. The gradient by z is m times the
    gradient by x.
    """

    def __init__(self, chain: Chain, spec: ObjectiveSpec, targets: Targets, fit: Fit = WHOLE) -> None:
        self._chain, self._spec, self._targets, self._fit = chain, spec, targets, fit
        self._single = [
            Objective(chain, spec, targets.select([i]), fit) for i in range(targets.images) if self._one_by_one
        ]

    @property
    def _one_by_one(self) -> bool:
        """Whether the images of a batch are evaluated one by one, as on a CPU.

        Two cores are as busy with one image as with four, and one at a time takes a fourth of the memory. Each image is
        also rounded as if it were alone, to the last bit; convolutions of a batch may round otherwise.
        """
        return self._chain.device.type == "cpu" and self._targets.images > 1

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate a batch, without waiting for the device.

        Args:
            image: z, (B, 3, H, W) float32, sRGB 0–255.

        Returns:
            Weighted terms (B, 4) float32: total, content, style, tv, where total is the sum of the others; for frames
            that follow others (B, 5), with the temporal term; and the gradient of the total (B, 3, H, W) float32. An
            image's row does not depend on the rest of the batch.
        """
        if self._single:
            each = [one(image[i : i + 1]) for i, one in enumerate(self._single)]
            return torch.cat([terms for terms, _ in each]), torch.cat([gradient for _, gradient in each])
        guidance, temporal = self._targets.guidance, self._targets.temporal
        if temporal is not None:
            image = temporal.composite(image)
        if guidance is not None:
            image = guidance.composite(image)
        terms, gradient = self._evaluate(image)
        if guidance is not None:
            gradient.mul_(guidance.mask)
        if temporal is not None:
            gradient.mul_(1 - temporal.still)
        return terms, gradient

    def _evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms at x and their gradient by x."""
        layers, side, (height, width) = self._spec.layers, self._fit.tile, image.shape[2:]
        tv, gradient = total_variation(image)
        gradient.mul_(self._spec.tv_weight)
        comparison = _Comparison(self._chain, self._spec, self._targets, image)
        keep: Keep = "deep" if self._fit.recompute else "all"
        whole = None
        for tile in tiles(height, width, side, statistics_margin(layers)):
            visit = partial(comparison.add, tile)
            if side is None:
                whole = self._chain.forward(image, layers, visit, keep=keep)
            else:
                self._chain.forward(tile.cut(image), layers, visit, keep="nothing")
        terms = comparison.conclude(tv * self._spec.tv_weight)
        if self._targets.temporal is not None:
            temporal = self._targets.temporal.add(image, gradient)
            terms = torch.cat((terms, temporal[:, None]), dim=1)
            terms[:, 0] += temporal
        for tile in tiles(height, width, side, gradient_margin(layers)):
            activations = whole or self._chain.forward(tile.cut(image), layers, keep=keep)
            part = self._chain.backward(activations, partial(comparison.inject, tile))
            tile.core_of_whole(gradient).add_(comparison.restore(tile.core_of_tile(part)))
        return terms, gradient


class _Comparison:
    """Comparison of an image with its targets: first sums over its tiles, then the gradient at each layer."""

    def __init__(self, chain: Chain, spec: ObjectiveSpec, targets: Targets, image: Tensor) -> None:
        self._spec, self._targets, self._is_float16 = spec, targets, chain.dtype is torch.float16
        self._scales = {layer: chain.scales[convolution_of(layer)] for layer in spec.layers}
        self._pixels = {layer: pixels_of(image, layer) for layer in spec.layers}
        self._masks: dict[str, Tensor] = {}
        self._counts: dict[str, float | Tensor] = dict(self._pixels)
        """Divisors of the moments by layer: H·W, or Σ m."""
        if targets.guidance is not None:
            self._masks = {layer: targets.guidance.masks[halvings_of(layer)] for layer in targets.styles}
            self._counts = {layer: targets.guidance.sums[halvings_of(layer)] for layer in targets.styles}
        self._share = targets.guidance.share if targets.guidance is not None else None
        """mean(m), (B, 1, 1); None without a mask."""
        self._squares = {layer: image.new_zeros(len(image)) for layer in targets.content}
        """Σ (F − P)² by layer, (B,), of scaled features."""
        self._products: dict[str, Tensor] = {}
        """Σ m · F·Fᵀ by layer, (B, C, C), of scaled features."""
        self._sums: dict[str, Tensor] = {}
        """Σ m · F by layer, (B, C), of scaled features."""
        self._mixers: dict[str, Tensor] = {}
        """M by layer, (B, C, C), of the gradient m·(M·F + v) by scaled features."""
        self._offsets: dict[str, Tensor | None] = {}
        """v by layer, (B, C)."""
        self._amplifier: Tensor | None = None

    def add(self, tile: Tile, layer: str, features: Tensor) -> None:
        """Add a tile's features of a tapped layer to the sums."""
        own = tile.core_of_tile(features, halvings_of(layer))
        if layer in self._targets.styles:
            mask = self._masks.get(layer)
            mask = tile.core_of_whole(mask, halvings_of(layer)) if mask is not None else None
            total, product = moment_sums(own, mask)
            self._products[layer] = self._products[layer] + product if layer in self._products else product
            self._sums[layer] = self._sums[layer] + total if layer in self._sums else total
        if layer in self._targets.content:
            difference = own - tile.core_of_whole(self._targets.content[layer], halvings_of(layer))
            self._squares[layer] += difference.float().square_().sum((1, 2, 3))

    def conclude(self, tv: Tensor) -> Tensor:
        """Return the terms (B, 4), after all tiles were added."""
        content = style = torch.zeros_like(tv)
        for layer, squares in self._squares.items():
            content = content + squares * (self._content_factor(layer) / 2)
        for layer, target in self._targets.styles.items():
            weight: float | Tensor = self._spec.style_weight_of(layer)
            if self._share is not None:
                weight = weight * self._share
            scale, count = self._scales[layer], self._counts[layer]
            moments = scaled_moments(self._sums[layer], self._products[layer], count, scale)
            found = target.compare(moments, weight, count * scale**2)
            style = style + found.term
            self._mixers[layer] = found.mixer
            self._offsets[layer] = found.offset * scale if found.offset is not None else None
        self._amplifier = self._find_amplifier() if self._is_float16 else None
        return torch.stack((content + style + tv, content, style, tv), dim=1)

    def inject(self, tile: Tile, layer: str, features: Tensor, gradient: Tensor | None) -> Tensor:
        """Add the gradient by a tile's features of a tapped layer to the gradient from above.

        Content: 2 content_weight · w_l · (F − P) / (C·H·W), divided by the variance if the terms are relative.
        Style: m·(M·F + v), see `StyleComparison`.
        """
        if layer in self._mixers:
            mixer, offset = self._amplified(self._mixers[layer], self._offsets[layer], features.dtype)
            mask = self._masks.get(layer)
            if gradient is None and mask is None:
                gradient = mixed(features, mixer, offset)
            else:
                gradient = torch.zeros_like(features) if gradient is None else gradient
                gradient = gradient.contiguous(memory_format=torch.channels_last)  # so that its rows are a view
                mask = tile.tile_of_whole(mask, halvings_of(layer)) if mask is not None else None
                add_mixed(gradient, features, mixer, offset, mask)
        if layer in self._targets.content:
            difference = features - tile.tile_of_whole(self._targets.content[layer], halvings_of(layer))
            factor = self._content_factor(layer)
            factor = factor[:, None, None, None] if isinstance(factor, torch.Tensor) else factor
            if self._amplifier is None:
                difference *= factor
            else:
                difference = (difference.float() * (self._amplifier[..., None] * factor)).to(features.dtype)
            gradient = difference if gradient is None else gradient.add_(difference)
        return cast("Tensor", gradient)  # a tapped layer is one of style, of content, or of both

    def _amplified(self, mixer: Tensor, offset: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Return M and v in the precision of the features, amplified if that is float16."""
        if self._amplifier is not None:
            mixer = mixer * self._amplifier
            offset = offset * self._amplifier[..., 0] if offset is not None else None
        return mixer.to(dtype), offset.to(dtype) if offset is not None else None

    def restore(self, gradient: Tensor) -> Tensor:
        """Return a gradient by the image without the amplification."""
        return gradient if self._amplifier is None else gradient / self._amplifier[..., None]

    def _content_factor(self, layer: str) -> float | Tensor:
        """Return 2 content_weight · w_l / (C·H·W) for scaled features; if terms are relative, by variance, (B,)."""
        values = channels_of(layer) * self._pixels[layer]
        factor = 2 * self._spec.content_weight_of(layer) / (values * self._scales[layer] ** 2)
        unit = self._targets.content_units.get(layer)
        return factor if unit is None else factor / unit

    def _find_amplifier(self) -> Tensor:
        """Return the factor (B, 1, 1) that keeps injected gradients within the range of float16.

        It brings the largest gradient to a root mean square of at most about 1/16. The bound uses only known values:
        mean((m·(M·F + v))²) ≤ [tr(M·Σ(m·F·Fᵀ)·M) + 2 vᵀ·M·Σ(m·F) + Σ m · v²] / (C·H·W), with equality where m is 0 or
        1.
        """
        powers = []
        for layer, mixer in self._mixers.items():
            pixels = self._pixels[layer]
            power = (mixer @ (self._products[layer] / pixels) * mixer).sum((1, 2))
            offset = self._offsets[layer]
            if offset is not None:
                mean = (mixer @ (self._sums[layer] / pixels)[..., None])[..., 0]
                share = self._share[..., 0] if self._share is not None else 1.0
                power = power + (2 * offset * mean + share * offset.square()).sum(1)
            powers.append(power.clamp(min=0) / mixer.shape[1])
        for layer, squares in self._squares.items():
            mean = squares / (channels_of(layer) * self._pixels[layer])
            powers.append(mean * self._content_factor(layer) ** 2)
        largest = torch.stack(powers).amax(0).sqrt()
        return (1 / 16 / largest.clamp(min=1e-30)).view(-1, 1, 1)
