"""An image file's bytes, read once: what is hashed is what is decoded."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import MACHINE_ERRNOS, ImageError, IncompleteError, UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class SourceFile:
    """One reading of a file."""

    path: Path
    data: bytes
    sha256: str


def read_file(path: Path) -> SourceFile:
    """Read a regular file once and hash it.

    Raises:
        ImageError: it is no regular file but a link or another thing, or too large, or there is no permission.
        IncompleteError: it is missing.
        UnreadableError: the disk or the network failed.
    """
    try:
        with open(path, "rb", opener=_open_safely) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{path.name}: not a regular file.", "Name an image file.")
            # One byte more than is allowed, as the file may grow meanwhile.
            data = file.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else None
    except OSError as error:
        raise _explained(error, path) from error
    if data is None or len(data) > MAX_BYTES:
        raise ImageError(f"{path.name}: larger than {MAX_BYTES >> 20} MB.", "Reduce the file.")
    return SourceFile(path, data, hashlib.sha256(data).hexdigest())


def _open_safely(path: str, flags: int) -> int:
    """Not following a link, which could be laid in place of a checked file; not waiting for the writer of a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))


def _explained(error: OSError, path: Path) -> ImageError | UnreadableError:
    message = f"{path.name}: cannot be read: {error.strerror}."
    if error.errno in MACHINE_ERRNOS:
        return UnreadableError(message, "Check the disk or the network; then try again.")
    if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK: on FreeBSD
        return ImageError(f"{path.name}: is a symbolic link.", "Name the file itself.")
    remedy = "Check that it is there and readable."
    if isinstance(error, FileNotFoundError):
        return IncompleteError(message, remedy, path)
    return ImageError(message, remedy)
