"""Decoding of an image file's bytes to a `Picture`.

Pillow decodes pictures of 8 bits per channel, and imagecodecs pictures of more bits. Colours are converted to sRGB by
the embedded ICC profile. Without a profile they are taken as sRGB, unless EXIF marks them as Adobe RGB according to
DCF 2.0. Colours that a file declares in other ways are not applied, with a warning (`colour.declared`).
"""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import UnidentifiedImageError, features

from pipeline.errors import ImageError, IncompleteError
from pipeline.images.colour.declared import unapplied
from pipeline.images.colour.icc import ADOBE_RGB, ProfileError, converter, without_profile
from pipeline.images.decode_imagecodecs import decode_png, decode_tiff
from pipeline.images.decode_pillow import colour_space, decode_with_pillow, scale_transparency
from pipeline.images.decoded import apply_orientation, to_pixels
from pipeline.images.file_errors import DamagedError, TruncatedError, UnsupportedError
from pipeline.images.files import SourceFile
from pipeline.images.formats import BY_ENDING, DEFAULT_FORMATS, READABLE, detect_format, endings, in_words, refusal
from pipeline.images.header import Header, read_header
from pipeline.images.integrity.check import before_header, check
from pipeline.images.picture import Picture, Pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.images.colour.icc import Colours, Samples, Space
    from pipeline.images.decoded import Decoded
    from pipeline.images.picture import Bits, Plane

__all__ = ["Picture", "Pixels", "SourceFile", "Wanted", "decode", "dimensions"]

Wanted = Callable[[int, int], tuple[int, int]]
"""Maps a picture's (width, height) to the one that it will be resampled to; called before anything is decoded."""

_DETAIL: Final = 2
"""Smallest ratio of decoded to wanted sides. If the ratio allows it, a JPEG is decoded at a half, a fourth or an eighth
of its size, which takes a tenth of the time."""
_DAMAGES: Final = (
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    IndexError,
    EOFError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
)
"""Exceptions that Pillow raises for damaged files; those of impasto's own decoders are ValueErrors."""
_OPTIONAL: Final = {"AVIF": "avif", "JPEG2000": "jpg_2000"}
"""Formats that Pillow may be built without, and the names of its features."""


def unavailable() -> frozenset[str]:
    """Return the names of readable formats that the installed Pillow was built without."""
    return frozenset(name for name, feature in _OPTIONAL.items() if not features.check(feature))


def dimensions(source: SourceFile) -> tuple[int, int] | None:
    """Return (width, height) in px from the header, after EXIF orientation; None if the file is no readable image."""
    found = detect_format(source.data)
    if found not in READABLE:
        return None
    try:
        with _no_warnings:
            header = read_header(before_header(source.data, found).data, found)
    except _DAMAGES:
        return None
    return header.width, header.height


def decode(
    source: SourceFile,
    *,
    max_pixels: int,
    wanted: Wanted | None = None,
    formats: frozenset[str] = DEFAULT_FORMATS,
) -> Picture:
    """Decode an image: upright by its EXIF orientation, in sRGB by its colour profile.

    Args:
        source: the file's bytes.
        max_pixels: larger images are refused by their header, before anything is decoded.
        wanted: returns the size that the picture will be resampled to; its exceptions are passed on.
        formats: names of the formats that are read, a subset of `formats.READABLE`.

    Raises:
        IncompleteError: the file is empty, truncated or damaged.
        ImageError: the format is not read or contradicts the file's name, or the picture is too large.
    """
    name = source.path.name
    found = _accepted_format(source, formats)
    with _no_warnings:
        with _user_errors(source):
            readable = before_header(source.data, found)
            header = read_header(readable.data, found)
        lost = [*readable.warnings]
        width, height = header.width, header.height
        if width * height > max_pixels:
            raise ImageError(
                f"{name}: {width}×{height} is more than image.max_pixels = {max_pixels}.",
                "Reduce the picture or raise the setting.",
            )
        target = wanted(width, height) if wanted is not None else None
        with _user_errors(source):
            checked = check(readable.data, found)
            lost.extend(checked.warnings)
            if checked.data is not readable.data:
                header = read_header(checked.data, found)
            pixels, alpha, bits = _load(header, checked.data, target, lost)
    return Picture(pixels, found, width, height, bits, alpha, header.tags, tuple(f"{name}: {each}" for each in lost))


def _accepted_format(source: SourceFile, formats: frozenset[str]) -> str:
    """Return the name of a file's format by its content.

    Raises:
        IncompleteError: the file is empty or of an unknown format.
        ImageError: the format is not read or contradicts the file's name.
    """
    name = source.path.name
    if not source.data:
        raise IncompleteError(f"{name}: the file is empty (0 bytes).", "Copy it again from its source.", source.path)
    found = detect_format(source.data)
    if not source.data.strip(b"\0"):
        raise IncompleteError(
            f"{name}: all of its {len(source.data)} bytes are zeros, as after a copy or a disk that failed.",
            "Copy it again from its source.",
            source.path,
        )
    if found is None:
        raise IncompleteError(
            f"{name}: its content is not an image that can be read.",
            f"Convert it to {in_words(formats)}; if it is one, it is damaged: copy it again.",
            source.path,
        )
    if found not in formats:
        wrong, remedy = refusal(found, formats)
        raise ImageError(f"{name}: {wrong}", remedy)
    named = BY_ENDING.get(source.path.suffix.lower())
    if named is not None and named.is_readable and named.name != found:
        raise ImageError(
            f"{name}: is named as {named.name} but contains {found}.",
            f"Rename it to {source.path.stem}{endings(frozenset({found}))[0]} if that is the picture you mean.",
        )
    if found in unavailable():
        raise ImageError(
            f"{name}: is {found}, which the installed Pillow cannot decode.", "Install another build of it."
        )
    return found


