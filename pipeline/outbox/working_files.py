"""Half-done work of long pairs, by key: what it consists of is the stage's affair."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from pipeline.disk import Disk, exists, make_folders, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.images.picture import Pixels


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


LONGEST_SIDE_PX: Final = 512


_QUALITY: Final = 80


class Thumbnails:
    """A JPEG for each file; they can be made anew, so they need not survive a power cut."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder, self._disk = folder, disk or Disk()

    def path(self, sha256: str) -> Path:
        """Where that of a file is, by the file's SHA-256."""
        return self._folder / f"{sha256[:32]}.jpg"

    def has(self, sha256: str) -> bool:
        """Whether there is one."""
        return exists(self._disk, self.path(sha256))

    def put(self, sha256: str, pixels: Pixels) -> None:
        """Keep a picture, made small; from any thread.

        Args:
            sha256: of the file that it is.
            pixels: (H, W, 3) float32, sRGB, 0–255, of any size.

        Raises:
            OSError: it cannot be written.
        """
        from pipeline.images.encode import Encoding, encode  # noqa: PLC0415
        from pipeline.images.resize import shrink  # noqa: PLC0415 - heavy; others only ask where they are

        make_folders(self._disk, self._folder)
        path = self.path(sha256)
        half = path.with_suffix(f".{threading.get_native_id()}")
        self._disk.write(half, encode(shrink(pixels, LONGEST_SIDE_PX), Encoding("jpeg", 8, _QUALITY)))
        self._disk.rename(half, path)
