"""What a decoder gives, and how it becomes upright pixels in sRGB."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.images.colour.icc import Colours, Samples, Space
    from pipeline.images.picture import Pixels, Plane

    Values = np.ndarray[tuple[int, int], np.dtype[np.uint8] | np.dtype[np.uint16]]
    """(H, W): all values of their type."""

_BAND: Final = 1 << 22
"""In px: so much is converted at once, so that a large picture is in memory once as float32 and not twice."""
_WIDE: Final = np.float32(257)
"""Of 65535 levels to one of 255."""


@dataclass(frozen=True)
class Decoded:
    """The values of a file, before orientation and colour profile."""

    colours: Samples
    space: Space
    alpha: Values | None = None
    """None: all is visible."""


def upright(decoded: Decoded, orientation: int) -> Decoded:
    """As it is to be seen, by EXIF's Orientation (EXIF 3.0, 4.6.5.1), 1–8; views, no copies."""
    alpha = None if decoded.alpha is None else _turned(decoded.alpha, orientation)
    return replace(decoded, colours=_turned(decoded.colours, orientation), alpha=alpha)


def _turned(values: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    if orientation >= 5:  # noqa: PLR2004 - rows and columns are exchanged
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def to_pixels(decoded: Decoded, convert: Callable[[Samples], Colours] | None) -> tuple[Pixels, Plane | None]:
    """Colours and alpha of a picture.

    Args:
        decoded: grey or RGB if nothing converts it.
        convert: to sRGB; None if it is.

    Returns:
        Pixels, white where nothing is visible; alpha 0–1, or None if all is visible.
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
    """To 0–255; one channel to all three."""
    if samples.dtype == np.uint16:
        np.divide(samples, _WIDE, out=pixels)
    else:
        pixels[:] = samples
