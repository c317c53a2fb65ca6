"""Whole folders on disk: removed, and walked through. No recursion, since folders may be nested thousands deep."""

from __future__ import annotations

import contextlib
import errno
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk

NOT_EMPTY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})
"""Errors of removing a folder in which there is something, or that another thread or process has removed."""


def remove_tree(disk: Disk, path: Path) -> None:
    """Remove a file, or a folder with its content, if it exists; links are not followed."""
    try:
        if not stat.S_ISDIR(disk.lstat(path).st_mode):
            disk.unlink(path)
            return
    except (FileNotFoundError, NotADirectoryError):
        return
    folders = [path]
    for folder in folders:  # which grows: no recursion, since folders may be nested thousands deep
        with contextlib.suppress(FileNotFoundError):
            for entry in disk.entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(folder / entry.name)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        disk.unlink(folder / entry.name)
    for folder in reversed(folders):
        with contextlib.suppress(FileNotFoundError):
            disk.rmdir(folder)


def remove_empty_folders(disk: Disk, path: Path) -> None:
    """Remove a folder and the folders in it, except those in which there is a file."""
    folders = [path]
    for folder in folders:  # which grows
        with contextlib.suppress(FileNotFoundError):
            folders += [folder / entry.name for entry in disk.entries(folder) if entry.is_dir(follow_symlinks=False)]
    for folder in reversed(folders):
        try:
            disk.rmdir(folder)
        except OSError as error:
            if error.errno not in NOT_EMPTY:
                raise


def walk(
    disk: Disk, root: Path, prefix: str = "", *, is_excluded: Callable[[Path], bool] = lambda _: False
) -> Iterator[tuple[str, os.DirEntry[str] | OSError]]:
    """Yield all files below a folder in order of their names, each with its path in the folder. Links are not followed.

    For a subfolder that cannot be read its path, which ends in `/`, and the error are yielded; a subfolder that was
    removed meanwhile is left out.

    Args:
        disk: lists the folders.
        root: the folder.
        prefix: path in the folder to begin at: empty, or ending in `/`.
        is_excluded: whether to leave out a file, or a folder with all that is in it.

    Raises:
        OSError: the folder itself cannot be read.
    """
    levels = [(prefix, iter(disk.entries(root / prefix)))]  # no recursion: folders may be nested thousands deep
    while levels:
        folder, entries = levels[-1]
        entry = next(entries, None)
        if entry is None:
            levels.pop()
            continue
        name = f"{folder}{entry.name}"
        if is_excluded(root / name):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield name, entry
            continue
        try:
            levels.append((f"{name}/", iter(disk.entries(root / name))))
        except (FileNotFoundError, NotADirectoryError):  # removed since it was listed
            continue
        except OSError as error:
            yield f"{name}/", error
