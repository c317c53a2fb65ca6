"""An evaluation in pieces, exactly (Galerne et al. 2024, "Scaling Painting Style Transfer", arXiv:2212.13459).

The objective is not a sum over pieces of the image, since Gram matrices are quadratic in sums over the whole. So there
are two passes: the first adds up Σ F·Fᵀ and Σ (F − P)² over tiles, the second, which knows the whole's, the gradient.
Tiles overlap by as much as the network sees, so that all that counts in one is as it is in the whole; they begin at
multiples of 16 px, so that the poolings fall into the same places.
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
"""In px: four poolings halve an image so often."""


@dataclass(frozen=True)
class Fit:
    """How an evaluation is fitted into memory. All fits give the same objective and gradient, but for rounding."""

    recompute: bool = False
    """The two first blocks of the network are computed a second time instead of kept."""
    tile: int | None = None
    """Longest side of a tile in px, without margins; None: the image is one."""
    host: bool = False
    """L-BFGS's history is kept in the host's memory."""
    history: int | None = None
    """L-BFGS remembers no more steps than that, which does change the course; None: as many as it should."""

    def slowness(self, width: int, height: int, layers: Collection[str]) -> float:
        """How many times as long an evaluation of an image takes as one that is whole, about.

        A way forth is half of an evaluation; tiles go it twice, and have margins.
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
"""The two first blocks are a fourth of the way forth; measured at 4096² px: 1.07."""


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in px."""

    start: int
    """Of what counts."""
    stop: int
    begin: int
    """With the margin."""
    end: int

    def within(self, halvings: int) -> slice:
        """What counts, in the tile's own features behind so many poolings."""
        shift = self.begin >> halvings
        return slice((self.start >> halvings) - shift, (self.stop >> halvings) - shift)

    def of_whole(self, halvings: int) -> slice:
        """What counts, in the whole image's features behind so many poolings."""
        return slice(self.start >> halvings, self.stop >> halvings)


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image with its margin."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """In px, with the margin."""
        return (self.rows.end - self.rows.begin) * (self.columns.end - self.columns.begin)

    def cut(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) → the tile with its margin."""
        return image[:, :, self.rows.begin : self.rows.end, self.columns.begin : self.columns.end]

    def within(self, of_tile: Tensor, halvings: int = 0) -> Tensor:
        """Of a tensor of the tile, what counts: a view."""
        return of_tile[:, :, self.rows.within(halvings), self.columns.within(halvings)]

    def of_whole(self, whole: Tensor, halvings: int = 0) -> Tensor:
        """Of a tensor of the whole image, what counts: a view."""
        return whole[:, :, self.rows.of_whole(halvings), self.columns.of_whole(halvings)]

    def margins_of_whole(self, whole: Tensor, halvings: int) -> Tensor:
        """Of a tensor of the whole image, the tile with its margin: a view."""
        rows, columns = (slice(span.begin >> halvings, span.end >> halvings) for span in (self.rows, self.columns))
        return whole[:, :, rows, columns]


def tiles(height: int, width: int, side: int | None, margin: int) -> list[Tile]:
    """The tiles of an image.

    Args:
        height: of the image, in px.
        width: of the image, in px.
        side: the longest that a tile may have without its margin; None: the image is one tile.
        margin: in px, a multiple of `ALIGNMENT`.
    """
    rows, columns = (_spans(length, side, margin) for length in (height, width))
    return [Tile(row, column) for row in rows for column in columns]


def _spans(length: int, side: int | None, margin: int) -> list[Span]:
    """Of about one length, since the largest decides how much memory it takes."""
    count = 1 if side is None else math.ceil(length / side)
    inner = [ALIGNMENT * round(i * length / count / ALIGNMENT) for i in range(count)]
    return [
        Span(start, stop, max(0, start - margin), min(length, stop + margin))
        for start, stop in itertools.pairwise([*inner, length])
    ]


def statistics_margin(layers: Collection[str]) -> int:
    """How far around a tile its features see, in px."""
    return _aligned(max(reach(layers)))


def gradient_margin(layers: Collection[str]) -> int:
    """How far around a tile the features see that see into it, in px: 160 for conv5_1."""
    return _aligned(sum(reach(layers)))


def _aligned(length: int) -> int:
    return ALIGNMENT * math.ceil(length / ALIGNMENT)
