"""Colour profiles (ICC.1): what colours in other spaces are in sRGB.

littleCMS converts relative to the white point (intent "relative colorimetric"), so that white paper becomes white and a
colour that sRGB has stays itself; and with black point compensation, so that a printer's darkest ink becomes black and
not dark grey, and nothing darker than sRGB's black is cut off. Photographers' programs do the same. The result has 16
bits, also of 8: rounding to 8 would show as steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import imagecodecs
import numpy as np
from PIL import ImageCms

if TYPE_CHECKING:
    from collections.abc import Callable

Samples = np.ndarray[tuple[int, int, int], np.dtype[np.uint8] | np.dtype[np.uint16]]
"""(H, W, C): all values of their type, as a file holds them; CMYK: the top value is full ink."""

Colours = np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]
"""(H, W, 3) uint16, sRGB, 0–65535."""

Space = Literal["gray", "rgb", "cmyk"]
CHANNELS: Final[dict[Space, int]] = {"gray": 1, "rgb": 3, "cmyk": 4}

_SIGNATURES: Final[dict[bytes, Space]] = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}
_NAMES: Final[dict[Space, str]] = {"gray": "grey", "rgb": "RGB", "cmyk": "CMYK"}
_HEADER, _MAX_BYTES = 128, 1 << 25
_DATE = slice(24, 36)
_MADE: Final = bytes.fromhex("07ea 0001 0001 0000 0000 0000")
"""2026-01-01 00:00:00: a result must not depend on the day it is made."""
_EXACT: Final = int(imagecodecs.CMS.FLAGS.NOOPTIMIZE)
"""Without the tables that littleCMS makes in advance: they take longer than a few colours without, and of 16 bits they
are off by up to 12 levels of 255 where a channel comes near 0."""
_DIFFERENCE: Final = 128
"""Of 65535, half a level of 8 bits: below it a profile is sRGB's."""


class ProfileError(ValueError):
    """A profile is damaged or for colours of another space; says so behind "its colour profile"."""


def _srgb() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = _MADE
    return bytes(profile)


SRGB: Final = _srgb()
"""A profile of sRGB (IEC 61966-2-1); always the same bytes with the same littleCMS."""


def _adobe_rgb() -> bytes:
    """Of Adobe RGB (1998), version 2005-05, 4.3: white point D65, exponent 563 / 256."""
    primaries = [0.64, 0.33, 1.0, 0.21, 0.71, 1.0, 0.15, 0.06, 1.0]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.3290, 1.0], primaries=primaries, gamma=563 / 256))


ADOBE_RGB: Final = _adobe_rgb()
"""A profile of Adobe RGB (1998), for files that name it by their EXIF only."""


def converter(profile: bytes, space: Space) -> Callable[[Samples], Colours] | None:
    """How to bring colours with a profile to sRGB; None if they are sRGB already.

    Raises:
        ProfileError: it is damaged or for colours of another space.
    """
    if not _HEADER < len(profile) <= _MAX_BYTES or profile[36:40] != b"acsp":
        raise ProfileError("is damaged")
    of_profile = _SIGNATURES.get(profile[16:20])
    if of_profile == "rgb" and space != "cmyk" and _is_srgb(profile):
        return None
    if of_profile != space:
        other = profile[16:20].decode("ascii", "replace").strip() if of_profile is None else _NAMES[of_profile]
        raise ProfileError(f"is for {other}, not {_NAMES[space]}")

    def convert(samples: Samples) -> Colours:
        return _transform(samples, profile, space, flags=_EXACT if samples.dtype == np.uint16 else 0)

    _transform(np.zeros((1, 1, CHANNELS[space]), np.uint8), profile, space, flags=_EXACT)  # raises now if ever
    return convert


def _transform(samples: Samples, profile: bytes, space: Space, flags: int = 0) -> Colours:
    """Raises ProfileError if littleCMS refuses."""
    values = np.ascontiguousarray(samples[:, :, 0] if space == "gray" else samples)
    try:
        return imagecodecs.cms_transform(
            values,
            profile,
            SRGB,
            colorspace=space,
            outcolorspace="rgb",
            outdtype=np.dtype(np.uint16),
            intent=int(ImageCms.Intent.RELATIVE_COLORIMETRIC),
            flags=int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION) | flags,
        )
    except (RuntimeError, ValueError) as error:
        raise ProfileError("is damaged") from error


def _is_srgb(profile: bytes) -> bool:
    steps = np.linspace(0, 65535, 17).round().astype(np.uint16)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    return bool(np.abs(_transform(cube, profile, "rgb", flags=_EXACT).astype(int) - cube).max() < _DIFFERENCE)
