"""Looking through the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk


def status_of(disk: Disk, path: Path) -> os.stat_result | None:
    """Of what is under a name; None if nothing is.

    Raises:
        OSError: it cannot be told.
    """
    try:
        return disk.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def walk(
    disk: Disk, root: Path, prefix: str = "", *, is_excluded: Callable[[Path], bool]
) -> Iterator[tuple[str, os.stat_result | OSError]]:
    """All files below a folder, links not followed, by their paths in it; folders that cannot be read end in `/`.

    Args:
        disk: to look at.
        root: the folder.
        prefix: where to begin in it: empty, or ending in `/`.
        is_excluded: whether to leave out a file or folder.

    Raises:
        OSError: the folder itself cannot be read.
    """
    try:
        entries = disk.entries(root / prefix)
    except OSError as error:
        if not prefix:
            raise
        if not isinstance(error, FileNotFoundError | NotADirectoryError):  # else it is gone by now
            yield prefix, error
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if is_excluded(root / name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk(disk, root, f"{name}/", is_excluded=is_excluded)
            continue
        try:
            status = status_of(disk, root / name)
        except OSError as error:
            yield name, error
            continue
        if status is not None:
            yield name, status
