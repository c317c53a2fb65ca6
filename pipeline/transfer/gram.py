"""Gram matrices, the style of Gatys, Ecker & Bethge 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.style_target import StyleComparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.transfer.moments import Moments


@dataclass(frozen=True)
class GramTarget:
    """The Gram matrices of the paintings of a batch at one layer."""

    gram: Tensor
    """A, (B, C, C) float32."""

    @classmethod
    def of(cls, moments: Moments) -> GramTarget:
        """Return the target of one painting."""
        return cls(moments.second)

    def __len__(self) -> int:
        return len(self.gram)

    def select(self, images: Sequence[int]) -> GramTarget:
        """Return the targets of some images of the batch."""
        return GramTarget(self.gram[list(images)])

    @staticmethod
    def stack(each: Sequence[GramTarget]) -> GramTarget:
        """Return the targets of a batch, from the targets of its parts."""
        return GramTarget(torch.cat([target.gram for target in each]))

    def compare(self, moments: Moments, weight: float | Tensor, count: float | Tensor) -> StyleComparison:
        """Compare by w/C² · mean((G − A)²), whose gradient is 4·w/C² · F·(G − A) / (C²·H·W)."""
        channels = self.gram.shape[1]
        weight = weight / channels**2
        difference = moments.second - self.gram
        of_layer = difference.square().mean((1, 2), keepdim=True)
        mixer = difference * (4 * weight / (channels**2 * count))
        return StyleComparison((weight * of_layer).view(-1), mixer, None)
