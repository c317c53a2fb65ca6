"""The style library: paintings by name, and folders of paintings, each of which is a style that blends them."""

from __future__ import annotations

import logging
import unicodedata
from typing import TYPE_CHECKING

from pipeline.run.picture_files import is_ignored

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk


logger = logging.getLogger(__name__)


class Styles:
    """Paintings in a folder, and those that were dropped into the inbox as `<name>/_style.jpg`, which come first."""

    def __init__(self, folder: Path | None, image_endings: tuple[str, ...], disk: Disk) -> None:
        self._folder, self._endings, self._disk = folder, image_endings, disk
        self._library: dict[str, tuple[Path, ...]] = {}
        self._dropped: dict[str, Path] = {}
        self._unreadable: set[Path] = set()

    def look(self) -> None:
        """Read the folder.

        Raises:
            OSError: it cannot be read.
        """
        if self._folder is None:
            return
        found: dict[str, tuple[Path, ...]] = {}
        for path in self._visible(self._folder):
            if path.is_dir():
                paintings = self._paintings_in(path)
                if paintings:
                    found.setdefault(_fold(path.name), paintings)
            elif self._is_painting(path):
                found.setdefault(_fold(path.stem), (path.resolve(),))  # links of the library are its owner's
        self._library = found

    def _visible(self, folder: Path) -> list[Path]:
        return [folder / entry.name for entry in self._disk.entries(folder) if not is_ignored(entry.name)]

    def _paintings_in(self, folder: Path) -> tuple[Path, ...]:
        try:
            return tuple(path.resolve() for path in sorted(self._visible(folder)) if self._is_painting(path))
        except PermissionError as error:  # such as of lost+found
            if folder not in self._unreadable:
                logger.warning("%s: cannot be read and is no style: %s", folder, error.strerror)
                self._unreadable.add(folder)
            return ()

    def _is_painting(self, path: Path) -> bool:
        return path.suffix.lower() in self._endings and path.is_file()

    def drop(self, name: str, path: Path | None) -> None:
        """A painting for a folder of the inbox has settled there, or is gone (None)."""
        if path is None:
            self._dropped.pop(name, None)
        else:
            self._dropped[name] = path

    @property
    def lacks_paintings(self) -> bool:
        """Whether there is a folder, with nothing in it."""
        return self._folder is not None and not self._library

    def names(self) -> list[str]:
        """Of the folder's styles."""
        return sorted(self._library)

    def find(self, name: str) -> tuple[Path, ...] | None:
        """The painting of a name, or those of a blend; neither case nor the way accents are written matters."""
        dropped = self._dropped.get(name)
        return (dropped,) if dropped is not None else self._library.get(_fold(name))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
