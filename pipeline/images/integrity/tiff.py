"""Whether a TIFF file is whole: its strips or tiles, and the checksums within them (TIFF 6.0).

libtiff reads no checksum, and leaves memory as it was where a block decompresses to more than it should.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import imagecodecs

from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.checked import Checked
from pipeline.images.integrity.deflate import decompressed_size
from pipeline.images.integrity.jpeg import jpeg_damage
from pipeline.images.tiff_header import TiffBlocks, read_tiff_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.images.tiff_header import TiffHeader

_NONE, _JPEG = 1, 7
_DEFLATE: Final = (8, 32946)
_WITHOUT_CHECKSUM: Final[dict[int, Callable[..., bytes | bytearray]]] = {
    5: imagecodecs.lzw_decode,
    32773: imagecodecs.packbits_decode,
}
"""Decoders of compressions that show damage by the size alone, by their numbers in TIFF."""
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse order."""
_MOST_DECODED, _MOST_SURPLUS = 1 << 26, 1 << 12
"""Bytes of the largest block that is decompressed for that, and of what is looked for after its pixels."""
_YCBCR: Final = 6
_LEAST_MAX_PIXELS: Final = 1 << 22
"""Pixels that the JPEG data of any strip or tile may claim: some programs make the last strip too high."""


def check_tiff(data: bytes) -> Checked:
    """Check the strips or tiles of the first picture of a TIFF file.

    Raises:
        TruncatedError: a block lies beyond the end of the file.
        DamagedError: blocks are missing, overlap, or do not decompress to their pixels.
        UnsupportedError: the file is not read.
    """
    header = read_tiff_header(data)
    blocks = header.blocks
    count = _count(header)
    if not blocks.offsets or len(blocks.offsets) != count:
        raise DamagedError(f"it has {len(blocks.offsets)} strips or tiles instead of {count}")
    expected = _sizes(header)
    lengths = _lengths(header, expected, len(data))
    max_pixels = max(_LEAST_MAX_PIXELS, 2 * blocks.width * blocks.height)
    places = sorted(set(zip(blocks.offsets, lengths, strict=True)))
    if any(at + length > len(data) for at, length in places):
        raise TruncatedError("some of its pixels lie beyond its end")
    if any(at + length > following for (at, length), (following, _) in pairwise(places)):
        raise DamagedError("its strips or tiles overlap")
    surplus = 0
    for at, length, size in zip(blocks.offsets, lengths, expected, strict=True):
        block = memoryview(data)[at : at + length]
        if blocks.is_reversed and blocks.compression in (*_DEFLATE, *_WITHOUT_CHECKSUM):
            block = memoryview(bytes(block).translate(_REVERSED))
        if blocks.compression in _DEFLATE:
            _check_deflate(block, size if header.photometric != _YCBCR else None)
        elif blocks.compression == _JPEG and (said := jpeg_damage(_jpeg(bytes(block), blocks), max_pixels)):
            raise DamagedError(said)
        elif blocks.compression in _WITHOUT_CHECKSUM and header.photometric != _YCBCR:
            surplus += _surplus(bytes(block), size, _WITHOUT_CHECKSUM[blocks.compression])
    if surplus:
        return Checked(data, (f"may be damaged, look at it: {surplus} bytes more than its pixels were compressed",))
    return Checked(data)


def _surplus(block: bytes, size: int, decode: Callable[..., bytes | bytearray]) -> int:
    """Return by how many bytes a block decompresses to more than it should, which libtiff does not notice.

    Where it does not decompress, or to less, 0 is returned, and libtiff raises an error.
    """
    if size > _MOST_DECODED:
        return 0
    try:
        return max(0, len(decode(block, out=bytearray(size + _MOST_SURPLUS))) - size)
    except (RuntimeError, ValueError):
        return 0


def _count(header: TiffHeader) -> int:
    """Return the number of strips or tiles."""
    blocks = header.blocks
    if blocks.width < 1 or blocks.height < 1:
        raise DamagedError("its strips or tiles have no size")
    across = -(-header.width // blocks.width) if blocks.is_tiled else 1
    return across * -(-header.height // blocks.height) * (header.samples if header.separate else 1)


def _sizes(header: TiffHeader) -> list[int]:
    """Return the size in bytes of each block when it is decompressed, in the order of the file's tables."""
    blocks = header.blocks
    planes = header.samples if header.separate else 1
    row = (blocks.width * header.bits * (header.samples // planes) + 7) // 8
    if blocks.is_tiled:
        return [row * blocks.height] * _count(header)
    rows = [min(blocks.height, header.height - top) for top in range(0, header.height, blocks.height)]
    return [row * each for each in rows] * planes


def _lengths(header: TiffHeader, expected: list[int], end: int) -> list[int]:
    """Return the stored size of each block in bytes. Old programs left it out, or wrong, if nothing is compressed."""
    blocks = header.blocks
    if blocks.compression == _NONE and header.photometric != _YCBCR:
        return expected
    if len(blocks.lengths) == len(expected):
        if not all(blocks.lengths):
            raise DamagedError("some of its strips or tiles are empty")
        return list(blocks.lengths)
    if len(expected) == 1:
        return [max(0, end - blocks.offsets[0])]
    raise DamagedError("the sizes of its strips or tiles are missing")


def _check_deflate(block: memoryview, size: int | None) -> None:
    """Check a block's compressed data with its checksum, and the number of bytes in it, if that is known."""
    found, is_ended = decompressed_size([block], size)
    if size is not None and found > size:
        raise DamagedError("a strip or tile holds more pixels than it should")
    if not is_ended or (size is not None and found < size):
        raise TruncatedError("a strip or tile ends before its last pixel")


def _jpeg(block: bytes, blocks: TiffBlocks) -> bytes:
    """Return a block of JPEG data with the tables that it shares with others."""
    return blocks.jpeg_tables[:-2] + block[2:] if blocks.jpeg_tables else block
