"""Finds the file or folder that a text in a manifest names, however the text spells it.

A file of exactly that name comes first. Otherwise backslashes are read as slashes, as Windows writes them, and a
leading `~` as the user's home; in each part of the path the Unicode form (NFC or NFD) and upper and lower case do not
matter, unless several names differ in these alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.system.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def composed(name: str) -> str:
    """Return a name in the Unicode form NFC; names that differ in their forms alone are one name to every reader."""
    return unicodedata.normalize("NFC", name)


def spelling_key(name: str) -> str:
    """Return a key that two names share if they differ only in Unicode form or case."""
    return composed(composed(name).casefold())


def slashed(text: str) -> str:
    """Return a path with `/` between folders, also if it was written on Windows."""
    return text.replace("\\", "/")


def is_windows_path(text: str) -> bool:
    """Whether a path begins with a drive of Windows (`C:`), or with the name of a server after two backslashes."""
    return re.match(r"[A-Za-z]:[\\/]|\\\\", text) is not None


def exists(path: Path) -> bool:
    """Whether there is a file or folder; a link that leads nowhere is none.

    Raises:
        OSError: the file system cannot tell, for example because a folder may not be read.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no file can have such a name
        return False
    return True


@dataclass(frozen=True)
class PathFinder:
    """Finds files and folders by their names; it lists each folder at most once."""

    folder: Path
    """The folder at which relative paths start."""
    _listed: dict[Path, dict[str, list[str]]] = field(default_factory=dict)
    """Names in each folder, by `spelling_key`."""

    def find(self, text: str) -> Path | None:
        """Return the file or folder that a text names, without `..`; None if there is none.

        Raises:
            OSError: the file system cannot tell.
        """
        paths = [Path(os.path.normpath(self.folder / spelling)) for spelling in _spellings(text)]
        for path in paths:
            if exists(path):
                return path
        return next((found for path in paths if (found := self._respelled(path)) is not None), None)

    def _respelled(self, path: Path) -> Path | None:
        found = Path(path.anchor)
        for part in path.parts[1:]:
            if exists(found / part):
                found /= part
                continue
            names = self._names_like(found, part)
            if len(names) != 1:
                return None
            found /= names[0]
        return found if exists(found) else None

    def _names_like(self, folder: Path, part: str) -> list[str]:
        """Return the names in a folder that differ from a name in Unicode form; if there are none, also in case."""
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):  # noqa: PTH208 - names are enough
                    names.setdefault(spelling_key(name), []).append(name)
            except OSError:  # a folder whose files may be opened but not listed: names must be spelled exactly
                pass
            self._listed[folder] = names
        alike = self._listed[folder].get(spelling_key(part), [])
        return [name for name in alike if composed(name) == composed(part)] or alike


def _spellings(text: str) -> Iterator[str]:
    yield text
    if "\\" in text:
        yield slashed(text)
    if text.startswith("~"):
        yield os.path.expanduser(slashed(text))  # noqa: PTH111 - leaves a user that does not exist as it is


@contextlib.contextmanager
def path_errors(named: str) -> Iterator[None]:
    """Explain an OSError about a file or a folder that the user named.

    Args:
        named: the option or setting with the path, with which the message begins.

    Raises:
        UsageError: the path cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"{named}: cannot be read: {error.strerror}.", f"{remedy_of(error)}.") from error
