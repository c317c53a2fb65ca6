"""The outbox: results appear whole or not at all, and survive a power cut.

A publication goes through these steps, each of them synced before the next:

1. The name is marked as in progress.
2. The old metadata is removed.
3. The picture is renamed into place.
4. The new metadata is renamed into place.
5. The mark and an older failure record are removed.

Metadata that names a picture therefore means that the picture is complete. A crash in between leaves at most a picture
without metadata, which the next run renders again. A file that neither metadata nor a mark names is no result of
impasto (`ownership`): it is never replaced or removed, even if it appears while the result is being made.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING

from pipeline.disk import Disk, exists, make_folders, storage_errors
from pipeline.outbox.failures import FailureRecords
from pipeline.outbox.mark_files import RUN
from pipeline.outbox.marks import Marks
from pipeline.outbox.metadata import PairPaths
from pipeline.outbox.ownership import own_claim
from pipeline.outbox.paths import STATE_FOLDER, check_inside, name_errors
from pipeline.outbox.run_lock import run_lock
from pipeline.outbox.working_files import CheckpointFiles, Previews, Thumbnails
from pipeline.outbox.writing import to_json, write_whole
from pipeline.trees import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.outbox.metadata import Failure, Metadata
    from pipeline.outbox.run_lock import Shard

logger = logging.getLogger(__name__)


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
        self.failures = FailureRecords(root, self._temporary, self._disk)
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
            self.clear_temporary(self.process)

    @contextlib.contextmanager
    def locked(self, shard: Shard | None = None) -> Iterator[None]:
        """Use the outbox as its only run of a manifest, or of this shard; temporary files of a killed run are removed.

        Raises:
            LockedError: another run works on the outbox.
            StorageError: the outbox cannot be made or written.
        """
        with contextlib.ExitStack() as stack:
            with storage_errors(self.root):
                make_folders(self._disk, self._state)
                stack.enter_context(run_lock(self._state, shard))
                dead = [self.process] if shard is not None else [RUN, *self._processes_of_shards()]
            for process in dead:
                self.clear_temporary(process)
            stack.enter_context(self.opened())
            yield

    def _processes_of_shards(self) -> list[str]:
        folder = self._state / "tmp"
        return [path.name for path in folder.glob(f"{RUN}-*-of-*")] if exists(self._disk, folder) else []

    def clear_temporary(self, process: str) -> None:
        """Remove the temporary files and the previews of a process that has died.

        Raises:
            StorageError: the outbox cannot be written.
        """
        temporary = self._state / "tmp" / process
        try:
            self.previews.remove_of(temporary)
        except OSError as error:
            logger.warning("the previews of %s cannot be removed: %s", process, error)
        with storage_errors(self.root):
            remove_tree(self._disk, temporary)

    def publish_picture(self, file_name: str, data: bytes, owner: str = RUN) -> str:
        """Put a picture into place, durably, and return its SHA-256; it is no result until its metadata exists.

        Raises:
            OccupiedError: see `Marks.check_free`.
            SupersededError: see `Marks.check_free`.
            StorageError: the outbox cannot be written; an older result may have lost its metadata.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        has_older = self.marks.begin_publishing(file_name, owner, sha256)
        with name_errors(self.root, self.picture_path(file_name)):
            metadata = self.metadata_path(file_name)
            if own_claim(self._disk, self.root, file_name) is not None:  # not a file that has appeared since the check
                self._disk.unlink(metadata)
                self._disk.sync_folder(metadata.parent)
            self._write(self.picture_path(file_name), data, replaces=has_older)
        return sha256

    def publish_metadata(self, name: str, file_name: str, record: Metadata, owner: str = RUN) -> None:
        """Commit a result: from now on the pair is done, and an earlier failure record is removed.

        Raises:
            OccupiedError: another program's file has the name of the metadata.
            SupersededError: see `Marks.check_free`.
            StorageError: the outbox cannot be written.
        """
        self.marks.check_free(file_name, owner)
        with name_errors(self.root, self.metadata_path(file_name)):
            self._write(self.metadata_path(file_name), to_json(record), replaces=False)
        self.marks.end_publishing(file_name, owner)
        pair = PairPaths(content=record.pair.content.path, style=record.pair.style.path)
        self.failures.forget(name, pair, record.key)
        self._remove_preview(name)

    def publish_failure(self, name: str, record: Failure) -> None:
        """Record that a pair failed.

        Raises:
            OccupiedError: see `FailureRecords.publish`.
            StorageError: the outbox cannot be written.
        """
        self.failures.publish(name, record)
        self._remove_preview(name)

    def _remove_preview(self, name: str) -> None:
        """Remove the preview that a killed process left; otherwise the painter has removed it."""
        try:
            if exists(self._disk, self.previews.path(name)):
                self.previews.remove(name)
        except OSError as error:
            logger.warning("the preview of %s cannot be removed: %s", name, error)

    def _write(self, target: Path, data: bytes, *, replaces: bool) -> None:
        check_inside(self.root, target)
        write_whole(self._disk, target, data, self._temporary, replaces=replaces)
