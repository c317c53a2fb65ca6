"""Paths in an outbox: its reserved folders, the names that a result can have, and errors about a single name."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.disk import as_storage_error
from pipeline.errors import OccupiedError

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED_FOLDER: Final = "failed"
"""Folder of failure records, relative to the outbox."""
STATE_FOLDER: Final = ".impasto"
"""Folder of impasto's own files in an outbox, and by default of the spool in an inbox."""
RESERVED: Final = frozenset({FAILED_FOLDER, STATE_FOLDER})
"""Folders at the top of an outbox in which no result can be."""
LONGEST_NAME_BYTES: Final = 255
"""Longest name of one file or folder that common file systems take."""
_FIRST_PRINTABLE: Final = 32
"""Number of the first character that is no control character."""
_NAME_ERRNOS: Final = frozenset(
    {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EEXIST, errno.EILSEQ}
)
"""Errors that concern one name, not the disk."""
_FOLDER_ERRNOS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EXDEV, errno.EROFS})
"""Errors that concern one folder, unless it is the outbox itself."""


def is_portable(name: str) -> bool:
    """Whether all common file systems take the characters of a name, those of Windows and network shares as well."""
    return not any(character in '\\:*?"<>|' or ord(character) < _FIRST_PRINTABLE for character in name)


def check_name(name: str) -> str | None:
    """Return why a result cannot have a name (with `/` between folders), or None if it can."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "leaves the outbox"
    if not path.name:
        return "is empty"
    impossible = next((character for character in name if character in "\\:" or ord(character) < _FIRST_PRINTABLE), "")
    if impossible:
        return f"has the character {impossible!r}, which some systems cannot have in a name"
    if path.parts[0].casefold() in RESERVED:
        return f"begins with {path.parts[0]}, which the outbox keeps for itself"
    if any(len(os.fsencode(part)) > LONGEST_NAME_BYTES - len(".json") for part in path.parts):
        return f"is longer than {LONGEST_NAME_BYTES} bytes with its .json"
    return None


def check_inside(root: Path, target: Path) -> None:
    """Check that no link leads a path out of the outbox.

    Raises:
        OccupiedError: a link leads out of it.
    """
    if not Path(os.path.realpath(target.parent)).is_relative_to(root.resolve()):  # loops are found when it is opened
        raise OccupiedError(f"{target}: a link in the outbox leads out of it.", "Remove the link or use another name.")


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest of those above it that exists as far as this process may look."""
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder


def check_folder(root: Path, target: Path) -> None:
    """Check that a file can be published in its folder, as far as that shows without writing.

    Raises:
        OSError: its folder, or the folder in which that will be made, cannot be written, or cannot be reached.
    """
    folder = existing(target.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not _is_open(folder):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    if folder.stat().st_dev != (root / STATE_FOLDER).stat().st_dev:
        raise OSError(errno.EXDEV, "it is on another file system than the outbox", str(folder))
    # The file system says whether a name is too long only in a folder that exists.
    for name in (*target.parent.relative_to(folder).parts, f"{target.name}.json"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).lstat()


@contextlib.contextmanager
def name_errors(root: Path, target: Path) -> Iterator[None]:
    """Explain an OSError about one file of the outbox to the user.

    Args:
        root: the outbox.
        target: the file.

    Raises:
        OccupiedError: the outbox cannot have this file here, but it may have others.
        StorageError: the disk failed, or the outbox itself cannot be written.
    """
    try:
        yield
    except OSError as error:
        blamed = Path(os.fsdecode(error.filename2 or error.filename or target))
        # EINVAL is the answer of a network share, or of a file system of Windows, to a name that it cannot have.
        if error.errno in _NAME_ERRNOS or (error.errno == errno.EINVAL and not is_portable(target.name)):
            raise OccupiedError(
                f"{target}: the outbox cannot have this name: {error.strerror}.",
                "Move away the file in its place, or give the pair another output.",
            ) from error
        if error.errno in _FOLDER_ERRNOS and _is_of_subfolder(root, blamed, is_mount=error.errno == errno.EXDEV):
            raise OccupiedError(
                f"{target}: its folder cannot be written: {error.strerror} ({blamed}).",
                "Correct the folder's permissions or its mount, or give the pair another output.",
            ) from error
        raise as_storage_error(error, target) from error


def _is_of_subfolder(root: Path, path: Path, *, is_mount: bool) -> bool:
    """Whether a path is, or is in, a folder of results below the outbox that is a mount or cannot be written now."""
    # Path.is_dir raises where it may not look
    folder = path if os.path.isdir(path) else existing(path.parent)  # noqa: PTH112
    if folder == root or not folder.is_relative_to(root) or folder.is_relative_to(root / STATE_FOLDER):
        return False
    return is_mount or not _is_open(folder)


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)