@contextmanager
def _user_errors(source: SourceFile) -> Iterator[None]:
    """Translate exceptions about damaged or unsupported files into errors that tell a user what to do."""
    name = source.path.name
    remedy = "Copy it again from its source."
    try:
        yield
    except UnsupportedError as error:
        raise ImageError(f"{name}: {error}", "Convert it to PNG or TIFF with 8 or 16 bits, grey or RGB.") from error
    except UnidentifiedImageError as error:
        message = f"{name}: truncated, damaged or of a rare kind: its header cannot be read."
        raise IncompleteError(message, remedy, source.path) from error
    except TruncatedError as error:
        raise IncompleteError(f"{name}: truncated: {error}.", remedy, source.path) from error
    except DamagedError as error:
        raise IncompleteError(f"{name}: damaged: {error}.", remedy, source.path) from error
    except _DAMAGES as error:
        raise IncompleteError(f"{name}: truncated or damaged: {error}.", remedy, source.path) from error


def _load(
    header: Header, data: bytes, target: tuple[int, int] | None, lost: list[str]
) -> tuple[Pixels, Plane | None, Bits]:
    """Return pixels, alpha, and bits per channel; append losses in words to `lost`."""
    if header.has_more:
        lost.append("has further pages or frames; only the first was taken")
    declared = unapplied(data, header.format, header.tags.exif) if not (header.icc or header.has_adobe_rgb) else ""
    if declared:
        lost.append(f"has no colour profile, and {declared} cannot be applied: its colours were taken as sRGB")
    if header.tiff is not None and header.tiff.unknown_channels:
        lost.append(f"has {header.tiff.unknown_channels} further channels, such as spot colours; they were left out")
    if header.needs_imagecodecs:
        decoded, convert, orientation = _load_with_imagecodecs(header, data, lost)
    else:
        decoded, convert, orientation = _load_with_pillow(header, target, lost)
    if header.bits > 8 and decoded.colours.dtype == np.uint8:  # noqa: PLR2004 - bits
        lost.append("more than 8 bits per channel were reduced to 8")
    decoded = apply_orientation(decoded, orientation)
    if (target is None or header.format != "JPEG") and decoded.colours.shape[:2] != (header.height, header.width):
        raise DamagedError("its pixels are not as many as its header says")
    return *to_pixels(decoded, convert), 16 if decoded.colours.dtype == np.uint16 else 8


_Converter = Callable[["Samples"], "Colours"]


def _load_with_imagecodecs(header: Header, data: bytes, lost: list[str]) -> tuple[Decoded, _Converter | None, int]:
    """Return decoded values, their conversion to sRGB, and the orientation that is still to be applied."""
    decoded = decode_tiff(data, header.tiff) if header.tiff is not None else decode_png(data)
    convert = _converter(header, decoded.space, lost)
    if convert is None and decoded.space == "cmyk":
        convert = without_profile
    return decoded, convert, header.orientation


def _load_with_pillow(
    header: Header, target: tuple[int, int] | None, lost: list[str]
) -> tuple[Decoded, _Converter | None, int]:
    """Return decoded values, their conversion to sRGB, and the orientation that is still to be applied."""
    image = header.pillow_image
    space = colour_space(image)
    convert = _converter(header, space, lost)
    if target is not None:
        across, down = (_DETAIL * side for side in target)
        image.draft(image.mode, (down, across) if header.is_transposed else (across, down))
    if header.format == "PNG":
        scale_transparency(image, header.bits)
    decoded, orientation = decode_with_pillow(image, header.orientation, keep_cmyk=convert is not None)
    return decoded, convert, orientation


def _converter(header: Header, space: Space, lost: list[str]) -> _Converter | None:
    """Return the conversion to sRGB; None if the file has no usable profile or needs no conversion."""
    profile = header.icc
    if not profile and space == "rgb" and header.has_adobe_rgb:
        profile = ADOBE_RGB
    otherwise = "its CMYK was converted without one" if space == "cmyk" else "its colours were taken as sRGB"
    if not profile:
        if space == "cmyk":
            lost.append(f"has no colour profile: {otherwise}")
        return None
    try:
        return converter(profile, space)
    except ProfileError as error:
        lost.append(f"its colour profile {error}: {otherwise}")
        return None


class _NoWarnings:
    """Context in which warnings are ignored, for several threads at once.

    All threads share Python's filter of warnings: the first thread that enters replaces it, and the last thread that
    leaves restores it. Pillow's warnings are about oddities of metadata; damaged pixels raise exceptions.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filter = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filter = warnings.catch_warnings()
                self._filter.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filter.__exit__(None, None, None)


_no_warnings = _NoWarnings()
