"""Small pictures of contents, paintings and results, for the report; by the hash of the file that they show."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from pipeline.disk import Disk, exists, make_folders

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.images.picture import Pixels

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
        from pipeline.images.resize import shrunk  # noqa: PLC0415 - heavy; others only ask where they are

        make_folders(self._disk, self._folder)
        path = self.path(sha256)
        half = path.with_suffix(f".{threading.get_native_id()}")
        self._disk.write(half, encode(shrunk(pixels, LONGEST_SIDE_PX), Encoding("jpeg", 8, _QUALITY)))
        self._disk.rename(half, path)
