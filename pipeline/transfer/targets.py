"""The targets of the objective: the photograph's features and the paintings' Gram matrices."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.guidance import Guidance
from pipeline.transfer.losses import gram_sum
from pipeline.transfer.tiling import WHOLE, statistics_margin, tiles
from pipeline.transfer.vgg import channels_of, convolution_of, halvings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from torch import Tensor

    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.tiling import Fit, Tile
    from pipeline.transfer.vgg import Chain

Grams = dict[str, "Tensor"]
"""Gram matrices of one image by layer, (1, C, C) float32."""

_CACHE_SIZE = 64
"""Largest number of sets of Gram matrices that are cached; each has 2.6 MB with the default layers."""


@dataclass(frozen=True)
class Painting:
    """A painting, and its weight if several are blended."""

    image: Tensor
    """The painting, (1, 3, H, W) float32, sRGB 0–255; its size need not be the content's."""
    weight: float = 1.0
    """Weight in the blend, relative to the other paintings'."""
    key: Hashable = None
    """Identity for the cache: paintings with equal keys and sizes are equal and have equal masks; None: not cached."""
    mask: Tensor | None = None
    """Weights of the statistics, (1, 1, H, W) float32, 0–1; None: 1 everywhere."""


@dataclass(frozen=True)
class Subject:
    """A photograph, the paintings that stylise it, and its mask."""

    content: Tensor
    """The photograph, (1, 3, H, W) float32, sRGB 0–255."""
    paintings: Sequence[Painting]
    mask: Tensor | None = None
    """Mask, (1, 1, H, W) float32: the style acts where it is 1, the content stays where it is 0; None: 1 everywhere."""


class GramCache:
    """Gram matrices of paintings, computed with one chain; the least recently used are dropped first."""

    def __init__(self, size: int = _CACHE_SIZE) -> None:
        self._size = size
        self._grams: OrderedDict[Hashable, Grams] = OrderedDict()

    def __len__(self) -> int:
        return len(self._grams)

    def get(self, painting: Painting, layers: tuple[str, ...], compute: Callable[[], Grams]) -> Grams:
        """Return the Gram matrices of a painting at these layers, computed if they are not in the cache."""
        if painting.key is None:
            return compute()
        key = painting.key, *painting.image.shape[2:], layers
        found = self._grams.pop(key, None) or compute()
        self._grams[key] = found
        if len(self._grams) > self._size:
            self._grams.popitem(last=False)
        return found


@dataclass(frozen=True)
class Targets:
    """Targets of a batch of images."""

    content: dict[str, Tensor]
    """Features of the contents by layer, (B, C, H/2ⁿ, W/2ⁿ), in the chain's precision and scales."""
    grams: dict[str, Tensor]
    """Gram matrices of the styles by layer, (B, C, C) float32."""
    guidance: Guidance | None = None
    """Masks; None: the style acts everywhere."""

    @property
    def images(self) -> int:
        """Number of images, B."""
        return len(next(iter((*self.content.values(), *self.grams.values()))))

    def select(self, images: Sequence[int]) -> Targets:
        """Return the targets of some images of the batch."""
        if list(images) == list(range(self.images)):
            return self
        content, grams = ({layer: t[list(images)] for layer, t in each.items()} for each in (self.content, self.grams))
        return Targets(content, grams, self.guidance.select(images) if self.guidance is not None else None)

    @staticmethod
    def of(  # noqa: PLR0913 - the objective has this many inputs
        chain: Chain,
        spec: ObjectiveSpec,
        content: Tensor,
        paintings: Sequence[Painting],
        *,
        mask: Tensor | None = None,
        fit: Fit = WHOLE,
        cache: GramCache | None = None,
    ) -> Targets:
        """Return the targets of one image.

        Args:
            chain: the network.
            spec: layers and weights.
            content: the photograph, (1, 3, H, W).
            paintings: the styles.
            mask: the mask, (1, 1, H, W), 0–1; None: the style acts everywhere.
            fit: how an evaluation is fitted into memory.
            cache: Gram matrices of paintings that were computed with this chain; None: no cache.
        """
        cache = GramCache(0) if cache is None else cache
        kept = _content_features(chain, spec.content_layers, content, fit) if spec.content_layers else {}
        grams = dict.fromkeys(spec.style_layers, torch.zeros((), device=content.device))
        total = sum(painting.weight for painting in paintings)
        for painting in paintings if spec.style_layers else ():
            of_one = cache.get(
                painting,
                spec.style_layers,
                lambda p=painting: grams_of(chain, spec.style_layers, p.image, fit, p.mask),  # type: ignore[misc]
            )
            for layer in grams:
                grams[layer] = grams[layer] + of_one[layer] * (painting.weight / total)
        return Targets(kept, grams, Guidance.of(content, mask, spec.style_layers) if mask is not None else None)

    @staticmethod
    def stack(each: Sequence[Targets]) -> Targets:
        """Return the targets of a batch, from the targets of its images: all have a mask or none has."""
        if len(each) == 1:
            return each[0]
        first = each[0]
        guidances = [t.guidance for t in each if t.guidance is not None]
        return Targets(
            {layer: torch.cat([t.content[layer] for t in each]) for layer in first.content},
            {layer: torch.cat([t.grams[layer] for t in each]) for layer in first.grams},
            Guidance.stack(guidances) if guidances else None,
        )


def grams_of(
    chain: Chain, layers: tuple[str, ...], image: Tensor, fit: Fit = WHOLE, mask: Tensor | None = None
) -> Grams:
    """Return Gram matrices G = F·Fᵀ / (H·W) of an image (1, 3, H, W); with a mask (1, 1, H, W) guided ones."""
    sums: Grams = {}
    guidance = Guidance.of(image, mask, layers) if mask is not None else None
    for tile in tiles(image.shape[2], image.shape[3], fit.tile, statistics_margin(layers)):

        def add(layer: str, features: Tensor, tile: Tile = tile) -> None:
            halvings = halvings_of(layer)
            weights = tile.core_of_whole(guidance.masks[halvings], halvings) if guidance is not None else None
            part = gram_sum(tile.core_of_tile(features, halvings), weights)
            sums[layer] = sums[layer] + part if layer in sums else part

        chain.forward(tile.cut(image), layers, add, keep="nothing")
    counts = {
        layer: guidance.sums[halvings_of(layer)] if guidance is not None else pixels_of(image, layer) for layer in sums
    }
    return {layer: total / (counts[layer] * chain.scales[convolution_of(layer)] ** 2) for layer, total in sums.items()}


def _content_features(chain: Chain, layers: tuple[str, ...], image: Tensor, fit: Fit) -> dict[str, Tensor]:
    """Return the features of an image (1, 3, H, W) by layer, put together from its tiles."""
    kept = {}
    for layer in layers:
        height, width = (side >> halvings_of(layer) for side in image.shape[2:])
        whole = torch.empty(1, channels_of(layer), height, width, dtype=chain.dtype, device=image.device)
        kept[layer] = whole.contiguous(memory_format=torch.channels_last)
    for tile in tiles(image.shape[2], image.shape[3], fit.tile, statistics_margin(layers)):

        def put(layer: str, features: Tensor, tile: Tile = tile) -> None:
            halvings = halvings_of(layer)
            tile.core_of_whole(kept[layer], halvings).copy_(tile.core_of_tile(features, halvings))

        chain.forward(tile.cut(image), layers, put, keep="nothing")
    return kept


def pixels_of(image: Tensor, layer: str) -> int:
    """Return H·W of a layer's features."""
    height, width = (side >> halvings_of(layer) for side in image.shape[2:])
    return int(height * width)
