"""A picture as it was read, with what must survive until a result is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""(H, W, 3) float32, sRGB, 0–255, not rounded."""

Plane = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""(H, W) float32; what its values mean is said where it stands."""

Bits = Literal[8, 16]


@dataclass(frozen=True)
class Tags:
    """What a photographer's software wrote beside the pixels."""

    exif: bytes = b""
    """A TIFF structure as it stands in JPEG's APP1 behind `Exif\\0\\0`; empty: none."""
    xmp: bytes = b""
    """An XMP packet; empty: none."""
    dpi: tuple[float, float] | None = None
    """Across and down."""


@dataclass(frozen=True)
class Picture:
    """A decoded image: upright, sRGB."""

    pixels: Pixels
    """Fewer than the file has if fewer were wanted. Not multiplied by alpha; white where nothing is visible."""
    format: str
    """`JPEG`, `PNG`, `WEBP` or `TIFF` (or another that is allowed), by content."""
    width: int
    """Of the file, in px, after EXIF orientation."""
    height: int
    """Of the file, in px, after EXIF orientation."""
    bits: Bits = 8
    """Per channel in the file; 16 also for those between."""
    alpha: Plane | None = None
    """0 (nothing is visible) to 1; None if all is."""
    tags: Tags = Tags()
    warnings: tuple[str, ...] = ()
    """What was lost on the way, in words."""
