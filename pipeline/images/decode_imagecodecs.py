"""Decoding with imagecodecs: PNG and TIFF of more than 8 bits per channel, and TIFFs that Pillow does not know.

Pillow would reduce them to 8 bits. imagecodecs has libpng and libtiff, raises for damaged files, and returns values as
they are stored. OpenCV is unsuitable: it applies orientation to TIFFs, reads grey with alpha in 8 bits, and returns
part of a truncated TIFF with separate channels.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np

from pipeline.images.decoded import Decoded
from pipeline.images.metadata.ifd import (
    BYTE,
    LONG,
    LONG8,
    SHORT,
    UNDEFINED,
    Directory,
    IfdError,
    IfdReader,
    Order,
    integers,
)

if TYPE_CHECKING:
    from pipeline.images.colour.icc import Samples
    from pipeline.images.decoded import Values

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT, _ICC = 277, 284, 322, 323, 338, 339, 34675
_DNG_VERSION: Final = 50706
_STRUCTURE: Final = frozenset(
    {
        *(_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION),
        *(_SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT, _ICC, _DNG_VERSION),
    }
)
"""Tags that describe how a file is built."""
_STRUCTURE_TYPES: Final = frozenset({BYTE, SHORT, LONG, UNDEFINED, LONG8})
"""Types that these tags may have."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, CMYK = 0, 1, 2, 5
_COLOURS: Final = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}
_MULTIPLIED, _SEPARATE_ALPHA = 1, 2
_MAX_SAMPLES: Final = 8
_MAX_TILE: Final = 1 << 22


class DamagedError(ValueError):
    """The file is truncated or damaged."""


class UnsupportedError(ValueError):
    """The file may be whole but is of a kind that is not read; the message continues the file's name."""


@dataclass(frozen=True)
class TiffHeader:
    """Storage of the first picture of a TIFF file (TIFF 6.0)."""

    width: int
    """Stored width in px, before orientation."""
    height: int
    """Stored height in px, before orientation."""
    bits: int
    """Bits per channel; where channels differ, the largest number."""
    samples: int
    """Number of channels."""
    photometric: int
    """PhotometricInterpretation."""
    orientation: int
    """EXIF's orientation, 1–8."""
    separate: bool
    """Whether each channel is stored separately (PlanarConfiguration 2)."""
    extra: tuple[int, ...] | None
    """ExtraSamples: the kinds of the channels after the colours; None: not stated."""
    icc: bytes
    """ICC profile; empty: none."""
    is_integer: bool
    """Whether values are unsigned integers."""
    has_more: bool
    """Whether further pages follow."""

    @property
    def is_plain(self) -> bool:
        """Whether colours are grey or RGB, in whole bytes."""
        return self.photometric in _COLOURS and self.bits >= 8  # noqa: PLR2004 - bits


def read_tiff_header(data: bytes) -> TiffHeader:
    """Read the first directory of a TIFF file.

    Raises:
        DamagedError: the directory cannot be read, or its numbers are impossible.
        UnsupportedError: the file is a camera raw; only its preview could be read.
    """
    try:
        reader = IfdReader(io.BytesIO(data), is_wanted=lambda tag, kind: tag in _STRUCTURE and kind in _STRUCTURE_TYPES)
        ifd = reader.directory(reader.first)
    except IfdError as error:
        raise DamagedError(str(error)) from error
    if ifd.next_at is None:
        raise DamagedError("its directory lies beyond its end")
    first, order = ifd.entries, reader.order
    width, height = (_number(order, first, tag) for tag in (_WIDTH, _HEIGHT))
    samples = _number(order, first, _SAMPLES, 1)
    tile = _number(order, first, _TILE_WIDTH, 1) * _number(order, first, _TILE_HEIGHT, 1)
    if width < 1 or height < 1 or not 1 <= samples <= _MAX_SAMPLES or tile > max(_MAX_TILE, 2 * width * height):
        raise DamagedError("its sizes are impossible")
    if _DNG_VERSION in first or _number(order, first, _SUBFILE, 0) & 1:
        raise UnsupportedError("is a camera raw (or a TIFF that begins with a preview), which is not read.")
    orientation = _number(order, first, _ORIENTATION, 1)
    return TiffHeader(
        width,
        height,
        max(integers(order, first.get(_BITS)) or [1]),
        samples,
        _number(order, first, _PHOTOMETRIC, _WHITE_IS_ZERO),
        orientation if 1 <= orientation <= 8 else 1,  # noqa: PLR2004 - EXIF's
        _number(order, first, _PLANAR, 1) == 2,  # noqa: PLR2004 - separate
        tuple(integers(order, first.get(_EXTRA))) if _EXTRA in first else None,
        first[_ICC].raw if _ICC in first else b"",
        is_integer=set(integers(order, first.get(_FORMAT))) <= {1},
        has_more=_is_page(reader, ifd.next_at),
    )


def _number(order: Order, directory: Directory, tag: int, default: int = 0) -> int:
    """Return the first value of an entry."""
    return (integers(order, directory.get(tag)) or [default])[0]


def _is_page(reader: IfdReader, at: int) -> bool:
    """Whether the directory at an offset is a picture of its own, not a smaller version or the mask of another."""
    try:
        ifd = reader.directory(at) if at else None
    except IfdError:
        return False
    if ifd is None or ifd.next_at is None:
        return False
    return _WIDTH in ifd.entries and not _number(reader.order, ifd.entries, _SUBFILE) & 0b101


def decode_tiff(data: bytes, header: TiffHeader) -> Decoded:
    """Decode the first picture of a TIFF file of 8 or 16 bits per channel, grey or RGB.

    Raises:
        DamagedError: the file is truncated or damaged.
        UnsupportedError: the picture has other channels.
    """
    if header.bits not in (8, 16) or not header.is_integer:
        raise UnsupportedError(f"has {header.bits} bits per channel.")
    colours = _COLOURS.get(header.photometric, 0)
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
    if header.photometric == _WHITE_IS_ZERO:
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
    """Decode a PNG file of 16 bits per channel; its gamma (gAMA) is ignored.

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
            chunk = memoryview(data)[at:end]
            if len(chunk) < 12 + length or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise DamagedError(f"its chunk {kind.decode()} is damaged")
            kept.append(chunk)
        at = end
    return b"".join(kept)
