"""Whether an image file ends as files of its kind do: a hint that its writer is done, without decoding it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def looks_complete(path: Path) -> bool:
    """Whether a JPEG, PNG or WebP file has its end; False for others, and where it cannot be read."""
    try:
        with open(path, "rb", opener=_open_safely) as file:
            return _looks_complete(file)
    except OSError:
        return False


def _open_safely(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))


def _looks_complete(file: BinaryIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 12))
    tail = file.read(12)
    file.seek(0)
    head = file.read(12)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return tail == _PNG_END
    if head.startswith(b"RIFF") and head[8:] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 == size
    if head.startswith(b"\xff\xd8"):
        return tail.endswith(b"\xff\xd9") and _reaches_scan(file)
    return False


def _reaches_scan(file: BinaryIO) -> bool:
    """Whether a JPEG's segments lead to its picture: the end of a thumbnail within them looks like the file's."""
    position = 2
    while True:
        file.seek(position)
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:  # noqa: PLR2004 - marker and length
            return False
        if marker[1] == 0xDA:  # noqa: PLR2004 - start of scan
            return True
        position += 2 + int.from_bytes(marker[2:], "big")
