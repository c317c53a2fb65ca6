"""The output of the decoders, and its conversion to upright pixels in sRGB."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.images.colour.icc import Colours, Samples, Space
    from pipeline.images.picture import Pixels, Plane

    Values = np.ndarray[tuple[int, int], np.dtype[np.uint8] | np.dtype[np.uint16]]
    """Alpha or one channel, (H, W), in the full range of its type."""

_BAND: Final = 1 << 22
"""Pixels that are converted at once, so that a large picture is not in memory twice as float32."""
_WIDE: Final = np.float32(257)
"""Levels of 16 bits to a level of 8 bits."""


@dataclass(frozen=True)
class Decoded:
    """Values of a file, before orientation and colour profile."""

    colours: Samples
    space: Space
    alpha: Values | None = None
    """Alpha from 0 (invisible) to the top of its type; None: all is visible."""


def apply_orientation(decoded: Decoded, orientation: int) -> Decoded:
    """Apply EXIF's Orientation, 1–8 (EXIF 3.0, 4.6.5.1), by views, without copies."""
    alpha = None if decoded.alpha is None else _orient(decoded.alpha, orientation)
    return replace(decoded, colours=_orient(decoded.colours, orientation), alpha=alpha)


def _orient(values: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    if orientation >= 5:  # noqa: PLR2004 - rows and columns are exchanged
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def to_pixels(decoded: Decoded, convert: Callable[[Samples], Colours] | None) -> tuple[Pixels, Plane | None]:
    """Convert decoded values to pixels and alpha.

    Args:
        decoded: the values, which are grey or RGB unless `convert` is given.
        convert: function that converts colours to sRGB; None: they are sRGB.

    Returns:
        Pixels, white where alpha is 0; and alpha 0–1, or None if all is visible.
    """
    height, width = decoded.colours.shape[:2]
    pixels = np.empty((height, width, 3), np.float32)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = decoded.colours[top : top + rows]
        _scale(convert(band) if convert is not None else band, pixels[top : top + rows])
    alpha = decoded.alpha
    if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max:
        return pixels, None
    pixels[alpha == 0] = 255
    return pixels, np.divide(alpha, np.float32(np.iinfo(alpha.dtype).max), dtype=np.float32)


def _scale(samples: Samples, pixels: Pixels) -> None:
    """Write samples into pixels, scaled to 0–255; one channel goes to all three."""
    if samples.dtype == np.uint16:
        np.divide(samples, _WIDE, out=pixels)
    else:
        pixels[:] = samples
