"""Image files as bytes, read once, so that the bytes that are hashed are those that are decoded."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from pipeline.errors import MACHINE_ERRNOS, ImageError, IncompleteError, UnreadableError
from pipeline.system.no_links import open_file
from pipeline.system.remedies import remedy_of

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 30
"""Size in bytes of the largest file that is read."""


@dataclass(frozen=True)
class SourceFile:
    """The content of a file, read once."""

    path: Path
    data: bytes
    sha256: str
    """SHA-256 of the content, 64 hexadecimal digits."""


def read_file(path: Path) -> SourceFile:
    """Read a regular file once and hash it.

    Args:
        path: the file, in whose path no link is followed: what was checked could have been replaced by one.

    Raises:
        ImageError: the file is no regular file, is a link, is too large, or may not be read.
        IncompleteError: the file is missing.
        UnreadableError: the disk or the network failed.
    """
    try:
        with open(path, "rb", opener=open_file) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{path.name}: not a regular file.", "Name an image file.")
            # One byte more than is allowed, since the file may grow meanwhile.
            data = file.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else None
    except OSError as error:
        raise _user_error(error, path) from error
    if data is None or len(data) > MAX_BYTES:
        raise ImageError(f"{path.name}: larger than {MAX_BYTES >> 20} MB.", "Reduce the file.")
    return SourceFile(path, data, hashlib.sha256(data).hexdigest())


def _user_error(error: OSError, path: Path) -> ImageError | UnreadableError:
    """Return the error that tells a user what to do."""
    message = f"{path.name}: cannot be read: {error.strerror}."
    if error.errno in MACHINE_ERRNOS:
        return UnreadableError(message, f"{remedy_of(error)}; then try again.", path)
    if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK: on FreeBSD
        return ImageError(f"{path.name}: is a symbolic link.", "Name the file itself.")
    if isinstance(error, FileNotFoundError | NotADirectoryError):  # the latter if a link replaced one of its folders
        return IncompleteError(message, "Check that it is there.", path)
    return ImageError(message, f"{remedy_of(error)}.")


_MOST_SEGMENTS: Final = 1000
"""Largest number of segments before the scan that are followed in a JPEG; a colour profile has up to 255."""
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def looks_complete(path: Path) -> bool:
    """Whether a JPEG, PNG or WebP file ends as its format says; False for other files and unreadable ones."""
    try:
        with open(path, "rb", opener=open_file) as file:
            return _looks_complete(file)
    except OSError:
        return False


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
    """Whether a JPEG's segments lead to its scan; a file that is cut inside a thumbnail may end like a whole JPEG.

    A file of more segments than any camera or program writes counts as incomplete, since it could have millions.
    """
    position = 2
    for _ in range(_MOST_SEGMENTS):
        file.seek(position)
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:  # noqa: PLR2004 - marker and length
            return False
        if marker[1] == 0xDA:  # noqa: PLR2004 - start of scan
            return True
        position += 2 + int.from_bytes(marker[2:], "big")
    return False
