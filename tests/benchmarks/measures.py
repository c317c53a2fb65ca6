"""Measures of a pastiche against its photograph and its painting, all by the finished picture alone.

Two axes, lower is better, on a network that nobody optimises: the distance to the painting's style and the distance to
the photograph's structure. A mixture of photograph and painting does well on both, so there are gates beside them,
which are computed on the pixels.

Pictures are (H, W, 3) float32 sRGB, 0–255; planes are (H, W).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar, cast

import cv2
import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from pipeline.images.colour.luma_chroma import rgb_to_yuv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.images.picture import Pixels, Plane

Values = TypeVar("Values", "Pixels", "Plane")

_NORMAL_MEAN, _NORMAL_SPREAD = 120.0, 50.0
"""Mean and standard deviation in levels of a luma of normalised contrast."""
_FLAT: Final = 1e-3
"""Smallest standard deviation in levels that a luma is divided by."""
_GRID: Final = 24
"""Largest number of rows and columns of places whose similarities are compared."""
_LOCAL_SIGMA: Final = 8.0
"""Standard deviation in px of the blur that turns the square of structures into local energy."""
_WINDOW: Final = 32
"""Side in px of the windows that are looked for in the painting."""
_PATCH_SIGMA: Final = 3.0
"""Standard deviation in px of the blur that leaves structures too large for a window to have several of them."""
_SMOOTH: Final = 1.0
"""Largest standard deviation in levels of a window without structures, which would fit anywhere."""


def normalised(plane: Plane) -> Plane:
    """Return a luma of mean 120 and standard deviation 50, clipped to 0–255, since contrast is no style."""
    centred = plane - plane.mean()
    return np.clip(centred / max(float(plane.std()), _FLAT) * _NORMAL_SPREAD + _NORMAL_MEAN, 0, 255)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (C,) and covariance (C, C) over the places of features (C, H, W), in float64."""
    rows = features.flatten(1).double()
    mean = rows.mean(1)
    rows = rows - mean[:, None]
    return mean, rows @ rows.T / rows.shape[1]


