"""Every operation on disk whose interruption could lose or damage a file, in one place.

Results, marks and claimed files are changed only through a `Disk`, so that tests can make any single operation fail or
be the last of a process. Other modules read images, since no file is lost when reading fails. They also write the
files whose loss does no harm: locks, heartbeats, status.json and the records of runs.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from pipeline.errors import StorageError
from pipeline.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""Errors of a file system that has no hard links."""

CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of a file system that cannot sync a folder or a file, such as folders that a host shares with its guest."""

_warned_devices: Final[set[int]] = set()
"""File systems that cannot sync, of which a warning was logged."""


class Disk:
    """The operations; each raises OSError as the operating system does. Any thread may call them."""

    def mkdir(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir()

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file and sync its content to the medium."""
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            _sync(file.fileno(), path)

    def write_by(self, path: Path, fill: Callable[[BinaryIO], None]) -> None:
        """Let a function write a whole file, for content that is too large for memory, and sync it to the medium."""
        with path.open("wb") as file:
            fill(file)
            file.flush()
            _sync(file.fileno(), path)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file; a file at the target is replaced."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError if the name is taken."""
        target.hardlink_to(source)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()

    def sync_folder(self, path: Path) -> None:
        """Sync the names in a folder to the medium; a file system that cannot is a warning."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _sync(descriptor, path)
        finally:
            os.close(descriptor)

    def read(self, path: Path) -> bytes:
        """Return the content of a small file."""
        return path.read_bytes()

    def lstat(self, path: Path) -> os.stat_result:
        """Return the status of a file, folder or link; links are not followed."""
        return path.lstat()

    def entries(self, path: Path) -> list[os.DirEntry[str]]:
        """Return the entries of a folder, sorted by name."""
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)


def _sync(descriptor: int, path: Path) -> None:
    """Sync a file or a folder to the medium; log a warning, once for each file system, if that is impossible there."""
    try:
        if sys.platform == "darwin":  # fsync leaves data in the drive's cache there
            import fcntl  # noqa: PLC0415 - exists on Unix only

            with contextlib.suppress(OSError):  # a file system that has fsync only
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
        device = os.fstat(descriptor).st_dev
        if device not in _warned_devices:
            _warned_devices.add(device)
            logger.warning(
                "%s: its file system cannot sync (%s). After a power cut, the last results may be missing or damaged.",
                path,
                error.strerror,
            )


def exists(disk: Disk, path: Path) -> bool:
    """Return whether a file, folder or link has this name; a link that leads nowhere counts.

    Raises:
        OSError: the disk failed.
    """
    try:
        disk.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def make_folders(disk: Disk, path: Path) -> None:
    """Make a folder and its missing parents, durably."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            disk.mkdir(folder)
        except FileExistsError as error:
            if not folder.is_dir():  # otherwise another process was quicker
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        disk.sync_folder(folder.parent)


def put(disk: Disk, target: Path, data: bytes, temporary: Path) -> None:
    """Replace a file whole and durably, by way of a temporary name on the same file system."""
    disk.write(temporary, data)
    disk.rename(temporary, target)
    disk.sync_folder(target.parent)


def move(disk: Disk, source: Path, target: Path) -> None:
    """Rename a file durably: the new name reaches the medium before the old one is gone from it."""
    disk.rename(source, target)
    disk.sync_folder(target.parent)
    if source.parent != target.parent:
        disk.sync_folder(source.parent)


def move_without_replacing(disk: Disk, source: Path, target: Path) -> bool:
    """Rename a file durably unless the target is taken; return False if it is.

    A move that was interrupted between its two steps is completed. On a file system without hard links, a file that
    appears at the target at the moment of the rename would be replaced.
    """
    try:
        disk.link(source, target)
    except FileExistsError:
        before, after = disk.lstat(source), disk.lstat(target)
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if exists(disk, target):
            return False
        move(disk, source, target)
        return True
    disk.sync_folder(target.parent)
    disk.unlink(source)
    disk.sync_folder(source.parent)
    return True


def remove_tree(disk: Disk, path: Path) -> None:
    """Remove a file, or a folder with its content, if it exists; links are not followed."""
    if path.is_symlink():
        disk.unlink(path)
        return
    try:
        entries = disk.entries(path)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        disk.unlink(path)
        return
    for entry in entries:
        child = path / entry.name
        if entry.is_dir(follow_symlinks=False):
            remove_tree(disk, child)
        else:
            with contextlib.suppress(FileNotFoundError):
                disk.unlink(child)
    with contextlib.suppress(FileNotFoundError):
        disk.rmdir(path)


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


def as_storage_error(error: OSError, where: Path) -> StorageError:
    """Return the StorageError that explains an OSError.

    Args:
        error: raised by an operation on disk.
        where: path that the user knows; if the error names another file, that file is added to the message.
    """
    file = f" ({error.filename})" if error.filename and str(error.filename) != str(where) else ""
    return StorageError(
        f"{where}: cannot be read or written: {error.strerror or error}{file}.",
        f"{remedy_of(error)}; work continues from where it stopped.",
    )


@contextlib.contextmanager
def storage_errors(where: Path) -> Iterator[None]:
    """Explain an OSError to the user.

    Raises:
        StorageError: the disk failed.
    """
    try:
        yield
    except OSError as error:
        raise as_storage_error(error, where) from error
