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
_COMPRESSION, _STRIPS, _ROWS_PER_STRIP, _STRIP_BYTES, _TILES, _TILE_BYTES = 259, 273, 278, 279, 324, 325
_JPEG_TABLES, _INK_SET, _SUBSAMPLING, _FILL_ORDER = 347, 332, 530, 266
_DNG_VERSION: Final = 50706
_STRUCTURE: Final = frozenset(
    {
        *(_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION),
        *(_SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT, _ICC, _DNG_VERSION),
        *(_COMPRESSION, _STRIPS, _ROWS_PER_STRIP, _STRIP_BYTES, _TILES, _TILE_BYTES, _JPEG_TABLES),
        *(_INK_SET, _SUBSAMPLING, _FILL_ORDER),
    }
)
"""Tags that describe how a file is built."""
_STRUCTURE_TYPES: Final = frozenset({BYTE, SHORT, LONG, UNDEFINED, LONG8})
"""Types that these tags may have."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5
_PALETTE, _MASK, _YCBCR, _LAB = 3, 4, 6, 8
COLOURS: Final = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, _PALETTE: 1, _MASK: 1, CMYK: 4, _YCBCR: 3, _LAB: 3}
"""Number of channels with colours, by PhotometricInterpretation."""
MULTIPLIED, _SEPARATE_ALPHA = 1, 2
"""Kinds of alpha in ExtraSamples: the colours are multiplied by it, or not."""
_JPEG: Final = (6, 7)
"""Compressions by JPEG, the old and the new one."""
_MAX_SAMPLES: Final = 8
_MAX_TILE: Final = 1 << 22


@dataclass(frozen=True)
class TiffBlocks:
    """The strips or tiles in which the pixels are stored."""

    compression: int
    """Compression, by its number in TIFF; 1: none."""
    width: int
    """Width of a block in px; a strip is as wide as the picture."""
    height: int
    """Height of a block in px; the last strip may be shorter."""
    is_tiled: bool
    offsets: tuple[int, ...]
    """Offset of each block in bytes."""
    lengths: tuple[int, ...]
    """Stored size of each block in bytes."""
    is_reversed: bool
    """Whether the bits of each byte are in reverse order."""
    jpeg_tables: bytes
    """Tables that all blocks of JPEG data share; empty: none."""


@dataclass(frozen=True)
class TiffHeader:
    """Storage of the first picture of a TIFF file (TIFF 6.0)."""

    width: int
    """Stored width in px, before orientation."""
    height: int
    """Stored height in px, before orientation."""
    bits: int
    """Bits per channel, the same for all channels."""
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
    blocks: TiffBlocks

    @property
    def is_plain(self) -> bool:
        """Whether colours are grey or RGB, in whole bytes."""
        return self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) and self.bits >= 8  # noqa: PLR2004 - bits

    @property
    def colours(self) -> int:
        """Number of channels with colours, which come first; 0: unknown."""
        return COLOURS.get(self.photometric, 0)

    @property
    def alpha_at(self) -> int | None:
        """Place of the channel that is alpha by ExtraSamples.

        If nothing is stated it is the first after the colours; after those of CMYK come spot colours rather than alpha.
        """
        if self.extra is None:
            return self.colours if self.samples > self.colours and self.photometric != CMYK else None
        found = [at for at, kind in enumerate(self.extra, self.colours) if kind in (MULTIPLIED, _SEPARATE_ALPHA)]
        return found[0] if found and found[0] < self.samples else None

    @property
    def unknown_channels(self) -> int:
        """Number of channels that are neither colour nor alpha, such as spot colours."""
        return max(0, self.samples - self.colours - (self.alpha_at is not None)) if self.colours else 0


def read_tiff_header(data: bytes) -> TiffHeader:
    """Read the first directory of a TIFF file.

    Raises:
        DamagedError: the directory cannot be read, or its numbers are impossible.
        UnsupportedError: the file is a camera raw, of which only a preview could be read, or has unusual channels.
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
    if width < 1 or height < 1 or samples < 1 or tile > max(_MAX_TILE, 2 * width * height):
        raise DamagedError("its sizes are impossible")
    if _DNG_VERSION in first or _number(order, first, _SUBFILE, 0) & 1:
        raise UnsupportedError("is a camera raw (or a TIFF that begins with a preview), which is not read.")
    bits = integers(order, first.get(_BITS)) or [1]
    if len(bits) not in (1, samples):
        raise DamagedError(f"it gives two numbers of channels, {samples} and {len(bits)}")
    if samples > _MAX_SAMPLES or len(set(bits)) > 1:
        depths = ", ".join(map(str, sorted(set(bits))))
        raise UnsupportedError(f"has {samples} channels of {depths} bits, which is not read.")
    photometric = _number(order, first, _PHOTOMETRIC, WHITE_IS_ZERO)
    _refuse_unusual_colours(order, first, photometric, samples)
    orientation = _number(order, first, _ORIENTATION, 1)
    return TiffHeader(
        width,
        height,
        bits[0],
        samples,
        photometric,
        orientation if 1 <= orientation <= 8 else 1,  # noqa: PLR2004 - EXIF's
        _number(order, first, _PLANAR, 1) == 2,  # noqa: PLR2004 - separate
        tuple(integers(order, first.get(_EXTRA))) if _EXTRA in first else None,
        first[_ICC].raw if _ICC in first else b"",
        is_integer=set(integers(order, first.get(_FORMAT))) <= {1},
        has_more=_is_page(reader, ifd.next_at),
        has_adobe_rgb=has_adobe_rgb(data),
        blocks=_blocks(order, first, width, height),
    )


