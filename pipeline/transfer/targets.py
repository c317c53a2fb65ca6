"""The targets of the objective: features that the content term asks for, and statistics of the paintings."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.approach import approach_targets
from pipeline.transfer.gram import GramTarget
from pipeline.transfer.guidance import Guidance, positive_sum
from pipeline.transfer.moments import Moments, moment_sums, moments_of, scaled_moments
from pipeline.transfer.motion import TemporalTarget
from pipeline.transfer.tiling import WHOLE, statistics_margin, tiles
from pipeline.transfer.vgg import channels_of, convolution_of, halvings_of
from pipeline.transfer.wasserstein import WassersteinTarget, transport, transport_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence, Sized

    from torch import Tensor

    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.motion import Motion
    from pipeline.transfer.style_target import StyleTarget
    from pipeline.transfer.tiling import Fit, Tile
    from pipeline.transfer.vgg import Chain

_CACHE_SIZE = 64
"""Largest number of paintings, each at one scale, whose moments are cached; one takes 3.5 MB by default."""


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
    motion: Motion | None = None
    """The moved result of the frame before; None for a photograph, and for the first frame of a shot."""


class MomentsCache:
    """Moments of paintings, computed with one chain; the least recently used are dropped first."""

    def __init__(self, size: int = _CACHE_SIZE) -> None:
        self._size = size
        self._moments: OrderedDict[Hashable, dict[str, Moments]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._moments)

    def get(
        self, painting: Painting, layers: tuple[str, ...], compute: Callable[[], dict[str, Moments]]
    ) -> dict[str, Moments]:
        """Return the moments of a painting at these layers, computed if they are not in the cache."""
        if painting.key is None:
            return compute()
        key = painting.key, *painting.image.shape[2:], layers
        found = self._moments.pop(key, None) or compute()
        self._moments[key] = found
        if len(self._moments) > self._size:
            self._moments.popitem(last=False)
        return found


@dataclass(frozen=True)
class Targets:
    """Targets of a batch of images."""

    content: dict[str, Tensor]
    """Features that the content term asks for, by layer, (B, C, H/2ⁿ, W/2ⁿ), in the chain's precision and scales."""
    styles: Mapping[str, StyleTarget]
    """Statistics of the paintings by layer."""
    guidance: Guidance | None = None
    """Masks; None: the style acts everywhere."""
    content_units: dict[str, Tensor] = field(default_factory=dict)
    """Mean variance of the features in `content` by layer, (B,), by which the content term is divided; empty: it is
    not divided."""
    approach: Mapping[str, StyleTarget] | None = None
    """Targets in place of `styles` for the first evaluations, see `approach`; None: there are none."""
    temporal: TemporalTarget | None = None
    """Targets of the temporal term; None: there is no such term."""

    def of_approach(self) -> Targets:
        """Return the targets for the first evaluations."""
        return self if self.approach is None else replace(self, styles=self.approach)

    @property
    def images(self) -> int:
        """Number of images, B."""
        each: tuple[Sized, ...] = (*self.content.values(), *self.styles.values())
        return len(each[0])

    def select(self, images: Sequence[int]) -> Targets:
        """Return the targets of some images of the batch."""
        if list(images) == list(range(self.images)):
            return self
        content, units = ({k: t[list(images)] for k, t in each.items()} for each in (self.content, self.content_units))
        styles = {layer: target.select(images) for layer, target in self.styles.items()}
        approach = self.approach and {layer: target.select(images) for layer, target in self.approach.items()}
        guidance = self.guidance.select(images) if self.guidance is not None else None
        temporal = self.temporal.select(images) if self.temporal is not None else None
        return Targets(content, styles, guidance, units, approach, temporal)

    @staticmethod
    def of(  # noqa: PLR0913 - the objective has this many inputs
        chain: Chain,
        spec: ObjectiveSpec,
        content: Tensor,
        paintings: Sequence[Painting],
        *,
        mask: Tensor | None = None,
        fit: Fit = WHOLE,
        cache: MomentsCache | None = None,
    ) -> Targets:
        """Return the targets of one image.

        Args:
            chain: the network.
            spec: layers and weights of the objective.
            content: the photograph, (1, 3, H, W) float32, sRGB 0–255.
            paintings: the paintings, of which the blend is the mixture.
            mask: weight of the style, (1, 1, H, W), 0–1; None: 1 everywhere.
            fit: how the forward passes are fitted into memory.
            cache: moments that are known already.
        """
        cache = MomentsCache() if cache is None else cache
        guidance = Guidance.of(content, mask, spec.layers) if mask is not None else None
        kept = _content_features(chain, spec.content_layers, content, fit) if spec.content_layers else {}
        blend = _blend(chain, spec, paintings, fit, cache)
        kind = WassersteinTarget if spec.style == "wasserstein" else GramTarget
        styles: dict[str, StyleTarget] = {layer: kind.of(blend[layer]) for layer in spec.style_layers}
        units = {}
        for layer, features in kept.items():
            if not (spec.is_relative or layer in blend):
                continue
            scale = chain.scales[convolution_of(layer)]
            at_layer = guidance.masks[halvings_of(layer)] if guidance is not None else None
            is_painted = at_layer is not None and bool(positive_sum(at_layer).isfinite())
            own = _moments_of_features(features, scale, at_layer if is_painted else None)
            if spec.content_target == "transported":
                transport(features, *transport_of(own, blend[layer]), scale, at_layer)
                own = blend[layer]
            if spec.is_relative:
                units[layer] = unit_of(own) / channels_of(layer)
        approach = approach_targets(spec, blend) if spec.style == "gram" and spec.style_layers else None
        return Targets(kept, styles, guidance, units, approach)

    @staticmethod
    def stack(each: Sequence[Targets]) -> Targets:
        """Return the targets of a batch, from the targets of its images: all have a mask or none has."""
        if len(each) == 1:
            return each[0]
        first = each[0]
        guidances = [t.guidance for t in each if t.guidance is not None]
        temporals = [t.temporal for t in each if t.temporal is not None]
        return Targets(
            {layer: torch.cat([t.content[layer] for t in each]) for layer in first.content},
            {layer: target.stack([t.styles[layer] for t in each]) for layer, target in first.styles.items()},
            Guidance.stack(guidances) if guidances else None,
            {layer: torch.cat([t.content_units[layer] for t in each]) for layer in first.content_units},
            first.approach
            and {
                layer: target.stack([t.approach[layer] for t in each if t.approach is not None])
                for layer, target in first.approach.items()
            },
            TemporalTarget.stack(temporals) if temporals else None,
        )


def _blend(
    chain: Chain, spec: ObjectiveSpec, paintings: Sequence[Painting], fit: Fit, cache: MomentsCache
) -> dict[str, Moments]:
    """Return the moments of the paintings' mixture, at the layers where they are needed."""
    layers = spec.painting_layers
    if not layers:
        return {}
    each = [
        cache.get(painting, layers, lambda p=painting: moments_of(chain, layers, p.image, fit, p.mask))  # type: ignore[misc]
        for painting in paintings
    ]
    weights = [painting.weight for painting in paintings]
    return {layer: Moments.blend([moments[layer] for moments in each], weights) for layer in layers}


def _moments_of_features(features: Tensor, scale: float, mask: Tensor | None) -> Moments:
    count: float | Tensor = features[0, 0].numel() if mask is None else positive_sum(mask)
    return scaled_moments(*moment_sums(features, mask), count, scale)


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
