"""Decoding with imagecodecs: PNG and TIFF of more than 8 bits per channel, and TIFFs that Pillow does not know.

Pillow would reduce them to 8 bits. imagecodecs has libpng and libtiff, raises for damaged files, and returns values as
they are stored. OpenCV is unsuitable: it applies orientation to TIFFs, reads grey with alpha in 8 bits, and returns
part of a truncated TIFF with separate channels.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from pipeline.images.decoded import Decoded
from pipeline.images.file_errors import DamagedError, UnsupportedError
from pipeline.images.tiff_header import COLOURS, WHITE_IS_ZERO

if TYPE_CHECKING:
    from pipeline.images.colour.icc import Samples
    from pipeline.images.decoded import Values
    from pipeline.images.tiff_header import TiffHeader

_MULTIPLIED, _SEPARATE_ALPHA = 1, 2


def decode_tiff(data: bytes, header: TiffHeader) -> Decoded:
    """Decode the first picture of a TIFF file of 8 or 16 bits per channel, grey or RGB.

    Raises:
        DamagedError: the file is truncated or damaged.
        UnsupportedError: the picture has other channels.
    """
    if header.bits not in (8, 16) or not header.is_integer:
        raise UnsupportedError(f"has {header.bits} bits per channel.")
    colours = COLOURS.get(header.photometric, 0)
    if not 0 < colours <= header.samples:
        kind = f"PhotometricInterpretation {header.photometric}, {header.samples} channels"
        raise UnsupportedError(f"is a TIFF with colours that are not read ({kind}).")
    height, width, samples = header.height, header.width, header.samples
    is_separate = header.separate and samples > 1
    shape = (samples, height, width) if is_separate else (height, width, samples)[: 3 if samples > 1 else 2]
    # With an array as its output, the decoder cannot return another size or type than was checked.
    values = np.empty(shape, np.uint8 if header.bits == 8 else np.uint16)  # noqa: PLR2004 - bits
    try:
        imagecodecs.tiff_decode(data, out=values)
    except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
        raise DamagedError(str(error) or "it cannot be decoded") from error
    if is_separate:
        values = np.moveaxis(values, 0, 2)
    channels: Samples = values.reshape(height, width, samples)
    alpha = _alpha_of(channels, colours, header.extra)
    channels = channels[:, :, :colours]
    if header.photometric == WHITE_IS_ZERO:
        np.subtract(np.iinfo(channels.dtype).max, channels, out=channels)
    if alpha is not None and header.extra is not None and header.extra[0] == _MULTIPLIED:
        _divide(channels, alpha)
    return Decoded(channels, "gray" if colours == 1 else "rgb", alpha)


def _alpha_of(values: Samples, colours: int, extra: tuple[int, ...] | None) -> Values | None:
    """Return the channel after the colours if the file states that it is alpha, or states nothing about it."""
    if values.shape[2] == colours or (extra is not None and extra[:1] not in ((_MULTIPLIED,), (_SEPARATE_ALPHA,))):
        return None
    return values[:, :, colours]


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
