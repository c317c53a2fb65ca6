"""Colour profiles (ICC.1): the conversion of other colour spaces to sRGB.

littleCMS converts relative to the white point (intent "relative colorimetric"), so that white paper becomes white and
colours within sRGB are kept; and with black point compensation, so that a printer's darkest ink becomes black, not dark
grey, and colours darker than sRGB's black are not cut off. Photographers' programs convert in the same way. The result
has 16 bits, even from 8: rounding to 8 would show as steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import imagecodecs
import numpy as np
from PIL import ImageCms

if TYPE_CHECKING:
    from collections.abc import Callable

Samples = np.ndarray[tuple[int, int, int], np.dtype[np.uint8] | np.dtype[np.uint16]]
"""Values as a file holds them, (H, W, C), in the full range of their type; in CMYK the top value is full ink."""

Colours = np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]
"""Colours in sRGB, (H, W, 3) uint16, 0–65535."""

Space = Literal["gray", "rgb", "cmyk"]
"""Colour space of a file, by littleCMS's name."""
CHANNELS: Final[dict[Space, int]] = {"gray": 1, "rgb": 3, "cmyk": 4}
"""Number of channels by colour space."""

_SIGNATURES: Final[dict[bytes, Space]] = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}
_NAMES: Final[dict[Space, str]] = {"gray": "grey", "rgb": "RGB", "cmyk": "CMYK"}
_HEADER, _MAX_BYTES = 128, 1 << 25
_DATE = slice(24, 36)
_CREATED: Final = bytes.fromhex("07ea 0001 0001 0000 0000 0000")
"""Creation date of the sRGB profile, 2026-01-01 00:00:00: a result must not depend on the day it is made."""
_EXACT: Final = int(imagecodecs.CMS.FLAGS.NOOPTIMIZE)
"""Flag that turns off littleCMS's precomputed tables. They take longer than converting a few colours, and in 16 bits
they are off by up to 12 levels of 255 where a channel comes near 0."""
_DIFFERENCE: Final = 128
"""Difference in levels of 65535, half a level of 8 bits, below which a profile counts as sRGB."""


class ProfileError(ValueError):
    """A profile is damaged or for another colour space; the message continues "its colour profile"."""


def _srgb() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = _CREATED
    return bytes(profile)


SRGB: Final = _srgb()
"""Profile of sRGB (IEC 61966-2-1); its bytes depend only on the version of littleCMS."""


def _adobe_rgb() -> bytes:
    """Make a profile as Adobe RGB (1998), version 2005-05, section 4.3 says: white point D65, exponent 563 / 256."""
    primaries = [0.64, 0.33, 1.0, 0.21, 0.71, 1.0, 0.15, 0.06, 1.0]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.3290, 1.0], primaries=primaries, gamma=563 / 256))


ADOBE_RGB: Final = _adobe_rgb()
"""Profile of Adobe RGB (1998), for files that name this colour space only in their EXIF."""


def converter(profile: bytes, space: Space) -> Callable[[Samples], Colours] | None:
    """Return the conversion of colours with a profile to sRGB; None if they are sRGB already.

    Raises:
        ProfileError: the profile is damaged or for another colour space.
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

    # A profile that littleCMS refuses raises here, before it is used on a picture.
    _transform(np.zeros((1, 1, CHANNELS[space]), np.uint8), profile, space, flags=_EXACT)
    return convert


def without_profile(inks: Samples) -> Colours:
    """Convert CMYK to RGB by the plain formula that Pillow uses: each ink takes its share of the paper's white."""
    top = np.float32(np.iinfo(inks.dtype).max)
    light = 1 - inks / top
    colours: Colours = np.rint(light[:, :, :3] * light[:, :, 3:] * 65535).astype(np.uint16)
    return colours


def _transform(samples: Samples, profile: bytes, space: Space, flags: int = 0) -> Colours:
    """Convert colours to sRGB.

    Raises:
        ProfileError: littleCMS refuses the profile.
    """
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
    """Whether a profile converts a grid of 17 × 17 × 17 colours to themselves."""
    steps = np.linspace(0, 65535, 17).round().astype(np.uint16)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    return bool(np.abs(_transform(cube, profile, "rgb", flags=_EXACT).astype(int) - cube).max() < _DIFFERENCE)
