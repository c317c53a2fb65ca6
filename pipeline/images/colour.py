"""Colour modes: whose colours the pastiche has.

All functions take and give (H, W, 3) float32 sRGB, 0–255, unclipped, so that nothing is lost on the way.
YUV is that of ITU-R BT.601: Y = 0.299 R + 0.587 G + 0.114 B, U = 0.492 (B − Y), V = 0.877 (R − Y).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.images.read import Pixels

_LUMA = np.array([0.299, 0.587, 0.114])
_BLUE, _RED = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
RGB_TO_YUV = np.stack([_LUMA, 0.492 * (_BLUE - _LUMA), 0.877 * (_RED - _LUMA)])
YUV_TO_RGB = np.linalg.inv(RGB_TO_YUV)


def rgb_to_yuv(pixels: Pixels) -> Pixels:
    """Y in 0–255, U and V around 0."""
    return np.asarray(pixels @ RGB_TO_YUV.T.astype(np.float32))


def yuv_to_rgb(yuv: Pixels) -> Pixels:
    """Inverse of `rgb_to_yuv`; values may lie outside 0–255."""
    return np.asarray(yuv @ YUV_TO_RGB.T.astype(np.float32))


def with_chroma_of(pixels: Pixels, source: Pixels) -> Pixels:
    """The luma (Y) of `pixels` with the chroma (U, V) of `source`, which has the same size.

    Before optimisation, style with the chroma of content, this is what nazianafis/Neural-Style-Transfer does; after
    it, result with the chroma of content, what pavelgonchar/color-independent-style-transfer does.
    """
    yuv = rgb_to_yuv(pixels)
    yuv[:, :, 1:] = rgb_to_yuv(source)[:, :, 1:]
    return yuv_to_rgb(yuv)