def _refuse_unusual_colours(order: Order, first: Directory, photometric: int, samples: int) -> None:
    """Raise an error for colours that a decoder would take for others, or for damage.

    Raises:
        UnsupportedError: the colours are not read.
    """
    if not 0 < COLOURS.get(photometric, 0) <= samples:
        kind = f"PhotometricInterpretation {photometric}, {samples} channels"
        raise UnsupportedError(f"is a TIFF with colours that are not read ({kind}).")
    if photometric == CMYK and _number(order, first, _INK_SET, 1) != 1:
        raise UnsupportedError("is a TIFF of inks other than cyan, magenta, yellow and black, which is not read.")
    is_subsampled = max(integers(order, first.get(_SUBSAMPLING)), default=1) > 1
    if photometric == _YCBCR and is_subsampled and _number(order, first, _COMPRESSION, 1) not in _JPEG:
        raise UnsupportedError("is a TIFF with subsampled colours and no JPEG compression, which is not read.")


def _blocks(order: Order, first: Directory, width: int, height: int) -> TiffBlocks:
    is_tiled = _TILE_WIDTH in first
    return TiffBlocks(
        _number(order, first, _COMPRESSION, 1),
        _number(order, first, _TILE_WIDTH) if is_tiled else width,
        _number(order, first, _TILE_HEIGHT)
        if is_tiled
        else min(_number(order, first, _ROWS_PER_STRIP, height), height),
        is_tiled,
        tuple(integers(order, first.get(_TILES if is_tiled else _STRIPS))),
        tuple(integers(order, first.get(_TILE_BYTES if is_tiled else _STRIP_BYTES))),
        _number(order, first, _FILL_ORDER, 1) != 1,
        first[_JPEG_TABLES].raw if _JPEG_TABLES in first else b"",
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


def as_rgb(data: bytes) -> bytes:
    """Return a TIFF file that calls its channels RGB, whatever they are.

    Raises:
        DamagedError: the first directory does not say what its channels are.
    """
    try:
        return IfdReader(io.BytesIO(data)).with_short(data, _PHOTOMETRIC, RGB)
    except IfdError as error:
        raise DamagedError(str(error)) from error
