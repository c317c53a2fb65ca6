"""The comparison of an image with a painting at one layer: the interface of the two style terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.transfer.moments import Moments


@dataclass(frozen=True)
class StyleComparison:
    """The style term of a layer, and its gradient by the features: ∂/∂f_i = m_i · (M·f_i + v)."""

    term: Tensor
    """Weighted term of each image, (B,)."""
    mixer: Tensor
    """M, (B, C, C), symmetric."""
    offset: Tensor | None
    """v, (B, C); None: 0."""


class StyleTarget(Protocol):
    """Statistics of the paintings of a batch at one layer."""

    def __len__(self) -> int:
        """Return the number of images, B."""
        ...

    def select(self, images: Sequence[int]) -> Self:
        """Return the targets of some images of the batch."""
        ...

    @staticmethod
    def stack(each: Sequence[Any]) -> StyleTarget:
        """Return the targets of a batch, from the targets of its parts, which are of this class."""
        ...

    def compare(self, moments: Moments, weight: float | Tensor, count: float | Tensor) -> StyleComparison:
        """Compare images with the paintings, without waiting for the device.

        Args:
            moments: moments of the images' features.
            weight: weight of the term, a number or (B, 1, 1).
            count: Σ m_i, or H·W without a mask: a number or (B, 1, 1).
        """
        ...
