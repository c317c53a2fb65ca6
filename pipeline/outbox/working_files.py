"""Files in the outbox's state that are no results: checkpoints and previews of pairs in progress, and thumbnails.

Each class has one folder of the outbox's state. `write` and `put` make a file under a temporary name and rename it, so
that a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from pipeline.disk import exists, make_folders
from pipeline.outbox.metadata import SHA256_PATTERN
from pipeline.outbox.writing import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.images.picture import Pixels

KEPT_SECONDS: Final = 30 * 24 * 3600.0
"""Age in seconds at which a checkpoint is removed, if no process has continued its pair."""
THUMBNAIL_NAME: Final = re.compile(r"[0-9a-f]{32}\.(jpg|\d+)")
"""Names of thumbnails, and of those that are being written."""
_NOTES: Final = "previews"
"""Folder, in that of a process's temporary files, of the notes of its previews."""
LONGEST_SIDE_PX: Final = 512
"""Longest side of a thumbnail in px."""
_QUALITY: Final = 80
"""JPEG quality of a thumbnail."""


class CheckpointFiles:
    """Checkpoints: the state of the optimiser, one file for each pair, by the pair's key; `stage.paint` defines it.

    The thread that has the device reads and writes a checkpoint, a saving thread removes it, and the thread that calls
    the stage removes old ones. All methods raise OSError.
    """

    def __init__(self, folder: Path, temporary: Path, disk: Disk) -> None:
        self._folder, self._temporary, self._disk = folder, temporary, disk

    def path(self, key: str) -> Path:
        """Return the path of a pair's checkpoint."""
        return self._folder / key

    def write(self, key: str, fill: Callable[[BinaryIO], None]) -> None:
        """Replace the checkpoint of a pair, whole and durably, with what `fill` writes.

        If that fails, nothing is left of it: on a full disk, half a checkpoint would take the room of results.
        """
        make_folders(self._disk, self._folder)
        make_folders(self._disk, self._temporary)
        temporary = self._temporary / key
        try:
            self._disk.write_by(temporary, fill)
            self._disk.rename(temporary, self.path(key))
        except BaseException:
            with contextlib.suppress(OSError):  # the first error says more
                self._disk.unlink(temporary)
            raise
        self._disk.sync_folder(self._folder)

    @contextlib.contextmanager
    def opened(self, key: str) -> Iterator[BinaryIO | None]:
        """Open the checkpoint of a pair for reading; None if there is none."""
        try:
            file = self.path(key).open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            yield file

    def remove(self, key: str) -> None:
        """Remove the checkpoint of a pair, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(self.path(key))

    def remove_old(self) -> None:
        """Remove the checkpoints that have not been written to for `KEPT_SECONDS`."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._disk.entries(self._folder):
                if re.fullmatch(SHA256_PATTERN, entry.name) is None:
                    continue  # no checkpoint
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > KEPT_SECONDS:
                    self.remove(entry.name)


class Previews:
    """Previews of pairs in progress, one JPEG for each pair, by the pair's name without extension.

    The thread that has the device writes and removes previews; the threads that publish remove those of killed
    processes. The folder of a process's temporary files has a note of each preview of the process, so that the previews
    of other processes stay. All methods raise OSError.
    """

    def __init__(self, folder: Path, temporary: Path, disk: Disk) -> None:
        self._folder, self._temporary, self._disk = folder, temporary, disk

    def path(self, name: str) -> Path:
        """Return the path of a pair's preview."""
        return self._folder / f"{name}.jpg"

    def write(self, name: str, jpeg: bytes) -> None:
        """Replace the preview of a pair, whole, so that a person can look at it at any time."""
        path, temporary = self.path(name), self._temporary / "preview.jpg"
        make_folders(self._disk, path.parent)
        make_folders(self._disk, self._temporary / _NOTES)
        note = self._temporary / _NOTES / short_name(path)
        if not exists(self._disk, note):
            self._disk.write(note, name.encode(errors="surrogateescape"))
        self._disk.write(temporary, jpeg)
        self._disk.rename(temporary, path)

    def remove(self, name: str) -> None:
        """Remove the preview of a pair, if there is one, and the folders that become empty."""
        path = self.path(name)
        try:
            self._disk.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        with contextlib.suppress(OSError):  # a folder has previews of other pairs
            for folder in path.relative_to(self._folder).parents:
                self._disk.rmdir(self._folder / folder)

    def remove_of(self, temporary: Path) -> None:
        """Remove the previews of a process that has died and of its own processes, by the folder of its files."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._disk.entries(temporary):
                if entry.name == _NOTES:
                    for note in self._disk.entries(temporary / _NOTES):
                        self.remove(self._disk.read(temporary / _NOTES / note.name).decode(errors="surrogateescape"))
                elif entry.is_dir(follow_symlinks=False):
                    self.remove_of(temporary / entry.name)


class Thumbnails:
    """Thumbnails: small JPEGs of photographs, paintings and results, by the SHA-256 of their files.

    A power cut may lose the newest, since their folder is not synced; they can be made again. Any thread of any process
    may call all methods.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder, self._disk = folder, disk

    def path(self, sha256: str) -> Path:
        """Return the path of a file's thumbnail."""
        return self._folder / self.name(sha256)

    @staticmethod
    def name(sha256: str) -> str:
        """Return the name of a file's thumbnail in its folder."""
        return f"{sha256[:32]}.jpg"

    def has(self, sha256: str) -> bool:
        """Return whether a file has a thumbnail."""
        return exists(self._disk, self.path(sha256))

    def put(self, sha256: str, pixels: Pixels, mode: int = 0o666) -> None:
        """Make the thumbnail of a picture.

        Args:
            sha256: hash of the picture's file.
            pixels: (H, W, 3) float32, sRGB, 0–255, of any size.
            mode: permissions, from which those of the process's umask are taken; see `mode_like`.

        Raises:
            OSError: it cannot be written.
        """
        from pipeline.images.encode import Encoding, encode  # noqa: PLC0415
        from pipeline.images.resize import shrink  # noqa: PLC0415 - heavy, and most callers only ask for paths

        make_folders(self._disk, self._folder)
        path = self.path(sha256)
        temporary = path.with_suffix(f".{threading.get_native_id()}")
        with contextlib.suppress(FileNotFoundError):  # of a killed process, perhaps with other permissions
            self._disk.unlink(temporary)
        temporary.touch(mode)
        self._disk.write(temporary, encode(shrink(pixels, LONGEST_SIDE_PX), Encoding("jpeg", 8, _QUALITY)))
        self._disk.rename(temporary, path)


def mode_like(path: Path) -> int:
    """Return permissions by which nobody may read the thumbnail of a file who may not read the file itself."""
    try:
        return path.stat().st_mode & 0o666 | 0o600
    except OSError:  # it was moved meanwhile, so its permissions are unknown
        return 0o600
