"""Every operation on disk whose interruption could lose or damage a file, in one place.

Results, marks and claimed files are changed only through a `Disk`, so that tests can make any single operation fail or
be the last of a process. Other modules read images, since no file is lost when reading fails. They also write the
files whose loss does no harm: locks, heartbeats, status.json and the records of runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from pipeline.errors import StorageError
from pipeline.system.no_links import open_folder, open_passage
from pipeline.system.remedies import remedy_of
from pipeline.system.sync import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CANNOT_SET_TIMES: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of a file system that cannot set the times of a file, or not for everyone who may write it."""
NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""Errors of a file system that has no hard links."""
_LINK_FOLLOWS: Final = os.link not in os.supports_follow_symlinks
"""Argument by which a link gets a second name itself, where the system can do so."""


class Disk:
    """The operations; each raises OSError as the operating system does. Any thread may call them.

    Below a folder that is guarded, no link is followed: an operation on a path in which another program has put a link
    in place of a folder raises NotADirectoryError.
    """

    guarded: tuple[Path, ...] = ()
    """Folders below which links are not followed."""

    def guard(self, folder: Path) -> None:
        """Follow no link below a folder from now on, since other people may exchange what is in it."""
        if folder not in self.guarded:
            self.guarded = (*self.guarded, folder)

    def _guard_of(self, path: Path) -> Path | None:
        return next((root for root in self.guarded if path != root and path.is_relative_to(root)), None)

    @contextlib.contextmanager
    def _at(self, path: Path) -> Iterator[tuple[str | Path, int | None]]:
        """Yield the name and the folder's descriptor by which the system reaches a path; None: by the path itself."""
        root = self._guard_of(path)
        if root is None:
            yield path, None
            return
        try:
            descriptor = open_passage(root, path.relative_to(root).parent)
            try:
                yield path.name, descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            error.filename = str(path)  # the system knows only the last part
            raise

    @contextlib.contextmanager
    def _folder(self, path: Path) -> Iterator[int]:
        """Yield the descriptor of a folder."""
        root = self._guard_of(path)
        try:
            descriptor = open_folder(root, path.relative_to(root)) if root else os.open(path, os.O_RDONLY)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            error.filename = str(path)
            raise

    @contextlib.contextmanager
    def _open(self, path: Path, flags: int) -> Iterator[BinaryIO]:
        with self._at(path) as (name, folder):
            own = flags | (getattr(os, "O_NOFOLLOW", 0) if folder is not None else 0) | getattr(os, "O_BINARY", 0)
            mode: Literal["rb", "wb"] = "rb" if flags == os.O_RDONLY else "wb"
            own |= getattr(os, "O_NONBLOCK", 0)  # nobody waits for the other end of a pipe
            with os.fdopen(os.open(name, own, 0o666, dir_fd=folder), mode) as file:
                yield file

    def mkdir(self, path: Path, mode: int = 0o777) -> None:
        """Make one folder."""
        with self._at(path) as (name, folder):
            os.mkdir(name, mode, dir_fd=folder)

    def create(self, path: Path) -> None:
        """Make an empty file; FileExistsError if the name is taken, by a link, too."""
        with self._open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
            pass

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file and sync its content to the medium."""
        self.write_by(path, lambda file: file.write(data))

    def write_by(self, path: Path, fill: Callable[[BinaryIO], object]) -> None:
        """Let a function write a whole file, for content that is too large for memory, and sync it to the medium."""
        with self._open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            fill(file)
            file.flush()
            self._sync(file.fileno(), path)

    def sync_file(self, path: Path) -> None:
        """Sync the content of a file that a library has written to the medium."""
        with self._open(path, os.O_RDWR) as file:
            self._sync(file.fileno(), path)

    def _sync(self, descriptor: int, path: Path) -> None:
        sync(descriptor, path)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file; a file at the target is replaced."""
        with self._at(source) as (old, old_folder), self._at(target) as (new, new_folder):
            os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError if the name is taken."""
        with self._at(source) as (old, old_folder), self._at(target) as (new, new_folder):
            os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=_LINK_FOLLOWS)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        with self._at(path) as (name, folder):
            os.unlink(name, dir_fd=folder)

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        with self._at(path) as (name, folder):
            os.rmdir(name, dir_fd=folder)

    def touch(self, path: Path) -> None:
        """Set the time of a file to now; its content is lost where the file system sets times by writing only."""
        try:
            with self._at(path) as (name, folder):
                os.utime(name, dir_fd=folder, follow_symlinks=folder is None)
        except OSError as error:
            if error.errno not in CANNOT_SET_TIMES:
                raise
            self.write(path, b"\n")

    def sync_folder(self, path: Path) -> None:
        """Sync the names in a folder to the medium; a file system that cannot is a warning."""
        with self._folder(path) as descriptor:
            self._sync(descriptor, path)

    def read(self, path: Path) -> bytes:
        """Return the content of a small regular file; OSError if it is a pipe or a device, for which nobody waits."""
        with self._open(path, os.O_RDONLY) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(path))
            return file.read()

    def lstat(self, path: Path) -> os.stat_result:
        """Return the status of a file, folder or link; links are not followed."""
        with self._at(path) as (name, folder):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def is_folder(self, path: Path) -> bool:
        """Return whether there is a folder; a link to a folder is one unless it is below a guarded folder."""
        if self._guard_of(path) is None:
            return path.is_dir()
        try:
            with self._folder(path):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def entries(self, path: Path) -> list[os.DirEntry[str]]:
        """Return the entries of a folder, sorted by name."""
        if self._guard_of(path) is not None:
            with self._folder(path):  # which raises if a link is in the path
                pass
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def statuses(self, path: Path) -> dict[str, os.stat_result | OSError]:
        """Return the status of everything in a folder, or the error that hides it, by name; links are not followed."""
        with self._folder(path) as descriptor, os.scandir(descriptor) as entries:
            found = {entry.name: _status_of(entry) for entry in entries}
        return {name: status for name, status in sorted(found.items()) if not isinstance(status, FileNotFoundError)}


def _status_of(entry: os.DirEntry[str]) -> os.stat_result | OSError:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        return error


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


def make_folders(disk: Disk, path: Path, mode: int = 0o777) -> None:
    """Make a folder and its missing parents, durably."""
    missing = []
    while not disk.is_folder(path):
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            disk.mkdir(folder, mode)
        except FileExistsError as error:
            if not disk.is_folder(folder):  # otherwise another process was quicker
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        disk.sync_folder(folder.parent)


def _write_temporary(disk: Disk, temporary: Path, data: bytes) -> None:
    """Write a new file; one that was left may be a second name of a target, after `put_new` had been interrupted."""
    if exists(disk, temporary):
        disk.unlink(temporary)
    disk.write(temporary, data)


def put_new(disk: Disk, target: Path, data: bytes, temporary: Path) -> None:
    """Make a file whole and durably, by way of a temporary name on the same file system; see `put`.

    On a file system without hard links, a file that appears at the target at that moment would be replaced.

    Raises:
        FileExistsError: the target is taken.
    """
    _write_temporary(disk, temporary, data)
    try:
        disk.link(temporary, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if exists(disk, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        disk.rename(temporary, target)
    else:
        disk.unlink(temporary)
    disk.sync_folder(target.parent)


def put(disk: Disk, target: Path, data: bytes, temporary: Path) -> None:
    """Replace a file whole and durably, by way of a temporary name on the same file system."""
    _write_temporary(disk, temporary, data)
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
