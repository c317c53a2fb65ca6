"""Bytes of an image file to a `Picture`."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from pipeline.errors import MACHINE_ERRNOS, ImageError, IncompleteError, UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""(H, W, 3) float32, sRGB, 0–255, not rounded."""

Wanted = Callable[[int, int], tuple[int, int]]
"""From a picture's (width, height) to those that it will be brought to; called before anything is decoded."""

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""The formats that are read, by file name ending."""

MAX_BYTES = 1 << 30

_DETAIL = 2
"""A JPEG is decoded at a half, a fourth or an eighth of its size, which takes a tenth of the time, if that leaves so
many times the sides that are wanted."""

# Our own limit on pixels is checked before decoding, by a setting; Pillow's would only add a second, fixed one.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class SourceFile:
    """One reading of a file: what is hashed is what is decoded."""

    path: Path
    data: bytes
    sha256: str


@dataclass(frozen=True)
class Picture:
    """A decoded image."""

    pixels: Pixels
    """Fewer than the file has if fewer were wanted."""
    format: str
    """`JPEG`, `PNG`, `WEBP` or `TIFF`, by content."""
    width: int
    """Of the file, in px, after EXIF orientation."""
    height: int
    """Of the file, in px, after EXIF orientation."""
    warnings: tuple[str, ...] = ()
    """What was lost on the way, in words."""


def read_file(path: Path) -> SourceFile:
    """Read a regular file once and hash it.

    Raises:
        ImageError: it is no regular file, or too large, or there is no permission.
        IncompleteError: it is missing.
        UnreadableError: the disk or the network failed.
    """
    try:
        # Not blocking, so that a FIFO is refused below instead of waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{path.name}: not a regular file.", "Name an image file.")
            if status.st_size > MAX_BYTES:
                raise ImageError(f"{path.name}: larger than {MAX_BYTES >> 20} MB.", "Reduce the file.")
            data = file.read()
    except OSError as error:
        message = f"{path.name}: cannot be read: {error.strerror}."
        if error.errno in MACHINE_ERRNOS:
            raise UnreadableError(message, "Check the disk or the network; then try again.") from error
        remedy = "Check that it is there and readable."
        if isinstance(error, FileNotFoundError):
            raise IncompleteError(message, remedy, path) from error
        raise ImageError(message, remedy) from error
    return SourceFile(path, data, hashlib.sha256(data).hexdigest())


def dimensions(source: SourceFile) -> tuple[int, int] | None:
    """(width, height) in px by the header, after EXIF orientation; None if it is no image."""
    try:
        with _no_warnings, Image.open(io.BytesIO(source.data), formats=sorted(set(FORMATS.values()))) as image:
            return _upright_size(image)
    except (OSError, ValueError, SyntaxError, struct.error, IndexError, EOFError):  # what Pillow raises
        return None


def _upright_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.size  # Pillow turns it by itself
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5  # noqa: PLR2004 - from there on width is height
    return (image.height, image.width) if turned else image.size


def decode(source: SourceFile, *, max_pixels: int, wanted: Wanted | None = None) -> Picture:
    """Decode an image, with its EXIF orientation applied.

    Args:
        source: the file's bytes.
        max_pixels: larger images are refused by their header, before anything is decoded.
        wanted: what it will be brought to, if that is smaller; what this raises is passed on.

    Raises:
        IncompleteError: empty, truncated or damaged.
        ImageError: of another kind than its name says, or too large.
    """
    name = source.path.name
    if not source.data:
        raise IncompleteError(f"{name}: the file is empty (0 bytes).", "Copy it again from its source.", source.path)
    try:
        with _no_warnings, Image.open(io.BytesIO(source.data), formats=sorted(set(FORMATS.values()))) as image:
            return _decode_opened(image, source, max_pixels, wanted)
    except UnidentifiedImageError as error:
        raise IncompleteError(
            f"{name}: its content is not an image that can be read.",
            "Convert it to JPEG, PNG, WebP or TIFF; if it is one, it is damaged: copy it again.",
            source.path,
        ) from error
    except (OSError, ValueError, SyntaxError, struct.error, IndexError, EOFError) as error:  # what Pillow raises
        raise IncompleteError(
            f"{name}: truncated or damaged: {error}.", "Copy it again from its source.", source.path
        ) from error


def _decode_opened(image: Image.Image, source: SourceFile, max_pixels: int, wanted: Wanted | None) -> Picture:
    name = source.path.name
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with further pictures behind it
    named = FORMATS.get(source.path.suffix.lower())
    if named not in (None, kind):
        raise ImageError(
            f"{name}: is named as {named} but contains {kind}.",
            f"Rename it to {source.path.stem}.{kind.lower()} if that is the picture you mean.",
        )
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{name}: {image.width}×{image.height} is more than image.max_pixels = {max_pixels}.",
            "Reduce the picture or raise the setting.",
        )
    width, height = _upright_size(image)
    if wanted is not None:
        across, down = (_DETAIL * side for side in wanted(width, height))
        image.draft(image.mode, (across, down) if (width, height) == image.size else (down, across))
    image.load()
    lost = []
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: has 32 bits per channel.", "Convert it to 8 or 16 bits.")
    if _is_deep(image, source.data):
        lost.append(f"{name}: more than 8 bits per channel were reduced to 8")
    image = ImageOps.exif_transpose(image)  # first: what follows forgets EXIF
    if image.mode.startswith("I;16"):  # Pillow would clip it to 255; colour images it reduces by itself
        image = Image.fromarray(np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        lost.append(f"{name}: transparency was laid over white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    if image.info.get("icc_profile"):
        lost.append(f"{name}: its colour profile was not applied; the colours were taken as sRGB")
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return Picture(pixels, kind, width, height, tuple(lost))


class _NoWarnings:
    """Python's filter of warnings is one for all threads: the last that leaves restores what the first found.

    Pillow's are about oddities of metadata; damaged pixels raise.
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


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """More than 8 bits per channel, which Pillow's mode does not tell for colour images."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        return data[24] > 8  # noqa: PLR2004 - IHDR's bit depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) > 8)  # noqa: PLR2004
    return False
