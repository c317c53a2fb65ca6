"""The outbox: results appear whole or not at all, and stay after a power cut.

Order of a publication: the name is marked as ours, the old metadata goes, the picture is renamed into place, then the
new metadata; the mark and an older failure record go. Each step is synced before the next. So metadata beside a
picture's name means that the picture is complete, and a crash in between leaves at most a picture without metadata,
which the next run renders again. A file that is neither marked nor has metadata is somebody else's, and is never
overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipeline.errors import LockedError, OccupiedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

FAILED_FOLDER = "failed"
STATE_FOLDER = ".impasto"
RESERVED = frozenset({FAILED_FOLDER, STATE_FOLDER})
LONGEST_NAME_BYTES = 255


def check_name(name: str) -> str | None:
    """Why a result cannot have this name (`/` between folders), or None."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        return "leaves the outbox"
    if not path.name or any(ord(character) < 32 for character in name):  # noqa: PLR2004 - control characters
        return "is empty or has control characters"
    if path.parts[0].casefold() in RESERVED:
        return f"begins with {path.parts[0]}, which the outbox keeps for itself"
    if any(len(os.fsencode(part)) > LONGEST_NAME_BYTES - len(".json") for part in path.parts):
        return f"is longer than {LONGEST_NAME_BYTES} bytes with its .json"
    return None


class Outbox:
    """A folder of results. Files are named relative to it, with `/` and extension."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / STATE_FOLDER / "tmp"
        self._pending = root / STATE_FOLDER / "pending"

    def picture_path(self, file_name: str) -> Path:
        """Where a result is."""
        return self.root / file_name

    def metadata_path(self, file_name: str) -> Path:
        """Where a result's metadata is."""
        return self.root / f"{file_name}.json"

    def failure_path(self, name: str) -> Path:
        """Where a failure's record is, by the pair's name without extension."""
        return self.root / FAILED_FOLDER / f"{name}.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the outbox alone, made if need be and freed of what a killed run left half written.

        Raises:
            LockedError: another run holds it.
            StorageError: it cannot be made or written.
        """
        with _storage_errors(self.root):
            self._temporary.mkdir(parents=True, exist_ok=True)
            self._pending.mkdir(exist_ok=True)
            lock = FileLock(self.root / STATE_FOLDER / "lock", timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise LockedError(
                    f"{self.root}: another run works on this outbox.", "Wait for it, or use another outbox."
                ) from error
        with contextlib.ExitStack() as stack:
            stack.callback(lock.release)  # also when clearing away fails
            self._empty_temporary()
            stack.callback(self._empty_temporary)
            yield

    def _empty_temporary(self) -> None:
        with _storage_errors(self.root):
            for leftover in self._temporary.iterdir():
                shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()

    def check_free(self, file_name: str) -> None:
        """See that a result can have this name.

        Raises:
            OccupiedError: there is a file of this name that is no result of ours.
            StorageError: a link in the outbox leads out of it.
        """
        picture = self.picture_path(file_name)
        self._check_inside(picture)
        if os.path.lexists(picture) and not self.metadata_path(file_name).exists() and not self._mark(picture).exists():
            raise OccupiedError(
                f"{file_name}: a file of this name is there already and is no result of impasto.",
                "Move it away, or give the pair another output.",
            )

    def publish_picture(self, file_name: str, data: bytes) -> str:
        """Put a picture into place, durably, and give its SHA-256; it counts only once its metadata is there, too.

        Raises:
            OccupiedError: there is a file of this name that is no result of ours.
            StorageError: the outbox cannot be written; what was there before may have lost its metadata.
        """
        self.check_free(file_name)
        with _storage_errors(self.picture_path(file_name)):
            self._mark(self.picture_path(file_name)).touch()
            _sync_folder(self._pending)
            metadata = self.metadata_path(file_name)
            if metadata.exists():
                metadata.unlink()
                _sync_folder(metadata.parent)
            self._write(self.picture_path(file_name), data)
        return hashlib.sha256(data).hexdigest()

    def publish_metadata(self, name: str, file_name: str, record: BaseModel) -> None:
        """Commit a result: after this it is done, and an earlier failure is forgotten.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with _storage_errors(self.metadata_path(file_name)):
            self._write(self.metadata_path(file_name), _json(record))
            self._mark(self.picture_path(file_name)).unlink(missing_ok=True)
        self.forget_failure(name)

    def forget_failure(self, name: str) -> None:
        """Remove the failure record of a pair that is done, if there is one.

        Raises:
            StorageError: the outbox cannot be written.
        """
        failure = self.failure_path(name)
        with _storage_errors(failure):
            if failure.exists():
                failure.unlink()
                _sync_folder(failure.parent)
                self._drop_empty_folders(failure.parent)

    def publish_failure(self, name: str, record: BaseModel) -> None:
        """Record that a pair failed.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with _storage_errors(self.failure_path(name)):
            self._write(self.failure_path(name), _json(record))

    def _drop_empty_folders(self, folder: Path) -> None:
        while folder != self.root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _check_inside(self, target: Path) -> None:
        if not target.parent.resolve().is_relative_to(self.root.resolve()):
            raise StorageError(
                f"{target}: a link in the outbox leads out of it.", "Remove the link or use another name."
            )

    def _mark(self, picture: Path) -> Path:
        return self._pending / _short(picture.relative_to(self.root))

    def _write(self, target: Path, data: bytes) -> None:
        self._check_inside(target)
        missing = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _sync_folder(folder.parent)
        # Of one length for all, so that a result's own name may have all the length there is.
        temporary = self._temporary / _short(target)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)


def _short(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]


def _json(record: BaseModel) -> bytes:
    return (record.model_dump_json(indent=2) + "\n").encode()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        at = f" ({error.filename})" if error.filename and str(error.filename) != str(target) else ""
        raise StorageError(
            f"{target}: cannot be written: {error.strerror}{at}.",
            "Free space or mend permissions; then run the same command again to continue.",
        ) from error
