"""Failure records: the files in `failed/` that say why pairs have no result.

A record has the name of its pair's result. Photographs may share that name, such as a.jpg and a.png in a drop folder,
and other people's files may have it. Then a record gets a longer name: it replaces and removes only records of its own
pair. A pair is known by its photograph and style, or by its key if a file was moved.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.disk import exists, storage_errors
from pipeline.errors import OccupiedError, StorageError
from pipeline.outbox.metadata import Failure
from pipeline.outbox.ownership import own_failure
from pipeline.outbox.paths import FAILED_FOLDER, check_inside, name_errors
from pipeline.outbox.writing import to_json, write_whole
from pipeline.trees import NOT_EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.metadata import PairPaths
    from pipeline.outbox.ownership import FailureClaim


class FailureRecords:
    """The failure records of an outbox. Any thread may call any method; different threads work on different pairs."""

    def __init__(self, root: Path, temporary: Path, disk: Disk) -> None:
        self._root, self._temporary, self._disk = root, temporary, disk
        self.folder = root / FAILED_FOLDER

    def path(self, name: str) -> Path:
        """Return the path of a failure record, by the pair's name without extension, unless another file has it."""
        return self.folder / f"{name}.json"

    def _paths(self, name: str, pair: PairPaths) -> Iterator[Path]:
        """Yield the paths that the record of a pair may have; the last needs no folder and no long name."""
        digest = _digest(pair.content, pair.style)
        yield self.path(name)
        yield self.path(f"{name}-{digest[:12]}")
        yield self.path(digest[:32])

    def find(self, name: str, pair: PairPaths, key: str | None) -> Failure | None:
        """Return the failure record of a pair; None if there is none that this version can read.

        Raises:
            StorageError: the outbox cannot be read.
        """
        with storage_errors(self.folder):
            for path in self._own_paths(name, pair, key):
                with contextlib.suppress(FileNotFoundError, ValidationError):
                    return Failure.model_validate_json(self._disk.read(path))
        return None

    def _own_paths(self, name: str, pair: PairPaths, key: str | None) -> Iterator[Path]:
        """Yield the paths of a pair's own records."""
        if exists(self._disk, self.folder):
            for path in self._paths(name, pair):
                claim = own_failure(self._disk, path)
                if claim is not None and _is_of(claim, pair, key):
                    yield path

    def publish(self, name: str, record: Failure) -> None:
        """Record that a pair failed, in place of an older record of the same pair.

        Raises:
            OccupiedError: other files have all names that the record could have.
            StorageError: the outbox cannot be written.
        """
        refusal: OccupiedError | None = None
        for path in self._paths(name, record.pair):
            try:
                with name_errors(self._root, path):
                    self._write(path, record)
            except OccupiedError as error:
                if path in self._own_paths(name, record.pair, record.key):  # written, but perhaps not durably
                    raise StorageError(error.message, error.remedy) from error
                refusal = refusal or error
            else:
                return
        if refusal is not None:
            raise refusal

    def _write(self, path: Path, record: Failure) -> None:
        check_inside(self._root, path)
        claim = own_failure(self._disk, path)
        is_own = claim is not None and _is_of(claim, record.pair, record.key)
        # Without an own record to replace, FileExistsError if any file is there.
        write_whole(self._disk, path, to_json(record), self._temporary, replaces=is_own)

    def forget(self, name: str, pair: PairPaths, key: str | None) -> None:
        """Remove the failure record of a pair that is done, if there is one.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with storage_errors(self.folder):
            for path in self._own_paths(name, pair, key):
                self._remove(path)

    def remove(self, path: Path) -> bool:
        """Remove a failure record, whichever pair it is of; return False if the file is none.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with storage_errors(path):
            if own_failure(self._disk, path) is None:
                return False
            self._remove(path)
            return True

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # another thread was quicker
            self._disk.unlink(path)
            self._disk.sync_folder(path.parent)
            folder = path.parent
            while folder != self._root and not self._disk.entries(folder):
                try:
                    self._disk.rmdir(folder)
                except OSError as error:
                    if error.errno not in NOT_EMPTY:
                        raise
                    return
                folder = folder.parent


def name_of(path: str, claim: FailureClaim) -> str:
    """Return the name, without extension, of the result whose failure is recorded at a path relative to the outbox."""
    name = path.removeprefix(f"{FAILED_FOLDER}/").removesuffix(".json")
    return name.removesuffix(f"-{_digest(claim.pair.content, claim.pair.style)[:12]}")


def _digest(content: str, style: str) -> str:
    return hashlib.sha256(f"{content}\n{style}".encode()).hexdigest()


def _is_of(claim: FailureClaim, pair: PairPaths, key: str | None) -> bool:
    is_same_pair = (claim.pair.content, claim.pair.style) == (pair.content, pair.style)
    return is_same_pair or (key is not None and claim.key == key)
