"""Upscaling of a result from the working size to the photograph's own size, with the photograph's detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from pipeline.images.colour.luma_chroma import luma

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels, Plane

RADIUS: Final = 4
"""Radius of the windows in which result and photograph are compared, in px of the working size: about a stroke. To the
eye, 2 and 8 hardly differ."""
EPSILON: Final = 25.0
"""Variance in levels² below which a window of the photograph counts as flat, since its detail is mostly grain. At 400
(a spread of 20 levels) stonework and foliage come out visibly softer."""
STRONGEST: Final = 1.5
"""Largest gain of the photograph's detail."""


def guided_upscale(result: Pixels, working: Pixels, native: Pixels) -> Pixels:
    """Bring a stylisation to the photograph's size by luminance detail transfer.

    A fast guided filter (He & Sun 2015, arXiv:1505.00996): in windows of the working size the result's luma is written
    as a·Y + b of the photograph's luma Y, with a bounded to [0, 1.5]. The photograph's detail is its luma minus the
    luma of its enlarged working size. This detail, times the enlarged a, is added to the enlarged result: it is as
    strong as the painted picture follows the photograph there.

    Strokes are no finer than the working size, since the added detail is the photograph's, not the painting's. Where a
    stroke hides the photograph, a is small, and the stroke stays soft. The chroma is the result's, enlarged, so fine
    coloured detail comes back in luma only. Since a is fitted in windows, which are then averaged, an edge that is
    painted over may show through as a halo, up to 2·`RADIUS` px of the working size beside the edge.

    The peak memory is 20 bytes for each px of the photograph, besides the arguments.

    Args:
        result: (h, w, 3) result of the optimisation, 0–255, unclipped.
        working: (h, w, 3) photograph at the working size.
        native: (H, W, 3) photograph at its own size.

    Returns:
        (H, W, 3), unclipped.
    """
    height, width = native.shape[:2]
    guide = luma(working)
    gain = _enlarge(_slope(luma(result), guide), width, height)
    detail = luma(native)
    detail -= _enlarge(guide, width, height)
    detail *= gain
    enlarged: Pixels = _enlarge(result, width, height)
    enlarged += detail[:, :, None]
    return enlarged


def _slope(result: Plane, guide: Plane) -> Plane:
    """Return a, the slope of the result's luma over the photograph's, in the windows around each pixel."""

    def mean(values: Plane) -> Plane:
        side = 2 * RADIUS + 1
        return np.asarray(cv2.blur(values, (side, side)))

    mean_guide = mean(guide)
    covariance = mean(guide * result) - mean_guide * mean(result)
    variance = np.maximum(mean(guide * guide) - mean_guide * mean_guide, 0)
    return mean(np.clip(covariance / (variance + np.float32(EPSILON)), 0, STRONGEST).astype(np.float32))


def _enlarge(values: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC))
