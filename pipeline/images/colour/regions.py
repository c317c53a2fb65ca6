"""The mode `regions`: every region keeps the photograph's colours, and every stroke the painting's.

Before the optimisation, the painting takes the photograph's palette, but keeps its own contrast of luma and of chroma.
After it, the result takes the photograph's chroma in the large, and keeps its own from stroke to stroke.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

import cv2
import numpy as np

from pipeline.images.colour.luma_chroma import into_gamut, luma, rgb_to_yuv, share_of_moved, yuv_to_rgb
from pipeline.images.colour.matching import linear_match

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels, Plane

Values = TypeVar("Values", "Pixels", "Plane")

Stack = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
"""Values per pixel, (H, W, …) float64."""

_OWN_CONTRAST: Final = 0.75
"""Share of the painting's contrast in that of its recoloured picture, as an exponent: 0 is the photograph's contrast, 1
the painting's."""
_OWN_BRIGHTNESS: Final = 0.5
"""Share of the painting's mean luma in that of its recoloured picture."""
_FLAT: Final = 0.5
"""Smallest spread in levels of a picture that is not flat; a smaller one is rounding."""

STROKES: Final = 24
"""The longer side, divided by the radius of the windows in which result and photograph are compared: about a stroke."""
_COMPARED: Final = 16 * STROKES
"""Longest side in px of the pictures that are compared: the windows then have a radius of 16 px."""
_EPSILON: Final = 400.0
"""Variance in levels² below which a window of the photograph counts as flat, as its detail is no edge of a region."""
_PASSES: Final = 2
"""Number of passes of the filter."""
_RED_OF_GREEN, _BLUE_OF_GREEN = np.float32(0.299 / 0.587), np.float32(0.114 / 0.587)
"""Weights with which G takes back the luma that changes of R and B bring."""
_UNPAINTED: Final = 1e-6
"""Mean of a window's squared weights that counts as none."""


def recoloured(style: Pixels, painted: Pixels) -> Pixels:
    """Return the painting in the photograph's palette, with its own contrast, 0–255.

    The palette is the photograph's mean and covariance in RGB, to which `linear_match` maps the painting's (Monge &
    Kantorovich). But the target's spread of chroma becomes σ_c·(σ_s/σ_c)^0.75, where σ_c is the photograph's and σ_s
    the painting's; so does its spread of luma, where it grows. Its mean luma lies half way between both. Without that,
    the strokes of a vivid painting would be as pale as a pale photograph.

    Args:
        style: the painting, of any size.
        painted: the photograph, or those of its pixels where the style acts, (1, N, 3).
    """
    target = rgb_to_yuv(painted)
    mean, of_style = target.mean(axis=(0, 1), dtype=np.float64), rgb_to_yuv(style)
    (luma_spread, chroma_spread), (wanted_luma, wanted_chroma) = _spreads(target), _spreads(of_style)
    brighter = max(1.0, _gain(luma_spread, wanted_luma))
    richer = _gain(chroma_spread, wanted_chroma)
    target -= mean
    target *= np.array([brighter, richer, richer], np.float32)
    mean[0] += _OWN_BRIGHTNESS * (of_style[:, :, 0].mean(dtype=np.float64) - mean[0])
    target += mean
    return np.clip(linear_match(style, yuv_to_rgb(target), "monge-kantorovich"), 0, 255)


def _spreads(yuv: Pixels) -> tuple[float, float]:
    """Return the standard deviations of luma and of chroma, √(σ_U² + σ_V²)."""
    variances = yuv.var(axis=(0, 1), dtype=np.float64)
    return float(np.sqrt(variances[0])), float(np.sqrt(variances[1] + variances[2]))


def _gain(spread: float, wanted: float) -> float:
    return (wanted / spread) ** _OWN_CONTRAST if spread > _FLAT else 1.0


