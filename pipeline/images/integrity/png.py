"""Whether a PNG file is whole: checksums of its chunks and of its compressed pixels (W3C PNG, third edition).

Pillow reads no checksum of the pixels, and ends as soon as it has enough of them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.checked import Checked
from pipeline.images.integrity.deflate import decompressed_size

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGIN: Final = 8
"""Bytes of the signature."""
_END: Final = b"\0\0\0\0IEND\xae\x42\x60\x82"
_NEEDED: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks without which the pixels cannot be decoded as they are meant."""
_KINDS_SHOWN: Final = 5
"""Kinds of damaged chunks that a warning shows; it counts the others."""
_HEADER: Final = 13
"""Bytes in IHDR."""
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Number of channels by colour type."""
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of Adam7: first column, first row, step across, step down."""


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    whole: memoryview
    """Length, kind, content and checksum."""

    @property
    def content(self) -> memoryview:
        return self.whole[8:-4]

    @property
    def is_intact(self) -> bool:
        """Whether the checksum is right."""
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:], "big")


def without_damaged_metadata(data: bytes) -> Checked:
    """Leave out the chunks of a PNG file that are damaged, if its pixels can be decoded as they are meant without them.

    Pillow would refuse the file for those before the pixels, and take those after them as they are.
    """
    chunks = list(_chunks(data))
    harmed = {at: each.kind for at, each in enumerate(chunks) if each.kind not in _NEEDED and not each.is_intact}
    if not harmed:
        return Checked(data)
    after = data[_BEGIN + sum(len(each.whole) for each in chunks) :]
    kept = b"".join([data[:_BEGIN], *(each.whole for at, each in enumerate(chunks) if at not in harmed), after])
    kinds = sorted({kind.decode() for kind in harmed.values()})
    if len(kinds) == 1:
        return Checked(kept, (f"its chunk {kinds[0]} is damaged and was left out",))
    more = f" and {len(kinds) - _KINDS_SHOWN} more kinds" if len(kinds) > _KINDS_SHOWN else ""
    return Checked(kept, (f"its chunks {', '.join(kinds[:_KINDS_SHOWN])}{more} are damaged and were left out",))


def check_png(data: bytes) -> Checked:
    """Check the pixels of a PNG file, and what they depend on.

    Returns:
        The file, with an end marker if it has none.

    Raises:
        TruncatedError: the file ends before its last pixel.
        DamagedError: a chunk that is needed is damaged or in the wrong place.
    """
    chunks = list(_chunks(data))
    for each in chunks:
        if each.kind in _NEEDED and not each.is_intact:
            raise DamagedError(f"the checksum of its chunk {each.kind.decode()} is wrong")
    kinds = [each.kind for each in chunks]
    if kinds[:1] != [b"IHDR"] or len(chunks[0].content) != _HEADER:
        raise DamagedError("its header cannot be read")
    first, count = kinds.index(b"IDAT") if b"IDAT" in kinds else 0, kinds.count(b"IDAT")
    if kinds[first : first + count].count(b"IDAT") != count:
        raise DamagedError("its pixels are in two places")
    is_ended = _check_pixels(bytes(chunks[0].content), [each.content for each in chunks[first : first + count]])
    has_end = kinds[-1] == b"IEND"
    if has_end and is_ended:
        return Checked(data)
    whole = data if has_end else data[: _BEGIN + sum(len(each.whole) for each in chunks)] + _END
    return Checked(whole, ("its end is missing, but all of its pixels were read",))


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks up to IEND, or up to the first bytes that are no complete chunk."""
    view, at, kind = memoryview(data), _BEGIN, b""
    while kind != b"IEND" and at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if not kind.isalpha() or end > len(data):
            return
        yield _Chunk(kind, view[at:end])
        at = end


def _check_pixels(header: bytes, pixels: list[memoryview]) -> bool:
    """Check the compressed pixels.

    Returns:
        Whether their end, with its checksum, is there.

    Raises:
        TruncatedError: pixels are missing.
        DamagedError: header or pixels cannot be read.
    """
    if header[9] not in _CHANNELS:
        raise DamagedError(f"it has the unknown colour type {header[9]}")
    expected = _size(header)
    found, is_ended = decompressed_size(pixels, expected)
    if found > expected:
        raise DamagedError("it has more pixels than its header says")
    if found < expected:
        raise TruncatedError("it ends before its last pixel")
    return is_ended


def _size(header: bytes) -> int:
    """Return the size in bytes of the decompressed pixels, with the filter's byte of each row."""
    width, height, bits, kind, _, _, is_interlaced = struct.unpack(">IIBBBBB", header)
    passes = _PASSES if is_interlaced else ((0, 0, 1, 1),)
    size = 0
    for left, top, across, down in passes:
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * bits * _CHANNELS[kind] + 7) // 8)
    return size
