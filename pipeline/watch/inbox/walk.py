"""Reading the status of files in the inbox."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk

MAX_DEPTH: Final = 32
"""Largest number of folders, one in another, in which files of the inbox are looked for."""


def status_of(disk: Disk, path: Path) -> os.stat_result | None:
    """Return the status of a file, links not followed; None if there is no such file.

    Raises:
        OSError: the status cannot be read.
    """
    try:
        return disk.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def walk_folders(
    disk: Disk, root: Path, *, is_excluded: Callable[[str], bool]
) -> Iterator[tuple[str, dict[str, os.stat_result | OSError] | OSError]]:
    """Yield all folders of the inbox, each with the status of what is in it. Links are not followed.

    A folder is named by its path in the inbox: empty for the inbox, or ending in `/`. A folder that cannot be read, or
    that lies too deep, is yielded with the error in place of its content; one that was removed meanwhile is left out.

    Args:
        disk: lists the folders.
        root: the inbox.
        is_excluded: whether to leave out a file, or a folder with all that is in it, by its path in the inbox.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    waiting = [""]  # no recursion: anybody can nest folders a thousand deep
    while waiting:
        folder = waiting.pop()
        if folder.count("/") > MAX_DEPTH:
            yield folder, OSError(errno.ENAMETOOLONG, f"folders are read only {MAX_DEPTH} deep")
            continue
        try:
            found = disk.statuses(root / folder)
        except OSError as error:
            if not folder:
                raise
            if not isinstance(error, FileNotFoundError | NotADirectoryError):  # removed or replaced since
                yield folder, error
            continue
        content = {name: status for name, status in found.items() if not is_excluded(f"{folder}{name}")}
        waiting += [
            f"{folder}{name}/"
            for name, status in content.items()
            if not isinstance(status, OSError) and stat.S_ISDIR(status.st_mode)
        ]
        yield folder, content


def walk_statuses(
    disk: Disk, root: Path, *, is_excluded: Callable[[str], bool]
) -> Iterator[tuple[str, os.stat_result | OSError]]:
    """Yield the path and status of everything in the inbox except folders; see `walk_folders`.

    A file or folder that cannot be read is yielded with its error.

    Raises:
        OSError: the inbox itself cannot be read.
    """
    for folder, content in walk_folders(disk, root, is_excluded=is_excluded):
        if isinstance(content, OSError):
            yield folder, content
            continue
        for name, status in content.items():
            if isinstance(status, OSError) or not stat.S_ISDIR(status.st_mode):
                yield f"{folder}{name}", status
