"""Whether a WebP file is as long as it says (RFC 9649). It has no checksums."""

from __future__ import annotations

import struct
from typing import Final

from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.checked import Checked

_HEAD: Final = 12
"""Bytes before the first chunk."""
_PIXELS: Final = (b"VP8 ", b"VP8L", b"VP8X")


def check_webp(data: bytes) -> Checked:
    """Check the lengths of a WebP file and of its chunks.

    Raises:
        TruncatedError: the file is shorter than it says.
        DamagedError: it begins with a chunk that is not its picture, or its last chunk is longer than the file.
    """
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data) + 1:  # some programs forget the last byte that makes a length even
        raise TruncatedError(f"{end - len(data)} of its {end} bytes are missing")
    if data[_HEAD : _HEAD + 4] not in _PIXELS:
        raise DamagedError("it does not begin with its picture")
    at = _HEAD
    while at + 8 <= end:
        _, length = struct.unpack_from("<4sI", data, at)
        at += 8 + length + length % 2
    if at > end + 1:
        raise DamagedError("one of its chunks is longer than the file says")
    if len(data) <= end:
        return Checked(data)
    return Checked(data, (f"may be damaged, look at it: it has {len(data) - end} bytes after its end",))
