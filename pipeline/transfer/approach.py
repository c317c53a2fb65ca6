"""The approach to Gram matrices: the first evaluations follow the gradient of the Wasserstein distance.

Where a photograph is far from a painting, its distance in Gram matrices is badly conditioned: the layers' mean
activations rule, and the curvature of a direction grows with its variance. The Wasserstein distance of the same
features is 0 at the same images, and each direction has about the same curvature. So a minimisation begins with its
gradient, with equal content and TV terms, and then turns to the objective itself. The values that are reported are
those of the objective from the beginning.

For Gram matrices G = A + D, with λ the eigenvalues of the painting's matrix A and D in the basis of its eigenvectors,
‖D‖² = Σ D_ij², and the squared Wasserstein distance of normal distributions without mean is about
Σ D_ij² / 2(λ_i + λ_j) (Bures 1969). With λ̄ = tr A² / tr A for each λ, ‖D‖² is about 4·λ̄ times the distance. These are
the weights of the layers; a layer with less than a tenth of the largest weight gets this tenth, since it would be far
behind when the objective itself begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pipeline.transfer.gram import GramTarget
from pipeline.transfer.style_target import StyleComparison
from pipeline.transfer.wasserstein import WassersteinTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.moments import Moments

EVALUATIONS: Final = 14
"""Largest number of evaluations of a scale that follow the Wasserstein distance."""
SHARE: Final = 0.4
"""Largest share of a scale's evaluations that follow it."""
_SMALLEST_WEIGHT: Final = 0.1
"""Smallest weight of a layer, relative to the largest one."""


def evaluations_of_approach(evaluations: int) -> int:
    """Return how many of a scale's evaluations follow the Wasserstein distance."""
    return min(EVALUATIONS, int(SHARE * evaluations))


@dataclass(frozen=True)
class ApproachTarget:
    """The statistics of the paintings of a batch at one layer: the term of `gram`, and the gradient of `distance`."""

    gram: GramTarget
    distance: WassersteinTarget
    factor: Tensor
    """Weight of the distance relative to that of the term, (B,) float32."""

    def __len__(self) -> int:
        return len(self.gram)

    def select(self, images: Sequence[int]) -> ApproachTarget:
        """Return the targets of some images of the batch."""
        return ApproachTarget(self.gram.select(images), self.distance.select(images), self.factor[list(images)])

    @staticmethod
    def stack(each: Sequence[ApproachTarget]) -> ApproachTarget:
        """Return the targets of a batch, from the targets of its parts."""
        return ApproachTarget(
            GramTarget.stack([target.gram for target in each]),
            WassersteinTarget.stack([target.distance for target in each]),
            torch.cat([target.factor for target in each]),
        )

    def compare(self, moments: Moments, weight: float | Tensor, count: float | Tensor) -> StyleComparison:
        """Compare by Gram matrices, with the gradient of the distance."""
        pull = self.distance.compare(moments, weight * self.factor[:, None, None], count)
        return StyleComparison(self.gram.compare(moments, weight, count).term, pull.mixer, pull.offset)


def approach_targets(spec: ObjectiveSpec, moments: Mapping[str, Moments]) -> dict[str, ApproachTarget]:
    """Return the targets of the approach of one image by layer, from the moments of its paintings."""
    targets = {layer: WassersteinTarget.of(moments[layer]) for layer in spec.style_layers}
    factors = {layer: _factor(moments[layer].second) for layer in targets}
    weights = {layer: factor * spec.style_weight_of(layer) for layer, factor in factors.items()}
    least = _SMALLEST_WEIGHT * torch.stack(list(weights.values())).amax(0)
    return {
        layer: ApproachTarget(
            GramTarget.of(moments[layer]),
            target,
            torch.maximum(weights[layer], least) / (spec.style_weight_of(layer) or 1.0),
        )
        for layer, target in targets.items()
    }


def _factor(gram: Tensor) -> Tensor:
    """Return the weight of the distance for a weight of 1 of the Gram term, (B,): 4·λ̄·tr A / C⁴ = 4·tr A² / C⁴.

    The distance is relative to the painting's variance, for which tr A stands, and the term is divided by C⁴.
    """
    return 4 * gram.square().sum((1, 2)) / float(gram.shape[1]) ** 4
