"""The outbox: results appear whole or not at all, and survive a power cut.

A publication goes through these steps, each of them synced before the next:

1. The name is marked as in progress.
2. The old metadata is removed.
3. The picture is renamed into place.
4. The new metadata is renamed into place.
5. The mark and an older failure record are removed.

Metadata beside a picture's name therefore means that the picture is complete. A crash in between leaves at most a
picture without metadata, which the next run renders again. A file that has neither mark nor metadata is no result of
impasto and is never overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import Disk, exists, make_folders, put, remove_tree, storage_errors
from pipeline.errors import LockedError
from pipeline.outbox.marks import RUN, Marks, short_name
from pipeline.outbox.paths import FAILED_FOLDER, STATE_FOLDER, check_inside, name_errors
from pipeline.outbox.working_files import CheckpointFiles, Previews, Thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

logger = logging.getLogger(__name__)

_FOLDER_CHANGED: Final = frozenset({errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST})
"""Errors of removing a folder that another process has filled or removed meanwhile."""


class Outbox:
    """A folder of results. Files are named relative to it, with `/` between folders and with their extension.

    Any thread may call any method; different threads work on different names.
    """

    def __init__(self, root: Path, disk: Disk | None = None, process: str = RUN) -> None:
        """Use a folder as an outbox.

        Args:
            root: the folder; `opened` makes it.
            disk: disk through which the outbox is read and written.
            process: name of this process, which is also that of its folder of temporary files.
        """
        self.root, self.process = root, process
        self._disk = disk or Disk()
        self._state = root / STATE_FOLDER
        self._temporary = self._state / "tmp" / process
        self.marks = Marks(root, self._temporary, self._disk)
        self.checkpoints = CheckpointFiles(self._state / "checkpoints", self._temporary, self._disk)
        self.previews = Previews(self._state / "preview", self._temporary, self._disk)
        self.thumbnails = Thumbnails(self._state / "thumbnails", self._disk)

    def picture_path(self, file_name: str) -> Path:
        """Return the path of a result."""
        return self.root / file_name

    def metadata_path(self, file_name: str) -> Path:
        """Return the path of a result's metadata."""
        return self.root / f"{file_name}.json"

    def failure_path(self, name: str) -> Path:
        """Return the path of a failure record, by the pair's name without extension."""
        return self.root / FAILED_FOLDER / f"{name}.json"

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Use the outbox at the same time as other processes; it is made if it does not exist.

        Raises:
            StorageError: the outbox cannot be made or written.
        """
        with storage_errors(self.root):
            make_folders(self._disk, self._temporary)
            make_folders(self._disk, self.marks.folder)
        try:
            yield
        finally:
            with storage_errors(self.root):
                remove_tree(self._disk, self._temporary)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Use the outbox as its only run of a manifest; temporary files of a killed run are removed.

        Raises:
            LockedError: another run works on the outbox.
            StorageError: the outbox cannot be made or written.
        """
        with storage_errors(self.root):
            make_folders(self._disk, self._state)
            lock = FileLock(self._state / "lock", timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise LockedError(
                    f"{self.root}: another run works on this outbox.", "Wait for it, or use another outbox."
                ) from error
        with contextlib.ExitStack() as stack:
            stack.callback(lock.release)  # also when removing the temporary files fails
            self.clear_temporary(RUN)
            stack.enter_context(self.opened())
            with storage_errors(self.root):
                self.previews.clear()
            yield

    def clear_temporary(self, process: str) -> None:
        """Remove the temporary files of a process that has died.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with storage_errors(self.root):
            remove_tree(self._disk, self._temporary.with_name(process))

    def publish_picture(self, file_name: str, data: bytes, owner: str = RUN) -> str:
        """Put a picture into place, durably, and return its SHA-256; it is no result until its metadata exists.

        Raises:
            OccupiedError: see `Marks.check_free`.
            SupersededError: see `Marks.check_free`.
            StorageError: the outbox cannot be written; an older result may have lost its metadata.
        """
        self.marks.check_free(file_name, owner)
        self.marks.begin_publishing(file_name, owner)
        with name_errors(self.picture_path(file_name)):
            metadata = self.metadata_path(file_name)
            if exists(self._disk, metadata):
                self._disk.unlink(metadata)
                self._disk.sync_folder(metadata.parent)
            self._write(self.picture_path(file_name), data)
        return hashlib.sha256(data).hexdigest()

    def publish_metadata(self, name: str, file_name: str, record: BaseModel, owner: str = RUN) -> None:
        """Commit a result: from now on the pair is done, and an earlier failure record is removed.

        Raises:
            SupersededError: see `Marks.check_free`.
            StorageError: the outbox cannot be written.
        """
        self.marks.check_free(file_name, owner)
        with name_errors(self.metadata_path(file_name)):
            self._write(self.metadata_path(file_name), to_json(record))
        self.marks.end_publishing(file_name, owner)
        self.forget_failure(name)
        self._remove_preview(name)

    def forget_failure(self, name: str) -> None:
        """Remove the failure record of a pair that is done, if there is one.

        Raises:
            StorageError: the outbox cannot be written.
        """
        failure = self.failure_path(name)
        with name_errors(failure), contextlib.suppress(FileNotFoundError):  # another thread was quicker
            if exists(self._disk, failure):
                self._disk.unlink(failure)
                self._disk.sync_folder(failure.parent)
                self._remove_empty_folders(failure.parent)

    def publish_failure(self, name: str, record: BaseModel) -> None:
        """Record that a pair failed.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with name_errors(self.failure_path(name)):
            self._write(self.failure_path(name), to_json(record))
        self._remove_preview(name)

    def _remove_preview(self, name: str) -> None:
        """Remove the preview that a killed process left; otherwise the painter has removed it."""
        try:
            if exists(self._disk, self.previews.path(name)):
                self.previews.remove(name)
        except OSError as error:
            logger.warning("the preview of %s cannot be removed: %s", name, error)

    def _remove_empty_folders(self, folder: Path) -> None:
        while folder != self.root and not self._disk.entries(folder):
            try:
                self._disk.rmdir(folder)
            except OSError as error:
                if error.errno not in _FOLDER_CHANGED:
                    raise
                return
            folder = folder.parent

    def _write(self, target: Path, data: bytes) -> None:
        check_inside(self.root, target)
        # The temporary name has a fixed length, so that the result's own name may be as long as the file system allows.
        temporary = self._temporary / short_name(target)
        for is_last in (False, False, True):
            make_folders(self._disk, target.parent)
            try:
                put(self._disk, target, data, temporary)
            except FileNotFoundError:  # another thread or process has just removed the folder, which was empty
                if is_last or target.parent.is_dir():
                    raise
            else:
                return


def to_json(record: BaseModel) -> bytes:
    """Return a record as the bytes of its file."""
    return (record.model_dump_json(indent=2) + "\n").encode()
