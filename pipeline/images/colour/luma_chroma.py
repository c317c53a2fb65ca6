"""Luma and chroma of pictures.

Pictures are (H, W, 3) float32 sRGB, 0–255; results are not clipped, so that a later step loses nothing.
YUV is defined by ITU-R BT.601: Y = 0.299 R + 0.587 G + 0.114 B, U = 0.492 (B − Y), V = 0.877 (R − Y).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.images.picture import Pixels, Plane

_LUMA = np.array([0.299, 0.587, 0.114])
_BLUE, _RED = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
RGB_TO_YUV = np.stack([_LUMA, 0.492 * (_BLUE - _LUMA), 0.877 * (_RED - _LUMA)])
YUV_TO_RGB = np.linalg.inv(RGB_TO_YUV)


def rgb_to_yuv(pixels: Pixels) -> Pixels:
    """Return YUV, (H, W, 3): Y in 0–255, U and V around 0."""
    return np.asarray(pixels @ RGB_TO_YUV.T.astype(np.float32))


def yuv_to_rgb(yuv: Pixels) -> Pixels:
    """Return the inverse of `rgb_to_yuv`; values may lie outside 0–255."""
    return np.asarray(yuv @ YUV_TO_RGB.T.astype(np.float32))


def luma(pixels: Pixels) -> Plane:
    """Return Y, (H, W), 0–255."""
    return np.asarray(pixels @ _LUMA.astype(np.float32))


def grey(plane: Plane) -> Pixels:
    """Return a plane repeated on three channels."""
    return np.repeat(plane[:, :, None], 3, axis=2)


def with_chroma_of(pixels: Pixels, source: Pixels) -> Pixels:
    """Return the luma (Y) of `pixels` with the chroma (U, V) of `source`; both have one size.

    nazianafis/Neural-Style-Transfer gives the content's chroma to the style before the optimisation;
    pavelgonchar/color-independent-style-transfer gives it to the result after the optimisation.
    """
    yuv = rgb_to_yuv(pixels)
    yuv[:, :, 1:] = rgb_to_yuv(source)[:, :, 1:]
    return yuv_to_rgb(yuv)


def with_chroma_in_gamut(pixels: Pixels, source: Pixels) -> tuple[Pixels, float]:
    """Return `with_chroma_of` within 0–255: where luma and chroma together lie outside, the luma is moved.

    R, G and B are Y plus offsets o that depend on U and V only. So the colour lies in 0–255 if Y is in
    [−min(o), 255 − max(o)]. This range is never empty, as it holds the luma of `source`, which is in 0–255 itself.
    Clipping R, G and B instead, as other programs do, changes the chroma.

    Returns:
        The colours, and the share of pixels whose luma was moved.
    """
    wanted = luma(pixels)
    offsets = source - luma(source)[:, :, None]
    red, green, blue = offsets[:, :, 0], offsets[:, :, 1], offsets[:, :, 2]  # seven times as fast as along an axis
    lowest, highest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    moved = np.clip(wanted, -lowest, 255 - highest)
    share = float(np.mean(np.abs(moved - wanted) > _ROUNDING))
    offsets += moved[:, :, None]
    return offsets, share


_ROUNDING = 1e-2
"""Largest difference in levels of a luma that counts as rounded, not as moved."""


def blend(of_none: Pixels, of_all: Pixels, strength: float) -> Pixels:
    """Return (1 − s)·a + s·b; exactly a at s = 0, and exactly b at s = 1."""
    if strength in (0, 1):
        return of_all if strength else of_none
    return of_none + np.float32(strength) * (of_all - of_none)
