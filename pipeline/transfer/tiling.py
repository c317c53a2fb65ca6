"""Exact evaluation in tiles (Galerne et al. 2024, "Scaling Painting Style Transfer", arXiv:2212.13459).

The objective is not a sum over pieces of the image, since Gram matrices are quadratic in sums over the whole image. So
there are two passes over the tiles: the first adds up Σ F·Fᵀ and Σ (F − P)², the second computes the gradient from the
sums. In the first pass the margins of a tile are as wide as the features of its core see beyond the core (96 px for
conv5_1), so these features equal those of the whole image. In the second pass they are as wide as the whole receptive
field (160 px), since the gradient of a pixel comes from all features that see it. Both widths are multiples of 16 px,
and so are the first pixels of the tiles, so that poolings are aligned.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.transfer.vgg import reach

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

ALIGNMENT = 16
"""Multiple in px at which tiles begin: four poolings divide an image by 16."""


@dataclass(frozen=True)
class Fit:
    """A way to fit an evaluation into memory.

    All fits give the same objective and gradient, except for rounding, which an optimisation amplifies: the pixels of a
    result in tiles differ a little. Only `history` changes the optimiser's steps themselves.
    """

    recompute: bool = False
    """Whether the first two blocks of the network are computed a second time instead of kept."""
    tile: int | None = None
    """Longest side of a tile in px, without margins; None: the image is one tile."""
    host: bool = False
    """Whether L-BFGS's history is kept in the host's memory."""
    history: int | None = None
    """Limit of the steps that L-BFGS remembers; None: no limit beyond the setting."""

    def slowness(self, width: int, height: int, layers: Collection[str]) -> float:
        """Return about how many times as long an evaluation takes as one that is neither tiled nor recomputed.

        A forward pass is half of an evaluation. Tiles need two forward passes, and have margins.
        """
        if self.tile is None:
            return _SLOWNESS_OF_RECOMPUTING if self.recompute else 1.0
        areas = [
            sum(tile.area for tile in tiles(height, width, self.tile, margin)) / (width * height)
            for margin in (statistics_margin(layers), gradient_margin(layers))
        ]
        return areas[0] / 2 + areas[1]

    def __str__(self) -> str:
        if self.tile is None:
            return "recompute" if self.recompute else "whole"
        host = ", history on the host" if self.host else ""
        history = "" if self.history is None else f", {self.history} steps remembered"
        return f"tiles of {self.tile} px{host}{history}"


WHOLE = Fit()

_SLOWNESS_OF_RECOMPUTING = 1.1
"""Slowness of recomputing the first two blocks, a fourth of a forward pass; measured at 4096² px: 1.07."""


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in px."""

    core_start: int
    """First pixel of the core."""
    core_stop: int
    """First pixel after the core."""
    margin_start: int
    """First pixel of the margin before the core, and so of the tile."""
    margin_stop: int
    """First pixel after the margin that follows the core, and so after the tile."""

    def core_in_tile(self, halvings: int) -> slice:
        """Return the core in the tile's own features, after a number of poolings."""
        shift = self.margin_start >> halvings
        return slice((self.core_start >> halvings) - shift, (self.core_stop >> halvings) - shift)

    def core_in_whole(self, halvings: int) -> slice:
        """Return the core in the whole image's features, after a number of poolings."""
        return slice(self.core_start >> halvings, self.core_stop >> halvings)

    def tile_in_whole(self, halvings: int) -> slice:
        """Return the tile with its margins in the whole image's features, after a number of poolings."""
        return slice(self.margin_start >> halvings, self.margin_stop >> halvings)


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image: its core, and a margin around it."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Number of pixels, with the margin."""
        return (self.rows.margin_stop - self.rows.margin_start) * (self.columns.margin_stop - self.columns.margin_start)

    def cut(self, image: Tensor) -> Tensor:
        """Return the tile of an image (B, 3, H, W), with its margin: a view."""
        return self.tile_of_whole(image)

    def core_of_tile(self, of_tile: Tensor, halvings: int = 0) -> Tensor:
        """Return the core of a tensor of the tile: a view."""
        return of_tile[:, :, self.rows.core_in_tile(halvings), self.columns.core_in_tile(halvings)]

    def core_of_whole(self, whole: Tensor, halvings: int = 0) -> Tensor:
        """Return the core out of a tensor of the whole image: a view."""
        return whole[:, :, self.rows.core_in_whole(halvings), self.columns.core_in_whole(halvings)]

    def tile_of_whole(self, whole: Tensor, halvings: int = 0) -> Tensor:
        """Return the tile with its margin out of a tensor of the whole image: a view."""
        return whole[:, :, self.rows.tile_in_whole(halvings), self.columns.tile_in_whole(halvings)]


def tiles(height: int, width: int, side: int | None, margin: int) -> list[Tile]:
    """Return the tiles of an image.

    Args:
        height: height of the image in px.
        width: width of the image in px.
        side: longest side of a tile in px, without its margin; None: the image is one tile.
        margin: width of the margin in px, a multiple of `ALIGNMENT`.
    """
    rows, columns = (_spans(length, side, margin) for length in (height, width))
    return [Tile(row, column) for row in rows for column in columns]


def _spans(length: int, side: int | None, margin: int) -> list[Span]:
    """Return spans of nearly equal length, since the largest one decides how much memory is needed."""
    count = 1 if side is None else math.ceil(length / side)
    inner = [ALIGNMENT * round(i * length / count / ALIGNMENT) for i in range(count)]
    return [
        Span(start, stop, max(0, start - margin), min(length, stop + margin))
        for start, stop in itertools.pairwise([*inner, length])
    ]


def statistics_margin(layers: Collection[str]) -> int:
    """Return the margin in px that the features of a tile's core need."""
    return _aligned(max(reach(layers)))


def gradient_margin(layers: Collection[str]) -> int:
    """Return the margin in px that the gradient of a tile's core needs, through all features that see it.

    For conv5_1 it is 160 px.
    """
    return _aligned(sum(reach(layers)))


def _aligned(length: int) -> int:
    return ALIGNMENT * math.ceil(length / ALIGNMENT)
