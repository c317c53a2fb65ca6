"""Decoding with imagecodecs: PNG and TIFF of more than 8 bits per channel, and TIFFs that Pillow does not know.

Pillow would reduce them to 8 bits. imagecodecs has libpng and libtiff, raises for damaged files, and returns values as
they are stored. OpenCV is unsuitable: it applies orientation to TIFFs, reads grey with alpha in 8 bits, and returns
part of a truncated TIFF with separate channels.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np

from pipeline.images.decoded import Decoded
from pipeline.images.file_errors import DamagedError, UnsupportedError
from pipeline.images.tiff_header import BLACK_IS_ZERO, CMYK, MULTIPLIED, RGB, WHITE_IS_ZERO, as_rgb

if TYPE_CHECKING:
    from pipeline.images.colour.icc import Samples, Space
    from pipeline.images.decoded import Values
    from pipeline.images.tiff_header import TiffHeader

_SPACES: Final[dict[int, Space]] = {WHITE_IS_ZERO: "gray", BLACK_IS_ZERO: "gray", RGB: "rgb", CMYK: "cmyk"}
"""Colour spaces by PhotometricInterpretation."""


def decode_tiff(data: bytes, header: TiffHeader) -> Decoded:
    """Decode the first picture of a TIFF file of 8 or 16 bits per channel: grey, RGB or CMYK.

    Raises:
        DamagedError: the file is truncated or damaged.
        UnsupportedError: the picture has other channels.
    """
    space, colours = _SPACES.get(header.photometric), header.colours
    if space is None or header.bits not in (8, 16) or not header.is_integer:
        depth = f"{header.bits} bit{'s' * (header.bits != 1)} per channel"
        kind = f"PhotometricInterpretation {header.photometric}, {header.samples} channels, {depth}"
        raise UnsupportedError(f"is a TIFF of a kind that is not read ({kind}).")
    height, width, samples = header.height, header.width, header.samples
    is_separate = header.separate and samples > 1
    shape = (samples, height, width) if is_separate else (height, width, samples)[: 3 if samples > 1 else 2]
    # With an array as its output, the decoder cannot return another size or type than was checked. It is filled, since
    # damage that no check finds might leave parts of it as they were.
    values = np.zeros(shape, np.uint8 if header.bits == 8 else np.uint16)  # noqa: PLR2004 - bits
    try:
        # imagecodecs would convert CMYK to RGB of 8 bits.
        imagecodecs.tiff_decode(as_rgb(data) if space == "cmyk" else data, out=values)
    except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
        raise DamagedError(str(error) or "it cannot be decoded") from error
    if is_separate:
        values = np.moveaxis(values, 0, 2)
    channels: Samples = values.reshape(height, width, samples)
    at = header.alpha_at
    alpha: Values | None = None if at is None else channels[:, :, at]
    channels = channels[:, :, :colours]
    if header.photometric == WHITE_IS_ZERO:
        np.subtract(np.iinfo(channels.dtype).max, channels, out=channels)
    if alpha is not None and at is not None and header.extra is not None and header.extra[at - colours] == MULTIPLIED:
        _divide(channels, alpha)
    return Decoded(channels, space, alpha)


def _divide(values: Samples, alpha: Values) -> None:
    """Divide colours by the alpha that they were multiplied by, in place."""
    top = np.iinfo(values.dtype).max
    for row, row_alpha in zip(values, alpha, strict=True):
        row[:] = np.minimum(np.rint(row * np.float64(top) / np.maximum(row_alpha, 1)[:, None]), top)


def decode_png(data: bytes) -> Decoded:
    """Decode a PNG file of 16 bits per channel that has been checked; its gamma (gAMA) is ignored.

    Raises:
        DamagedError: the file is truncated or damaged.
    """
    try:
        values = imagecodecs.png_decode(_needed_chunks(data))
    except (RuntimeError, ValueError, struct.error) as error:
        raise DamagedError(str(error) or "it cannot be decoded") from error
    values = values.reshape(*values.shape[:2], -1)
    colours = 1 if values.shape[2] <= 2 else 3  # noqa: PLR2004 - grey with alpha
    alpha = values[:, :, colours] if values.shape[2] > colours else None
    return Decoded(values[:, :, :colours], "gray" if colours == 1 else "rgb", alpha)


def _needed_chunks(data: bytes) -> bytes:
    """Return header, transparency and pixels: other chunks may inflate without limit, or make libpng write messages."""
    kept: list[bytes | memoryview] = [data[:8]]
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind in (b"IHDR", b"tRNS", b"IDAT", b"IEND"):
            kept.append(memoryview(data)[at:end])
        at = end
    return b"".join(kept)
