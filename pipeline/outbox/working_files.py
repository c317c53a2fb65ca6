"""Half-done work of long pairs, by key: what it consists of is the stage's affair."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from pipeline.disk import make_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk

KEPT_SECONDS: Final = 30 * 24 * 3600.0
"""A checkpoint whose pair was not taken up again for so long is removed."""


class CheckpointFiles:
    """A file for each pair; all of them raise OSError."""

    def __init__(self, folder: Path, temporary: Path, disk: Disk) -> None:
        self._folder, self._temporary, self._disk = folder, temporary, disk

    def path(self, key: str) -> Path:
        """Where that of a pair is, by the pair's key."""
        return self._folder / key

    def write(self, key: str, fill: Callable[[BinaryIO], None]) -> None:
        """Replace that of a pair, whole and durably."""
        make_folders(self._disk, self._folder)
        make_folders(self._disk, self._temporary)
        half = self._temporary / key
        self._disk.write_by(half, fill)
        self._disk.rename(half, self.path(key))
        self._disk.sync_folder(self._folder)

    @contextlib.contextmanager
    def opened(self, key: str) -> Iterator[BinaryIO | None]:
        """That of a pair for reading; None if there is none."""
        try:
            file = self.path(key).open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            yield file

    def remove(self, key: str) -> None:
        """Forget that of a pair, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(self.path(key))

    def remove_old(self) -> None:
        """Forget those that nobody has come back to."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._disk.entries(self._folder):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > KEPT_SECONDS:
                    self.remove(entry.name)
