"""Arrays of a calling program as pictures, in place of files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.errors import ImageError
from pipeline.images.picture import Bits, Picture, Pixels

if TYPE_CHECKING:
    from pathlib import Path

_ROUNDING: Final = 1e-3
"""Largest distance of floats outside of 0–1, such as resampling causes; they are clipped."""
_LEVELS: Final[dict[str, float]] = {"uint8": 255.0, "uint16": 65535.0}
"""Top values of integer types."""


@dataclass(frozen=True)
class ArrayPicture:
    """A picture that comes from an array, not from a file."""

    path: Path
    """Name for messages, not a file."""
    picture: Picture
    sha256: str
    """SHA-256 of values, type and shape, 64 hexadecimal digits."""


def from_array(values: np.ndarray[Any, Any], name: Path, *, channels: int = 3) -> ArrayPicture:
    """Make a picture of an array in sRGB.

    Args:
        values: (H, W, 3), or (H, W) for one channel: uint8, uint16, or floats from 0 to 1.
        name: name for messages.
        channels: 3, or 1 for a mask.

    Raises:
        ImageError: the array's shape or type is wrong, or floats are not from 0 to 1.
    """
    shape = "(H, W, 3)" if channels == 3 else "(H, W)"  # noqa: PLR2004 - red, green and blue
    fits = values.ndim == 3 and values.shape[2] == 3 if channels == 3 else values.ndim == 2  # noqa: PLR2004
    if not fits or not values.size:
        raise ImageError(f"{name}: an array of the shape {values.shape} is no picture.", f"Give one of {shape}.")
    pixels = _to_255(values, name)
    if channels == 1:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    digest = hashlib.sha256(f"{values.dtype.str}{values.shape}".encode())
    digest.update(np.ascontiguousarray(values).data)
    bits: Bits = 8 if values.dtype == np.uint8 else 16
    height, width = values.shape[:2]
    return ArrayPicture(name, Picture(pixels, "array", width, height, bits), digest.hexdigest())


def _to_255(values: np.ndarray[Any, Any], name: Path) -> Pixels:
    """Return values scaled to 0–255.

    Raises:
        ImageError: the type is wrong, or floats are not from 0 to 1.
    """
    levels = _LEVELS.get(values.dtype.name)
    if levels is not None:
        pixels: Pixels = np.divide(values, np.float32(levels / 255), dtype=np.float32)
        return pixels
    if values.dtype.kind != "f":
        raise ImageError(
            f"{name}: an array of {values.dtype} is no picture.", "Give uint8, uint16, or floats from 0 to 1."
        )
    if not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):  # false also where one is not a number
        raise ImageError(
            f"{name}: has values from {values.min():.4g} to {values.max():.4g}; floats should be from 0 to 1.",
            "Divide by 255, or clip.",
        )
    scaled: Pixels = np.clip(values, 0, 1).astype(np.float32) * np.float32(255)
    return scaled
