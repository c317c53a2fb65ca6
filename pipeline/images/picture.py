"""A decoded picture, with the tags that must survive until a result is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""Pixels of a picture, (H, W, 3) float32, sRGB, 0–255, not rounded."""

Plane = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""One value per pixel, (H, W) float32, such as alpha or luma."""

Bits = Literal[8, 16]
"""Bits per channel."""


@dataclass(frozen=True)
class Tags:
    """Metadata that cameras and programs write beside the pixels."""

    exif: bytes = b""
    """TIFF structure as in a JPEG's APP1 after `Exif\\0\\0`; empty: none."""
    xmp: bytes = b""
    """XMP packet; empty: none."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, across and down; None: unknown."""


@dataclass(frozen=True)
class Picture:
    """A decoded image: upright, sRGB."""

    pixels: Pixels
    """Pixels, not multiplied by alpha, white where alpha is 0; perhaps fewer than in the file, if fewer were wanted."""
    format: str
    """Name of the format by content, one of `formats.READABLE`; `array` for arrays of a program."""
    width: int
    """Width of the file's picture in px, after EXIF orientation."""
    height: int
    """Height of the file's picture in px, after EXIF orientation."""
    bits: Bits = 8
    """Bits per channel in the file; 16 also for depths between 8 and 16."""
    alpha: Plane | None = None
    """Alpha from 0 (invisible) to 1; None: 1 everywhere."""
    tags: Tags = Tags()
    warnings: tuple[str, ...] = ()
    """Losses in decoding, in words."""
