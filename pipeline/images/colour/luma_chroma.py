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
    lowest, highest = _extremes(offsets)
    moved = np.clip(wanted, -lowest, 255 - highest)
    share = float(np.mean(np.abs(moved - wanted) > _ROUNDING))
    offsets += moved[:, :, None]
    return offsets, share


def into_gamut(pixels: Pixels) -> None:
    """Bring colours into 0–255 in place: where one lies outside, its luma and its chroma give way by half each.

    At its luma, a colour would fit if its chroma were scaled towards grey by a factor. The chroma is scaled half as
    far, or further, to where R, G and B differ by 255, so that a luma fits; the luma is moved for the rest. If the luma
    alone gave way, there would be no dark strokes in a saturated sky; if the chroma alone did, they would be grey.
    Colours within 0–255 are not touched.
    """
    lowest, highest = _extremes(pixels)
    outside = (lowest < 0) | (highest > _WHITE)
    offsets = pixels[outside][None]
    wanted = luma(offsets)
    offsets -= wanted[:, :, None]
    np.clip(wanted, 0, _WHITE, out=wanted)
    lowest, highest = (np.abs(extreme) + _TINY for extreme in _extremes(offsets))
    fits = np.minimum(1, np.minimum(wanted / lowest, (_WHITE - wanted) / highest))
    kept = np.minimum((1 + fits) / 2, _WHITE / (lowest + highest))
    offsets *= kept[:, :, None]
    offsets += np.clip(wanted, lowest * kept, _WHITE - highest * kept)[:, :, None]
    pixels[outside] = np.clip(offsets[0], 0, _WHITE)  # only rounding is left


def share_of_moved(before: Pixels, after: Pixels) -> float:
    """Return the share of pixels whose luma differs."""
    return float(np.mean(np.abs(luma(after) - luma(before)) > _ROUNDING))


def _extremes(pixels: Pixels) -> tuple[Plane, Plane]:
    """Return the lowest and the highest of R, G and B of each pixel; seven times as fast as along an axis."""
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    return np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)


_WHITE = np.float32(255)
_TINY = np.float32(1e-6)
_ROUNDING = 1e-2
"""Largest difference in levels of a luma that counts as rounded, not as moved."""


def blend(of_none: Pixels, of_all: Pixels, strength: float) -> Pixels:
    """Return (1 − s)·a + s·b; exactly a at s = 0, and exactly b at s = 1."""
    if strength in (0, 1):
        return of_all if strength else of_none
    return of_none + np.float32(strength) * (of_all - of_none)
