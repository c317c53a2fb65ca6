"""Opens folders and files without following links, which other people may put in place of folders at any moment."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_LINK_ANYWHERE: Final = getattr(os, "O_NOFOLLOW_ANY", 0)
"""Flag with which macOS follows no link in a whole path, so that folders on the way need not be readable there."""
_FOLDER: Final = _NO_LINK | getattr(os, "O_DIRECTORY", 0)
_PASSAGE: Final = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
"""Flags for a folder on the way; with O_PATH the folder need not be readable."""
_LINK_ERRNOS: Final = frozenset({errno.ELOOP, errno.EMLINK})
"""Errors by which some systems say that a link is in place of a folder; Linux says ENOTDIR."""


def open_passage(root: Path, relative: Path) -> int:
    """Return a descriptor of a folder for use as `dir_fd`. No link below `root` is followed.

    Args:
        root: a folder, whose own path may lead through links.
        relative: path of the folder from there.

    Raises:
        NotADirectoryError: a link or a file is in place of a folder.
        OSError: the folder cannot be opened.
    """
    descriptor = os.open(root, _PASSAGE & ~_NO_LINK)
    for part in relative.parts:
        try:
            inner = _open_folder(part, _PASSAGE, descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def open_folder(root: Path, relative: Path) -> int:
    """Return a descriptor with which a folder can be listed and synced; otherwise like `open_passage`."""
    passage = open_passage(root, relative)
    try:
        return _open_folder(".", _FOLDER, passage)
    finally:
        os.close(passage)


def _open_folder(name: str, flags: int, parent: int) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        if error.errno in _LINK_ERRNOS:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from error
        raise


def open_file(path: str, flags: int) -> int:
    """Open a file by a path in which no link is followed, without waiting for the writer of a FIFO: an `opener`.

    Raises:
        OSError: the file cannot be opened; ENOTDIR or ELOOP if there is a link in the path.
    """
    flags |= getattr(os, "O_NONBLOCK", 0)
    if _NO_LINK_ANYWHERE:
        return os.open(path, flags | _NO_LINK_ANYWHERE)
    flags |= _NO_LINK
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - an opener gets text
    folder_path = Path(folder)
    passage = open_passage(Path(folder_path.anchor), folder_path.relative_to(folder_path.anchor))
    try:
        return os.open(name, flags, dir_fd=passage)
    finally:
        os.close(passage)
