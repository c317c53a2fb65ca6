"""The initial inverse Hessian of L-BFGS for images: diagonal in a spectrum, and learned from the steps taken.

The *spectrum* of an image is its two-dimensional cosine transform, with a sum and two differences of colours in place
of RGB. The change is orthonormal, so scalar products are those of the images.

At first the preconditioner P multiplies the spectrum by f^(−2α), with f in cycles per px: the spectrum of natural
images and the objective's curvature fall with frequency, so that large shapes move before single pixels do. Then P
learns: where a step s changes the gradient by y, √(Σ s² / Σ y²) over a band of frequencies of one colour axis is the
inverse curvature there. Bands are half an octave wide. How curvature depends on frequency and colour differs from
painting to painting, and during a minimisation: at the start it is largest in broad shapes, later in strokes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.transfer.cosine_transform import cosine_transform, inverse_cosine_transform

STEPS_OF_WARM_UP = 8
"""Number of steps after which the learned curvature counts in full. The first steps go far, where it is another one."""
MEMORY = 0.6
"""Weight of what has been learned before, relative to what a step teaches."""
LARGEST_CORRECTION = 3.0
"""Largest natural logarithm of the factor by which a band's multiplier is corrected, up or down."""
_BANDS_PER_OCTAVE = 2
_TINY = 1e-30


def to_spectrum(image: Tensor) -> Tensor:
    """Return the spectrum of images (B, 3, H, W): of (R + G + B)/√3, (R − B)/√2 and (R − 2G + B)/√6."""
    red, green, blue = image.unbind(1)
    outer = red + blue
    axes = ((outer + green) / math.sqrt(3), (red - blue) / math.sqrt(2), (outer - 2 * green) / math.sqrt(6))
    return cosine_transform(cosine_transform(torch.stack(axes, dim=1)).mT).mT.contiguous()


def to_image(spectrum: Tensor) -> Tensor:
    """Return the inverse of `to_spectrum`, contiguous."""
    one, two, three = inverse_cosine_transform(inverse_cosine_transform(spectrum).mT).mT.unbind(1)
    outer = one / math.sqrt(3) + three / math.sqrt(6)
    green = one / math.sqrt(3) - 2 * three / math.sqrt(6)
    difference = two / math.sqrt(2)
    return torch.stack((outer + difference, green, outer - difference), dim=1)


class SpectralPreconditioner:
    """The preconditioner P of one image. For α = 0 it is the identity until it has learned."""

    def __init__(self, height: int, width: int, alpha: float, device: torch.device) -> None:
        rows, columns = (torch.arange(side, device=device) / (2 * side) for side in (height, width))
        frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / max(height, width))
        amplitude = frequency**-alpha
        self._prior = (amplitude / amplitude.mean()) ** 2
        self._bands = _Bands(rows, columns, 1 / (2 * max(height, width)))
        self._sizes = self._bands.sums(torch.ones_like(self._prior)[None])
        self._prior_of_bands = self._bands.sums(self._prior[None]) / self._sizes.clamp(min=_TINY)
        count = self._sizes.shape[1]
        self.learned = torch.zeros(2, 3, count, device=device)
        """Weighted sums of s² and y² by colour axis and band, each relative to ‖s‖² of its step."""
        self.steps = torch.zeros((), device=device)
        """Number of steps from which it has learned."""
        self.multipliers = self._prior.expand(3, -1, -1)
        """Factors of the spectrum, (3, H, W)."""

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Learn from a step and the change of the gradient by it, without waiting for the device.

        Args:
            step: s, spectrum (3, H, W).
            change: y, spectrum (3, H, W). If s·y is not positive, nothing is learned.
        """
        squares, changes = self._bands.sums(step.square()), self._bands.sums(change.square())
        size = squares.sum().clamp(min=_TINY)
        is_convex = (step * change).sum() > 0
        sums = torch.stack((squares, changes)) / size
        self.learned = torch.where(is_convex, MEMORY * self.learned + sums, self.learned)
        self.steps = self.steps + is_convex
        self._update()

    def restore(self, learned: Tensor, steps: Tensor) -> None:
        """Continue with what a preconditioner of this size has learned."""
        self.learned, self.steps = learned.to(self.learned.device), steps.to(self.steps.device)
        self._update()

    def _update(self) -> None:
        """Compute the multipliers anew; their logarithms differ from the prior's by corrections whose mean is 0."""
        squares, changes = self.learned.clamp(min=_TINY)
        inverse_curvature = (squares / changes).sqrt()
        is_known = (self.learned > _TINY).all(0) & (self._sizes > 0.5)  # noqa: PLR2004 - half a frequency
        correction = torch.where(is_known, (inverse_curvature / self._prior_of_bands.clamp(min=_TINY)).log(), 0)
        weight = self._sizes * is_known
        mean = (correction * weight).sum() / weight.sum().clamp(min=_TINY)
        share = (self.steps / STEPS_OF_WARM_UP).clamp(max=1)
        correction = torch.where(is_known, correction - mean, 0) * share
        spread = self._bands.spread(correction.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION))
        self.multipliers = spread.exp_().mul_(self._prior)


class _Bands:
    """Bands of half an octave, which overlap: a frequency between two bands belongs to both in part.

    Rows and columns have bands of their own. A pair of these is a cell, and a cell belongs to the bands of its
    distance from 0. So sums over bands are products of small matrices, which round alike in every run on any device.
    """

    def __init__(self, rows: Tensor, columns: Tensor, lowest: float) -> None:
        """Prepare the matrices.

        Args:
            rows: frequencies of the rows of a spectrum, in cycles per px.
            columns: frequencies of its columns.
            lowest: smallest frequency above 0.
        """

        def place(frequency: Tensor) -> Tensor:
            return _BANDS_PER_OCTAVE * (frequency / lowest).clamp(min=1).log2()

        count = 2 + int(_BANDS_PER_OCTAVE * math.log2(0.5 / lowest))
        centres = lowest * 2 ** (torch.arange(count, device=rows.device) / _BANDS_PER_OCTAVE)
        self._rows, self._columns = (_hats(place(frequencies), count) for frequencies in (rows, columns))
        self._cells = _hats(place((centres[:, None] ** 2 + centres**2).sqrt()), count + 1)

    def sums(self, values: Tensor) -> Tensor:
        """Return the sums (C, bands) of values (C, H, W)."""
        cells = self._rows @ values @ self._columns.mT
        return cells.flatten(1) @ self._cells.flatten(1).mT

    def spread(self, values: Tensor) -> Tensor:
        """Return values of bands (C, bands) at every frequency, (C, H, W), interpolated between bands."""
        cells = (values @ self._cells.flatten(1)).view(-1, *self._cells.shape[1:])
        return self._rows.mT @ cells @ self._columns


def _hats(places: Tensor, count: int) -> Tensor:
    """Return the shares, (count, …), with which places between 0 and count − 1 belong to the whole numbers."""
    numbers = torch.arange(count, device=places.device).view(-1, *(1 for _ in places.shape))
    return (1 - (places - numbers).abs()).clamp(min=0)
