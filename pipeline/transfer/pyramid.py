"""The pyramid of scales: large strokes are laid at small sizes, where they are cheap, and refined at larger ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch.nn.functional as F  # noqa: N812 - the name everybody knows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_CLOSEST = 0.84
"""Largest ratio of the sides of two scales."""
SHORTEST_SIDE = 32
"""Shortest side of a scale in px: a smaller scale has fewer than 2 × 2 features at the network's deepest layer."""


@dataclass(frozen=True)
class Scale:
    """One size of the pyramid."""

    width: int
    """Width in px."""
    height: int
    """Height in px."""
    evaluations: int
    """Largest number of evaluations of the objective."""


def schedule(
    width: int, height: int, evaluations: Sequence[int], *, scales_per_halving: int = 1, floor: int = 0
) -> tuple[Scale, ...]:
    """Return the scales of an image, coarse to fine.

    Args:
        width: width of the finest scale in px.
        height: height of the finest scale in px.
        evaluations: evaluations by scale, coarse to fine; scales with a side below `SHORTEST_SIDE` are left out.
        scales_per_halving: 1: each scale has half the sides of the next; 2: 1/√2 of them.
        floor: shortest side of the coarsest scale in px. All scales below it become one of this size, or part of the
            next scale if that is not much larger, with the most evaluations that one of them has. 0: there is no floor.
    """
    scales: list[Scale] = []
    smallest = min(1.0, floor / min(width, height))
    for index, count in enumerate(reversed(evaluations)):
        factor = max(2 ** (-index / scales_per_halving), smallest)
        size = round(width * factor), round(height * factor)
        if scales and size[0] > _CLOSEST * scales[-1].width:
            scales[-1] = replace(scales[-1], evaluations=max(count, scales[-1].evaluations))
        elif scales and min(size) < SHORTEST_SIDE:
            break
        else:
            scales.append(Scale(*size, count))
    return tuple(reversed(scales))


def work(scales: Sequence[Scale], index: int) -> tuple[float, float]:
    """Return two shares of the whole work, by pixels: the work before a scale, and the work of one evaluation at it."""
    pixels = [scale.width * scale.height for scale in scales]
    costs = [size * scale.evaluations for size, scale in zip(pixels, scales, strict=True)]
    return sum(costs[:index]) / sum(costs), pixels[index] / sum(costs)


def resample(image: Tensor, width: int, height: int) -> Tensor:
    """Resample images (B, 3, H, W): bicubic, antialiased when shrinking."""
    if image.shape[2:] == (height, width):
        return image
    return F.interpolate(image, (height, width), mode="bicubic", antialias=True)


def refine(image: Tensor, content: Tensor, detail: float = 1.0) -> Tensor:
    """Return the start of a finer scale from a coarse result: x₀ = up(x) + d·(c − up(down(c))).

    Upsampling alone would lose the photograph's detail of the new scale, such as eyes and whiskers.

    Args:
        image: (B, 3, h, w), the coarse result.
        content: (B, 3, H, W), the photograph at the new scale.
        detail: share of the photograph's detail that is added, d, 0–1.
    """
    height, width = content.shape[2:]
    enlarged = resample(image, width, height)
    if not detail:
        return enlarged
    coarse = resample(content, image.shape[3], image.shape[2])
    return enlarged + detail * (content - resample(coarse, width, height))
