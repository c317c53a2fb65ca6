"""The size of data that was compressed by Deflate, and whether its end is there (RFC 1950)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from pipeline.images.file_errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable

_AT_ONCE: Final = 1 << 20
"""Bytes that are taken, and that are decompressed, at once."""


def decompressed_size(parts: Iterable[bytes | memoryview], most: int | None = None) -> tuple[int, bool]:
    """Return how many bytes the parts of one stream decompress to, and whether its end, with its checksum, is there.

    Args:
        parts: the stream.
        most: number of bytes after which decompression stops, since there are too many; None: all are decompressed.

    Raises:
        DamagedError: the data, or its checksum, is wrong.
    """
    stream, size = zlib.decompressobj(), 0
    try:
        for part in parts:
            for at in range(0, len(part), _AT_ONCE):  # what is left over is copied each time, so it has to be short
                left = bytes(part[at : at + _AT_ONCE])
                while left and not stream.eof and (most is None or size <= most):
                    size += len(stream.decompress(left, _AT_ONCE))
                    left = stream.unconsumed_tail
    except zlib.error as error:
        raise DamagedError(f"its pixels cannot be decompressed ({error})") from error
    return size, stream.eof
