"""The style library: paintings by name, and folders of paintings, each of which is one style that blends them."""

from __future__ import annotations

import logging
import time
import unicodedata
from typing import TYPE_CHECKING

from pipeline.errors import MACHINE_ERRNOS
from pipeline.run.picture_files import is_ignored
from pipeline.text import printable
from pipeline.watch.inbox.damaged import DamagedInputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.disk import Disk


logger = logging.getLogger(__name__)


class Styles:
    """Paintings in the library's folder, and style pictures of the inbox, which take precedence.

    The scanning thread calls `look`, `use_dropped` and `stop_dropped`; any thread may call `find`.
    """

    def __init__(
        self,
        folder: Path | None,
        image_endings: tuple[str, ...],
        disk: Disk,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._endings, self._disk = folder, image_endings, disk
        self._library: dict[str, tuple[Path, ...]] = {}
        """Paintings of each style of the library, by normalised name."""
        self._dropped: dict[str, dict[Path, int]] = {}
        """Style pictures of each folder of the inbox, by its name, with the time at which each came, in ns."""
        self.changes = 0
        """Number of changes by which a photograph that waits for a style, or for a better one, may have got it."""
        self._unreadable: set[Path] = set()
        """Files and folders of the library about which a warning was logged."""
        self.damaged = DamagedInputs(disk, clock)
        """Paintings, and masks that photographs share, which cannot be used as they are now."""

    def look(self) -> None:
        """Read the library's folder, if there is one, and forget damaged files that have changed.

        Raises:
            OSError: the folder cannot be read; the styles of the last call remain.
        """
        if self.damaged.look():
            self.changes += 1
        if self._folder is None:
            return
        found: dict[str, tuple[Path, ...]] = {}
        for path in self._visible(self._folder):
            try:
                name, paintings = self._style_of(path)
            except OSError as error:  # as for lost+found, or a link to a place that may not be read
                if error.errno in MACHINE_ERRNOS:
                    raise
                self._warn_about_unreadable(path, error)
                continue
            if paintings:
                found.setdefault(_normalise(name), paintings)
        if found != self._library:
            self._library = found
            self.changes += 1

    def _visible(self, folder: Path) -> list[Path]:
        return [folder / entry.name for entry in self._disk.entries(folder) if not is_ignored(entry.name)]

    def _style_of(self, path: Path) -> tuple[str, tuple[Path, ...]]:
        """Return the name and the paintings of the style that a file or folder is; links may lead to them."""
        if path.is_dir():
            return path.name, tuple(each.resolve() for each in sorted(self._visible(path)) if self._is_painting(each))
        return path.stem, (path.resolve(),) if self._is_painting(path) else ()

    def _warn_about_unreadable(self, path: Path, error: OSError) -> None:
        if path not in self._unreadable:
            logger.warning("%s: cannot be read and is no style: %s", path, error.strerror)
            self._unreadable.add(path)

    def _is_painting(self, path: Path) -> bool:
        return path.suffix.lower() in self._endings and path.is_file()

    def use_dropped(self, name: str, path: Path, came: int) -> None:
        """Use a style picture of the inbox. Of several in one folder, the one that came last is used.

        Args:
            name: name of the folder that the picture is for.
            path: the picture.
            came: time at which it was written or moved there, in nanoseconds.
        """
        pictures = {**self._dropped.get(name, {}), path: came}
        self._dropped[name] = pictures  # replaced as a whole, since other threads read it
        if len(pictures) > 1:
            last = printable(self._last(pictures).name)
            logger.warning("%s: has several style pictures; %s came last and is used.", printable(name), last)
        self.damaged.look()
        self.changes += 1

    def stop_dropped(self, name: str, path: Path) -> None:
        """Stop using a style picture of the inbox that is gone or being replaced; others of its folder stay in use."""
        pictures = {each: came for each, came in self._dropped.get(name, {}).items() if each != path}
        if pictures:
            self._dropped[name] = pictures
        else:
            self._dropped.pop(name, None)
        self.changes += 1

    @staticmethod
    def _last(pictures: dict[Path, int]) -> Path:
        return max(pictures, key=lambda path: (pictures[path], path))

    @property
    def lacks_paintings(self) -> bool:
        """Whether there is a library's folder without any style."""
        return self._folder is not None and not self._library

    def names(self) -> list[str]:
        """Return the names of the library's styles, in order."""
        return sorted(self._library)

    def find(self, name: str) -> tuple[Path, ...] | None:
        """Return the painting of a style, or the paintings of a blend; None if there is no such style.

        The case of a name in the library and the encoding of its accents do not matter.
        """
        dropped = self._dropped.get(name)
        return (self._last(dropped),) if dropped else self._library.get(_normalise(name))


def _normalise(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
