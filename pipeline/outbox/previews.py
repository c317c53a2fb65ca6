"""What pairs in work look like at the moment; gone when they are done."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pipeline.disk import make_folders, remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk


class Previews:
    """A picture for each pair, by its name; all of them raise OSError."""

    def __init__(self, folder: Path, temporary: Path, disk: Disk) -> None:
        self._folder, self._temporary, self._disk = folder, temporary, disk

    def path(self, name: str) -> Path:
        """Where that of a pair is, by the pair's name without extension."""
        return self._folder / f"{name}.jpg"

    def write(self, name: str, jpeg: bytes) -> None:
        """Replace that of a pair, whole, so that it can be looked at at any time."""
        path, half = self.path(name), self._temporary / "preview.jpg"
        make_folders(self._disk, path.parent)
        make_folders(self._disk, self._temporary)
        self._disk.write(half, jpeg)
        self._disk.rename(half, path)

    def remove(self, name: str) -> None:
        """Forget that of a pair, if there is one, with folders that are empty then."""
        path = self.path(name)
        try:
            self._disk.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        with contextlib.suppress(OSError):  # those of others are in there
            for folder in path.relative_to(self._folder).parents:
                self._disk.rmdir(self._folder / folder)

    def clear(self) -> None:
        """Forget those that a killed process left."""
        remove_tree(self._disk, self._folder)
