"""Whether a WebP file is as long as it says, and has no gaps (RFC 9649). It has no checksums."""

from __future__ import annotations

import struct
from typing import Final

from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.checked import Checked

_HEAD: Final = 12
"""Bytes before the first chunk."""
_FIRST: Final = (b"VP8 ", b"VP8L", b"VP8X")
"""Kinds of the first chunk."""
_LOSSLESS: Final = b"VP8L"
_SECTOR, _TAIL = bytes(512), bytes(64)
"""Zeros within lossless pixels, and at their end, which a failed disk or copy leaves. Lossy pixels may have them."""


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
    at, warnings = _HEAD, []
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        pixels = data[at + 8 : at + 8 + length] if kind == _LOSSLESS else b""
        if _SECTOR in pixels or pixels.endswith(_TAIL):
            warnings.append("may be damaged, look at it: its pixels have many zeros in a row")
        at += 8 + length + length % 2
    if at > end + 1:
        raise DamagedError("one of its chunks is longer than the file says")
    if len(data) > end:
        warnings.append(f"may be damaged, look at it: it has {len(data) - end} bytes after its end")
    return Checked(data, tuple(warnings))
