"""Whether a WebP file is as long as it says, and has no gaps (RFC 9649). It has no checksums."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import imagecodecs

from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.checked import Checked

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = 12
"""Bytes before the first chunk."""
_FIRST: Final = (b"VP8 ", b"VP8L", b"VP8X")
"""Kinds of the first chunk."""
_LOSSLESS: Final = b"VP8L"
_SECTOR, _TAIL = bytes(512), bytes(64)
"""Zeros within lossless pixels, and at their end, which a failed disk or copy leaves. Lossy pixels may have them."""

_SURPLUS: Final = 16
"""Bytes at the end of whole pixels without some of which libwebp cannot decode them; encoders add at most three."""


def check_webp(data: bytes) -> Checked:
    """Check the lengths of a WebP file and of its chunks, and look for zeros in its pixels.

    Raises:
        TruncatedError: the file is shorter than it says.
        DamagedError: it begins with a chunk that is not its picture, or its last chunk is longer than the file.
    """
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data) + 1:  # some programs forget the last byte that makes a length even
        raise TruncatedError(f"{end - len(data)} of its {end} bytes are missing")
    if data[_HEAD : _HEAD + 4] not in _FIRST:
        raise DamagedError("it does not begin with its picture")
    warnings, reached = [], _HEAD
    for kind, at, length in _chunks(data, end):
        pixels = data[at : at + length] if kind == _LOSSLESS else b""
        if _SECTOR in pixels or pixels.endswith(_TAIL):
            warnings.append("may be damaged, look at it: its pixels have many zeros in a row")
        reached = at + length
    if reached > end:
        raise DamagedError("one of its chunks is longer than the file says")
    if len(data) > end:
        warnings.append(f"may be damaged, look at it: it has {len(data) - end} bytes after its end")
    return Checked(data, tuple(warnings))


def check_webp_pixels(data: bytes) -> Checked:
    """Check that no compressed pixels are left over, by decoding the file without the last of them.

    Damaged pixels decode into others, which mostly take fewer bytes or more; libwebp raises an error only for more.
    """
    shortened = _without_last_pixels(data)
    if shortened is None:
        return Checked(data)
    try:
        imagecodecs.webp_decode(shortened)
    except (RuntimeError, ValueError):
        return Checked(data)
    return Checked(data, ("may be damaged, look at it: the last bytes of its compressed pixels are not needed",))


def _without_last_pixels(data: bytes) -> bytes | None:
    """Return a still picture without the last bytes of its pixels; None for an animated or a tiny one."""
    for kind, at, length in _chunks(data, min(len(data), int.from_bytes(data[4:8], "little") + 8)):
        if kind in (b"VP8 ", _LOSSLESS) and length > 2 * _SURPLUS:
            kept = length - _SURPLUS
            chunk = kind + struct.pack("<I", kept) + data[at : at + kept] + bytes(kept % 2)
            body = b"WEBP" + data[_HEAD : at - 8] + chunk
            return b"RIFF" + struct.pack("<I", len(body)) + body
    return None


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk, the offset of its content in bytes, and the length of that."""
    at = _HEAD
    while at + 8 <= min(end, len(data)):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, length
        at += 8 + length + length % 2
