"""Painted films in the outbox, and the extracted frames of their originals, which `.impasto/films` keeps."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.disk import exists, make_folders, move, move_without_replacing, put, storage_errors
from pipeline.errors import OccupiedError
from pipeline.images.films.description import ENDINGS
from pipeline.images.films.reading import hash_of
from pipeline.outbox.paths import STATE_FOLDER, check_inside
from pipeline.outbox.writing import short_name, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.disk import Disk
    from pipeline.outbox.publish import Outbox


class FilmRecord(BaseModel):
    """The record of a painted film, which is written before the film is put into place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Path of the film in the outbox."""
    key: str
    """Hash over the keys of its frames and the settings of its encoding."""
    sha256: str
    earlier_sha256: str = ""
    """Hash of the film that it replaces."""


def folder_of_frames(outbox: Path) -> Path:
    """Return the folder for the extracted frames of all films."""
    return outbox / STATE_FOLDER / "films"


def published_films(outbox: Path) -> list[str]:
    """Return the paths of the painted films that an outbox has.

    Raises:
        OSError: the outbox cannot be read.
    """
    found = []
    for path in sorted((folder_of_frames(outbox) / "published").glob("*.json")):
        try:
            record = FilmRecord.model_validate_json(path.read_bytes())
        except ValidationError:  # of another version
            continue
        if (outbox / record.path).is_file():
            found.append(record.path)
    return found


def is_painted_film(path: Path) -> bool:
    """Whether a file is a painted film of an outbox, by the record that one of the folders above it has.

    Raises:
        OSError: the disk or the network failed.
    """
    if path.suffix.lower() not in ENDINGS:
        return False
    real = Path(os.path.realpath(path.parent)) / path.name
    for root in real.parents:
        name = real.relative_to(root).as_posix()
        with contextlib.suppress(PermissionError):  # then this is not our outbox
            if _record_of(root, name).is_file():
                return True
    return False


def _record_of(root: Path, name: str) -> Path:
    """Return the path of the record of a painted film."""
    return folder_of_frames(root) / "published" / f"{short_name(Path(name))}.json"


class FilmFiles:
    """The painted films of an outbox. Only the process that has the outbox's lock uses it."""

    def __init__(self, outbox: Outbox, disk: Disk) -> None:
        self._root, self._disk = outbox.root, disk
        self._temporary = outbox.root / STATE_FOLDER / "tmp" / outbox.process

    def find(self, name: str) -> FilmRecord | None:
        """Return the record of a painted film; None if there is none."""
        try:
            return FilmRecord.model_validate_json(self._disk.read(self._record(name)))
        except (FileNotFoundError, ValidationError):
            return None

    def is_current(self, name: str, key: str) -> bool:
        """Whether the outbox has the film with this key, unchanged."""
        record, target = self.find(name), self._root / name
        return record is not None and record.key == key and target.is_file() and hash_of(target) == record.sha256

    def publish(self, name: str, key: str, write: Callable[[Path], None]) -> None:
        """Let a function write a film, and put it into place, whole.

        Args:
            name: path of the film in the outbox.
            key: key of the film.
            write: writes the film to a path; its errors are passed on.

        Raises:
            OccupiedError: another program's file has this name.
            StorageError: the outbox cannot be written.
        """
        target = self._root / name
        temporary = self._temporary / f"{short_name(target)}{target.suffix}"
        with storage_errors(self._root):
            for folder in (self._record(name).parent, self._temporary, target.parent):
                make_folders(self._disk, folder)
            check_inside(self._root, target)
            earlier = self._own_hash(name)
            write(temporary)
            self._disk.sync_file(temporary)
            record = FilmRecord(path=name, key=key, sha256=hash_of(temporary), earlier_sha256=earlier)
            put(self._disk, self._record(name), to_json(record), self._temporary / f"{short_name(target)}.json")
            if earlier:
                move(self._disk, temporary, target)
            elif not move_without_replacing(self._disk, temporary, target):
                raise _occupied(target)

    def _own_hash(self, name: str) -> str:
        """Return the hash of the film that is there now; empty if there is none.

        Raises:
            OccupiedError: it is not ours.
        """
        target, record = self._root / name, self.find(name)
        if not exists(self._disk, target):
            return ""
        found = hash_of(target)
        if record is None or found not in (record.sha256, record.earlier_sha256):
            raise _occupied(target)
        return found

    def _record(self, name: str) -> Path:
        return _record_of(self._root, name)


def _occupied(target: Path) -> OccupiedError:
    return OccupiedError(
        f"{target}: a file that impasto has not written has the name of a film.", "Move it, or name the film otherwise."
    )
