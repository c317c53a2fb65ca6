"""Bytes of an image file to a `Picture`."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from pipeline.errors import MACHINE_ERRNOS, ImageError, IncompleteError, UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""(H, W, 3) float32, sRGB, 0–255, not rounded."""

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
    format: str
    """`JPEG`, `PNG`, `WEBP` or `TIFF`, by content."""
    warnings: tuple[str, ...] = ()
    """What was lost on the way, in words."""

    @property
    def width(self) -> int:
        """In px, after EXIF orientation."""
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        """In px, after EXIF orientation."""
        return self.pixels.shape[0]


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


def decode(source: SourceFile, *, max_pixels: int) -> Picture:
    """Decode an image, with its EXIF orientation applied.

    Args:
        source: the file's bytes.
        max_pixels: larger images are refused by their header, before anything is decoded.

    Raises:
        IncompleteError: empty, truncated or damaged.
        ImageError: of another kind than its name says, or too large.
    """
    name = source.path.name
    if not source.data:
        raise IncompleteError(f"{name}: the file is empty (0 bytes).", "Copy it again from its source.", source.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata oddities; damaged pixels raise
            with Image.open(io.BytesIO(source.data), formats=sorted(set(FORMATS.values()))) as image:
                return _decode_opened(image, source, max_pixels)
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


def _decode_opened(image: Image.Image, source: SourceFile, max_pixels: int) -> Picture:
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
    image.load()
    lost = []
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: has 32 bits per channel.", "Convert it to 8 or 16 bits.")
    if _is_deep(image, source.data):
        lost.append(f"{name}: more than 8 bits per channel were reduced to 8")
    if image.mode.startswith("I;16"):  # Pillow would clip it to 255; colour images it reduces by itself
        image = Image.fromarray(np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        lost.append(f"{name}: transparency was laid over white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    if image.info.get("icc_profile"):
        lost.append(f"{name}: its colour profile was not applied; the colours were taken as sRGB")
    upright = ImageOps.exif_transpose(image).convert("RGB")
    return Picture(np.asarray(upright, dtype=np.float32), kind, tuple(lost))


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """More than 8 bits per channel, which Pillow's mode does not tell for colour images."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        return data[24] > 8  # noqa: PLR2004 - IHDR's bit depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) > 8)  # noqa: PLR2004
    return False
