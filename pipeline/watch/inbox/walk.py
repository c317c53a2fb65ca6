"""Reading the status of files in the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.disk import walk

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk


def status_of(disk: Disk, path: Path) -> os.stat_result | None:
    """Return the status of a file, links not followed; None if there is no such file.

    Raises:
        OSError: the status cannot be read.
    """
    try:
        return disk.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def walk_statuses(
    disk: Disk, root: Path, *, is_excluded: Callable[[Path], bool]
) -> Iterator[tuple[str, os.stat_result | OSError]]:
    """Yield the path and status of all files below a folder; see `pipeline.disk.walk`.

    A file or folder that cannot be read is yielded with its error; one that was removed meanwhile is left out.

    Raises:
        OSError: the folder itself cannot be read.
    """
    for name, found in walk(disk, root, is_excluded=is_excluded):
        if isinstance(found, OSError):
            yield name, found
            continue
        try:
            status = status_of(disk, root / name)
        except OSError as error:
            yield name, error
            continue
        if status is not None:
            yield name, status
