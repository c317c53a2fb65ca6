"""The style library: paintings by name."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk


class Styles:
    """Paintings in a folder, and those that were dropped into the inbox as `<name>/_style.jpg`, which come first."""

    def __init__(self, folder: Path | None, image_endings: tuple[str, ...], disk: Disk) -> None:
        self._folder, self._endings, self._disk = folder, image_endings, disk
        self._library: dict[str, Path] = {}
        self._dropped: dict[str, Path] = {}

    def look(self) -> None:
        """Read the folder.

        Raises:
            OSError: it cannot be read.
        """
        if self._folder is None:
            return
        found: dict[str, Path] = {}
        for entry in self._disk.entries(self._folder):
            path = self._folder / entry.name
            if not entry.name.startswith(".") and path.suffix.lower() in self._endings and path.is_file():
                found.setdefault(_fold(path.stem), path)
        self._library = found

    def drop(self, name: str, path: Path | None) -> None:
        """A painting for a folder of the inbox has settled there, or is gone (None)."""
        if path is None:
            self._dropped.pop(name, None)
        else:
            self._dropped[name] = path

    def find(self, name: str) -> Path | None:
        """The painting of a name; neither case nor the way accents are written matters in the library."""
        return self._dropped.get(name) or self._library.get(_fold(name))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