def with_chroma_of_regions(result: Pixels, content: Pixels, mask: Plane | None = None) -> tuple[Pixels, float]:
    """Return the result with the photograph's chroma in the large and its own from stroke to stroke, within 0–255.

    To the result's chroma, a smoothed difference of the photograph's chroma and its own is added. A guided filter (He,
    Sun & Tang 2013, "Guided image filtering", section 3.5) smooths it: in each window, the difference is written as
    a·I + b of the photograph's colours I, and a and b are averaged. So no colour bleeds over an edge of the photograph,
    whereas strokes, which the photograph does not have, stay in what is left. The filter is linear, so the
    photograph itself stays exactly as it is. A second pass acts on the difference that the filter and `into_gamut`
    left: lighter strokes take the chroma for which darker ones have no room.

    a and b are found in small copies of the pictures (He & Sun 2015, "Fast guided filter", arXiv:1505.00996), so the
    time does not depend on the radius of the windows. The peak memory is 31 bytes for each px, besides the arguments.

    Args:
        result: result of the optimisation, (H, W, 3), unclipped.
        content: photograph, of the same size, 0–255.
        mask: weight of the style in the result, 0–1; None: 1 everywhere. Where it is 0, no chroma is changed.

    Returns:
        The colours, and the share of pixels whose luma was moved to make room for their chroma.
    """
    coloured = result.copy()
    for _ in range(_PASSES):
        _add_chroma(coloured, _smoothed_difference(coloured, content, mask))
        into_gamut(coloured)
    return coloured, share_of_moved(result, coloured)


def _add_chroma(pixels: Pixels, change: Pixels) -> None:
    """Add to R − Y and B − Y, (2, H, W), in place, and keep Y."""
    red, blue = change
    pixels[:, :, 0] += red
    pixels[:, :, 2] += blue
    red *= _RED_OF_GREEN
    blue *= _BLUE_OF_GREEN
    pixels[:, :, 1] -= red
    pixels[:, :, 1] -= blue


def _smoothed_difference(result: Pixels, content: Pixels, mask: Plane | None) -> Pixels:
    """Return the photograph's R − Y and B − Y minus the result's, smoothed by the guided filter, (2, H, W)."""
    height, width = content.shape[:2]
    change = np.empty((2, height, width), np.float32)
    for index, (*slopes, constant) in enumerate(_fit(result, content, mask)):
        change[index] = _enlarge(constant, width, height)
        for channel, slope in enumerate(slopes):
            change[index] += _enlarge(slope, width, height) * content[:, :, channel]
    if mask is not None:
        change *= mask
    return change


def _enlarge(plane: Plane, width: int, height: int) -> Plane:
    return cast("Plane", cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))


def _fit(result: Pixels, content: Pixels, mask: Plane | None) -> Pixels:
    """Fit the difference of chroma, as a multiple of the mask, to the photograph's colours in small copies.

    Each window minimises Σ (d − m·(a·I + b))² + ε·|a|²·Σ m². Since d is the difference of a mixture, m·(photograph −
    painted), a and b are good up to the border of a mask.

    Returns:
        For the differences of R − Y and of B − Y, the three slopes a and the constant b, (2, 4, h, w) float32.
    """
    guide = _small(content)
    height, width = guide.shape[:2]
    missing = guide - _small(result)
    missing -= luma(missing)[:, :, None]
    weight = np.ones((height, width)) if mask is None else _small(mask).astype(np.float64)
    weighted = np.dstack([guide, np.ones((height, width))]) * weight[:, :, None]
    radius = max(1, round(max(height, width) / STROKES))
    mass = _window_mean(weight * weight, radius)
    moments = _window_mean(weighted[:, :, :, None] * weighted[:, :, None, :], radius)
    moments += (_EPSILON * mass)[:, :, None, None] * np.diag([1.0, 1.0, 1.0, 0.0]) + _UNPAINTED * np.eye(4)
    products = _window_mean(weighted[:, :, :, None] * missing[:, :, None, ::2], radius)
    fits = _window_mean(np.linalg.solve(moments, products) * mass[:, :, None, None], radius)
    fits /= np.maximum(_window_mean(mass, radius), _UNPAINTED)[:, :, None, None]
    return np.ascontiguousarray(fits.transpose(3, 2, 0, 1), np.float32)


def _small(values: Values) -> Values:
    """Return a picture or plane with a longest side of at most `_COMPARED` px, by area, unclipped."""
    height, width = values.shape[:2]
    factor = min(1.0, _COMPARED / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cast("Values", cv2.resize(values, size, interpolation=cv2.INTER_AREA))


def _window_mean(values: Stack, radius: int) -> Stack:
    height, width = values.shape[:2]
    side = 2 * radius + 1
    mean = cv2.blur(values.reshape(height, width, -1), (side, side), borderType=cv2.BORDER_REFLECT)
    return cast("Stack", mean.reshape(values.shape))
