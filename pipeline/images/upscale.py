"""A result at the photograph's own size, though the network worked at a smaller one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from pipeline.images.colour.luma_chroma import luma

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels, Plane

RADIUS: Final = 4
"""In px of the working size, of the windows in which the result is compared with the photograph: about a stroke. By eye
2 and 8 hardly differ."""
EPSILON: Final = 25.0
"""In levels²: windows of the photograph with less variance are taken for flat, since their detail is mostly grain. At
400 (a spread of 20 levels) stonework and foliage come out visibly softer."""
STRONGEST: Final = 1.5
"""How much stronger than in the photograph its detail may come out."""


def guided_upscale(result: Pixels, working: Pixels, native: Pixels) -> Pixels:
    """Bring a stylisation to the photograph's size by luminance detail transfer.

    A fast guided filter (He & Sun 2015, arXiv:1505.00996): in windows of the working size the result's luma is written
    as a·Y + b of the photograph's luma Y, with a bounded to [0, 1.5]. The enlarged result then gets what enlarging took
    from the photograph, its luma minus its own enlarged working size, times the enlarged a: as much detail as
    the painted picture followed the photograph there.

    Strokes are no finer than the working size: what is added is the photograph's detail, not the painting's; where a
    stroke hides the photograph, a is small, and it stays a soft stroke. The chroma is the result's, enlarged, so fine
    coloured detail comes back in its luma only. As a is fitted in windows, which are then averaged, an edge that is
    painted over may show through as a halo, up to 2·`RADIUS` px of the working size beside where it is not.

    Holds 20 bytes for each px of the photograph at its peak, besides what it is given.

    Args:
        result: (h, w, 3) of the optimisation, 0–255, unclipped.
        working: (h, w, 3) the photograph at the working size.
        native: (H, W, 3) the photograph.

    Returns:
        (H, W, 3), unclipped.
    """
    height, width = native.shape[:2]
    guide = luma(working)
    gain = _enlarge(_follows(luma(result), guide), width, height)
    detail = luma(native)
    detail -= _enlarge(guide, width, height)
    detail *= gain
    enlarged: Pixels = _enlarge(result, width, height)
    enlarged += detail[:, :, None]
    return enlarged


def _follows(result: Plane, guide: Plane) -> Plane:
    """a: the slope of the result's luma over the photograph's, in the windows around each pixel."""

    def mean(values: Plane) -> Plane:
        side = 2 * RADIUS + 1
        return np.asarray(cv2.blur(values, (side, side)))

    mean_guide = mean(guide)
    covariance = mean(guide * result) - mean_guide * mean(result)
    variance = np.maximum(mean(guide * guide) - mean_guide * mean_guide, 0)
    return mean(np.clip(covariance / (variance + np.float32(EPSILON)), 0, STRONGEST).astype(np.float32))


def _enlarge(values: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC))