def frechet(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """Return the squared Fréchet distance of two Gaussians, given as mean and covariance.

    d² = |μ − ν|² + tr(Σ + T − 2(Σ^½ T Σ^½)^½); Dowson and Landau 1982.
    """
    (mean, covariance), (other_mean, other_covariance) = one, other
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    squared = (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * cross
    return max(0.0, float(squared))


def style_distance(features: Sequence[Tensor], painting: Sequence[Tensor]) -> float:
    """Return the mean over stages of the Fréchet distance of features, each divided by the painting's variance."""
    targets = [moments(stage) for stage in painting]
    distances = [
        frechet(moments(stage), target) / float(target[1].trace())
        for stage, target in zip(features, targets, strict=True)
    ]
    return float(np.mean(distances))


def _self_similarity(features: Tensor) -> Tensor:
    """Return the cosine between all places of features (C, H, W), which are centred and pooled to 24 × 24 places."""
    height, width = features.shape[1:]
    rows = adaptive_avg_pool2d(features[None], (min(_GRID, height), min(_GRID, width))).flatten(2)[0]
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / rows.norm(dim=0, keepdim=True).clamp(min=1e-6)
    return rows.T @ rows


def structure_distance(features: Sequence[Tensor], photograph: Sequence[Tensor]) -> float:
    """Return 1 − the correlation of both pictures' self-similarities, as a mean over stages.

    Which places look alike is the structure of a picture, whatever they look like. Kolkin et al. 2019, "Style transfer
    by relaxed optimal transport and self-similarity", section 3.2, use it as a loss.
    """
    distances = []
    for stage, target in zip(features, photograph, strict=True):
        one, other = _self_similarity(stage), _self_similarity(target)
        one, other = one - one.mean(), other - other.mean()
        distances.append(1 - float((one * other).sum() / (one.norm() * other.norm()).clamp(min=1e-9)))
    return float(np.mean(distances))


def bands(plane: Plane, count: int) -> list[Plane]:
    """Return differences of Gaussians, fine to coarse: structures of 1–2 px, 2–4 px, 4–8 px and so on.

    A structure is measured by a quarter of its wavelength, which is about the radius of a spot or half the width of a
    stroke. The standard deviations of √2, √10, √42, … px are those of the Laplacian pyramid of Burt and Adelson 1983;
    all bands have the plane's size, since smaller ones would depend on the position of a structure.
    """
    found, finer = [], plane
    for level in range(1, count + 1):
        coarser = blurred(plane, math.sqrt(2 * (4**level - 1) / 3))
        found.append(finer - coarser)
        finer = coarser
    return found


def blurred(values: Values, sigma: float) -> Values:
    """Return a plane or a picture after a Gaussian blur of the given standard deviation in px."""
    return cast("Values", cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def correlation(one: Plane, other: Plane) -> float:
    """Return Pearson's correlation of two planes of one size; 0 if one of them is flat."""
    return float(np.mean(_standardised(one) * _standardised(other)))


def peak_correlation(one: Plane, other: Plane) -> float:
    """Return the largest absolute correlation of two planes of one size over all circular shifts of one of them.

    A copy that is moved by a few px has no correlation in place, and looks just the same.
    """
    spectra = np.fft.rfft2(_standardised(one)) * np.conj(np.fft.rfft2(_standardised(other)))
    return float(np.abs(np.fft.irfft2(spectra, s=one.shape)).max()) / one.size


def _standardised(plane: Plane) -> Plane:
    spread = float(plane.std())
    return (plane - plane.mean()) / spread if spread > _FLAT else np.zeros_like(plane)


def residue(plane: Plane, photograph: Plane) -> tuple[float, ...]:
    """Return how much of the photograph is left: for six bands the peak correlation of both lumas, fine to coarse."""
    pairs = zip(bands(plane, 6), bands(photograph, 6), strict=True)
    return tuple(peak_correlation(one, other) for one, other in pairs)


def subject(plane: Plane, photograph: Plane) -> float:
    """Return the correlation of both lumas in place, in structures of 4–32 px, where the photograph has any.

    Each place has the photograph's local energy as its weight: what is painted onto an empty background is no loss.
    """
    one, other = (sum(bands(each, 5)[2:]) for each in (plane, photograph))
    weight = blurred(np.square(other), _LOCAL_SIGMA)
    one, other = (each - float((weight * each).sum()) / max(float(weight.sum()), _FLAT) for each in (one, other))
    energies = float((weight * np.square(one)).sum()) * float((weight * np.square(other)).sum())
    return float((weight * one * other).sum()) / max(math.sqrt(energies), _FLAT)


def ghost(plane: Plane, laid: Sequence[Plane]) -> float:
    """Return how much of the painting's layout is in a picture: the largest absolute correlation in bands of 1–16 px.

    Up to 8 px the painting may lie anywhere, also mirrored; a band of 8–16 px has so few structures that some shift
    always fits, so there it must lie in place. A copy that is turned or enlarged is not found.

    Args:
        plane: luma of the picture.
        laid: lumas of the painting, brought to the picture's size in several ways.
    """
    own, found = bands(plane, 4), []
    for painting in laid:
        theirs = bands(painting, 4)
        found.append(abs(correlation(own[3], theirs[3])))
        for flip in np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1]:
            found += [peak_correlation(one, other[flip]) for one, other in zip(own[:3], theirs[:3], strict=True)]
    return max(found)


def patches(plane: Plane, paintings: Sequence[Plane]) -> float:
    """Return the mean correlation of a picture's windows of 32 px with the places of the painting that fit them best.

    Pieces of the painting that are laid over the photograph correlate at their own places, not in the layout. Only
    structures up to about 8 px count, of which a window has many, so that no place fits by chance.

    Args:
        plane: luma of the picture.
        paintings: lumas of the painting in several sizes.
    """
    own, theirs = plane - blurred(plane, _PATCH_SIGMA), [each - blurred(each, _PATCH_SIGMA) for each in paintings]
    theirs = [each for each in theirs if min(each.shape) >= _WINDOW]
    rows, columns = (range(0, side - _WINDOW + 1, 2 * _WINDOW) for side in own.shape)
    windows = [own[top : top + _WINDOW, left : left + _WINDOW] for top in rows for left in columns]
    best = [
        max(float(cv2.matchTemplate(each, window, cv2.TM_CCOEFF_NORMED).max()) for each in theirs)
        for window in windows
        if theirs and window.std() > _SMOOTH
    ]
    return float(np.mean(best)) if best else 0.0


def octaves(plane: Plane, painting: Plane) -> tuple[float, ...]:
    """Return log2 of the spread of six luma bands ÷ the painting's, fine to coarse: grain above 0, flatness below."""
    pairs = zip(bands(plane, 6), bands(painting, 6), strict=True)
    return tuple(math.log2(max(float(one.std()), _FLAT) / max(float(other.std()), _FLAT)) for one, other in pairs)


def stroke_energy(plane: Plane) -> float:
    """Return the mean square in levels² of a plane's structures of 2–16 px, about the size of strokes."""
    return sum(float(np.square(band).mean()) for band in bands(plane, 4)[1:])


def chroma_energy(picture: Pixels) -> float:
    """Return the stroke energy of U and V together."""
    yuv = rgb_to_yuv(picture)
    return stroke_energy(yuv[:, :, 1]) + stroke_energy(yuv[:, :, 2])


def tint(picture: Pixels, photograph: Pixels) -> float:
    """Return the mean difference to the photograph in levels of U or V, whichever is larger, without small structures.

    Both are blurred by 1/24 of the longer side.
    """
    sigma = max(picture.shape[:2]) / 24
    difference = (rgb_to_yuv(picture) - rgb_to_yuv(photograph))[:, :, 1:]
    return float(np.abs(blurred(difference, sigma)).mean((0, 1)).max())
