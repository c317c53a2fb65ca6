"""Storage of the first picture of a TIFF file, by its first directory (TIFF 6.0)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from pipeline.images.file_errors import DamagedError, UnsupportedError
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
from pipeline.images.metadata.tags import has_adobe_rgb

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
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5
COLOURS: Final = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}
"""Number of colours by PhotometricInterpretation."""
_MAX_SAMPLES: Final = 8
_MAX_TILE: Final = 1 << 22


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
    has_adobe_rgb: bool
    """Whether EXIF marks the colours as Adobe RGB."""

    @property
    def is_plain(self) -> bool:
        """Whether colours are grey or RGB, in whole bytes."""
        return self.photometric in COLOURS and self.bits >= 8  # noqa: PLR2004 - bits


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
        _number(order, first, _PHOTOMETRIC, WHITE_IS_ZERO),
        orientation if 1 <= orientation <= 8 else 1,  # noqa: PLR2004 - EXIF's
        _number(order, first, _PLANAR, 1) == 2,  # noqa: PLR2004 - separate
        tuple(integers(order, first.get(_EXTRA))) if _EXTRA in first else None,
        first[_ICC].raw if _ICC in first else b"",
        is_integer=set(integers(order, first.get(_FORMAT))) <= {1},
        has_more=_is_page(reader, ifd.next_at),
        has_adobe_rgb=has_adobe_rgb(data),
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
