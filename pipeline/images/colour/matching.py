"""Colour matching: a painting gets the colours of a photograph.

Pictures are (H, W, 3) float32 sRGB, 0–255, not clipped; statistics are in float64. Source and target may have different
sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels, Plane

Match = Literal["mean-std", "cholesky", "pca", "monge-kantorovich"]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]
Ordinals = np.ndarray[tuple[int], np.dtype[np.uint64]]

_ROUNDING = 1 / 12
"""Variance in levels² that is added to a painting's in every direction: the variance of rounding to 8 bits."""
_TINY = 1e-6
"""Variance in levels² that is added to the target's so that Cholesky's factor exists; float32 does not resolve it."""
_STRONGEST: Final[dict[Match, float]] = {"mean-std": 5.0, "cholesky": 12.0, "pca": 12.0, "monge-kantorovich": 5.0}
"""Largest stretch of any direction in colour space: a little more than 36 pairs of painting and photograph needed (4.8,
11.2, 9.1, 4.4). Only the grain of grey paintings would be stretched more, and become coloured noise."""


def linear_match(source: Pixels, target: Pixels, method: Match) -> Pixels:
    """Map the colours x of `source` to A·(x − μ_s) + μ_t, so that they have the mean and covariance of `target`.

    With covariances Σ, and their Cholesky factors L·Lᵀ = Σ:

    - `mean-std`: A is diagonal, σ_t/σ_s of each channel (Reinhard et al. 2001, in RGB);
    - `cholesky`: A = L_t·L_s⁻¹;
    - `pca`: A = Σ_t^½·Σ_s^−½;
    - `monge-kantorovich`: A = Σ_s^−½·(Σ_s^½·Σ_t·Σ_s^½)^½·Σ_s^−½, which moves colours least (Pitié & Kokaram 2007).

    The second and third are by Gatys et al. 2017, "Controlling perceptual factors in neural style transfer". Σ of a
    grey or one-coloured picture is singular, so a little of the identity is added, and the singular values of A are
    limited (`_STRONGEST`): where `source` has hardly any colour, the result has less than `target`, but little noise.
    """
    x = source.reshape(-1, 3).astype(np.float64)
    mean, target_mean = x.mean(axis=0), target.reshape(-1, 3).mean(axis=0, dtype=np.float64)
    matrix = _linear_map(_covariance(source), _covariance(target), method)
    return cast("Pixels", ((x - mean) @ matrix.T + target_mean).reshape(source.shape).astype(np.float32))


def _covariance(pixels: Pixels) -> Matrix:
    x = pixels.reshape(-1, 3).astype(np.float64)
    x -= x.mean(axis=0)
    return cast("Matrix", x.T @ x / len(x))


def _linear_map(source: Matrix, target: Matrix, method: Match) -> Matrix:
    matrix = _unlimited(source + _ROUNDING * np.eye(3), target + _TINY * np.eye(3), method)
    left, stretches, right = np.linalg.svd(matrix)
    return cast("Matrix", (left * np.minimum(stretches, _STRONGEST[method])) @ right)


def _unlimited(source: Matrix, target: Matrix, method: Match) -> Matrix:
    """Return A of `linear_match`, from two regular covariances."""
    if method == "mean-std":
        return np.diag(np.sqrt(np.diag(target) / np.diag(source)))
    if method == "cholesky":
        return cast("Matrix", np.linalg.cholesky(target) @ np.linalg.inv(np.linalg.cholesky(source)))
    root, inverse = _power(source, 0.5), _power(source, -0.5)
    if method == "pca":
        return cast("Matrix", _power(target, 0.5) @ inverse)
    return cast("Matrix", inverse @ _power(root @ target @ root, 0.5) @ inverse)


def _power(matrix: Matrix, exponent: float) -> Matrix:
    """Return a power of a symmetric, positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return cast("Matrix", (vectors * np.maximum(values, _TINY) ** exponent) @ vectors.T)


def histogram_match(source: Pixels, target: Pixels) -> Pixels:
    """Give each channel of `source` exactly the histogram of `target`: the k-th smallest value becomes the target's.

    Where the numbers of pixels differ, values are interpolated. Equal values are ordered by the means of their
    neighbourhoods (Coltuc, Bolon & Chassery 2006, "Exact histogram specification"); values whose means are equal, too,
    stay equal, so that a flat area does not become a ramp.
    """
    matched = [_match_channel(source[:, :, channel], target[:, :, channel]) for channel in range(3)]
    return np.stack(matched, axis=2)


def _match_channel(source: Plane, target: Plane) -> Plane:
    order, starts = _ranked(np.ascontiguousarray(source))
    sizes = np.diff(starts, append=len(order))
    wanted = np.sort(target, axis=None)
    ranks = (starts + (sizes - 1) / 2) * ((len(wanted) - 1) / max(1, len(order) - 1))
    matched = np.empty(len(order), np.float32)
    matched[order] = np.repeat(np.interp(ranks, np.arange(len(wanted)), wanted).astype(np.float32), sizes)
    return cast("Plane", matched.reshape(source.shape))


def _ranked(plane: Plane) -> tuple[Indices, Indices]:
    """Return a plane's pixels from dark to light, by index, and the start of each group of equals in that order."""
    near, far = (cast("Plane", cv2.blur(plane, (side, side))) for side in (3, 5))
    keys = _ordinal(plane) << _HALF | _ordinal(near)
    order = np.argsort(keys)
    groups = np.cumsum(_begins(keys[order])).astype(np.uint64)
    keys = groups << _HALF | _ordinal(far)[order]
    within = np.argsort(keys)
    return order[within], np.flatnonzero(_begins(keys[within]))


def _begins(keys: Ordinals) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether each sorted value differs from the one before it."""
    return np.concatenate([[True], keys[1:] != keys[:-1]])


def _ordinal(plane: Plane) -> Ordinals:
    """Return integers of 32 bits in the order of the values, since two of them in one integer are sorted fastest."""
    bits = (plane.ravel() + np.float32(0)).view(np.uint32)  # −0 is 0
    sign = np.uint32(1 << 31)
    return np.where(bits & sign, ~bits, bits | sign).astype(np.uint64)


_HALF = np.uint64(32)
