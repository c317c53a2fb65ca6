"""Decoding with Pillow: pictures of at most 8 bits per channel, and pictures that Pillow reduces to 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from pipeline.images.decoded import Decoded
from pipeline.images.file_errors import UnsupportedError

if TYPE_CHECKING:
    from pipeline.images.colour.icc import Space

_MODES: Final = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "P": "RGB",
    "YCbCr": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "PA": "RGBA",
    "CMYK": "CMYK",
}
"""Pillow's modes, and the modes that they are converted to without loss."""
_SPACES: Final[dict[str, Space]] = {"L": "gray", "LA": "gray", "RGB": "rgb", "RGBA": "rgb", "CMYK": "cmyk"}
"""Colour spaces by mode."""
_WITH_ALPHA: Final = {"L": "LA", "RGB": "RGBA"}
"""Modes with alpha for pictures that have a transparent colour, by mode without alpha."""


def colour_space(image: Image.Image) -> Space:
    """Return the colour space of an opened image.

    Raises:
        UnsupportedError: the channels are neither grey, RGB or CMYK of 8 bits, nor grey of 16.
    """
    if image.mode.startswith("I;16"):
        return "gray"
    if image.mode not in _MODES:
        bits = " of 32 bits" if image.mode in ("I", "F") else ""
        raise UnsupportedError(f"has channels of the kind {image.mode}{bits}, which are not read.")
    return _SPACES[_MODES[image.mode]]


def scale_transparency(image: Image.Image, bits: int) -> None:
    """Scale the transparent level of a grey PNG as Pillow scales its pixels: of 2 or 4 bits per channel, to 8."""
    level = image.info.get("transparency")
    if image.mode == "L" and bits in (2, 4) and isinstance(level, int):
        top = 2**bits - 1
        image.info["transparency"] = (level & top) * 255 // top


def decode_with_pillow(image: Image.Image, orientation: int, *, keep_cmyk: bool) -> tuple[Decoded, int]:
    """Decode an opened image, and free Pillow's memory.

    Args:
        image: the opened image, perhaps reduced by `draft`.
        orientation: EXIF's orientation of the image.
        keep_cmyk: keep CMYK for a conversion by profile; otherwise it becomes RGB by Pillow's plain formula.

    Returns:
        The values, and the orientation that is still to be applied.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow applies this entry when it loads a TIFF; without it Pillow would take the orientation from XMP.
        image.getexif()[ExifTags.Base.Orientation] = orientation
        orientation = 1
    image.load()
    space = colour_space(image)
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        image.close()
        return Decoded(values[:, :, None], space), orientation
    mode = _MODES[image.mode]
    if "transparency" in image.info:
        mode = _WITH_ALPHA.get(mode, mode)
    if mode == "CMYK" and not keep_cmyk:
        mode, space = "RGB", "rgb"
    values = np.asarray(image if image.mode == mode else image.convert(mode))
    image.close()
    values = values.reshape(*values.shape[:2], -1)
    has_alpha = mode in ("LA", "RGBA")
    alpha = values[:, :, -1] if has_alpha else None
    return Decoded(values[:, :, :-1] if has_alpha else values, space, alpha), orientation
