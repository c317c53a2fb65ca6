"""Marks: the owner of a result's name, and the number of its unfinished attempts.

Several processes may share an outbox, since a name has one owner. A process that finds attempts in a mark that no
process is making knows that a process died during them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.disk import exists, put, storage_errors
from pipeline.errors import OccupiedError, StorageError, SupersededError
from pipeline.outbox.paths import STATE_FOLDER, check_inside, name_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.disk import Disk

RUN: Final = "run"
"""Owner of the names of a manifest's results; at most one run works on an outbox at a time."""
_ACQUITTED: Final = "acquitted"
"""Name of the file with the number that `Marks.acquitted` returns."""
_LOCK_SECONDS: Final = 30.0
"""Longest wait for another process that chooses a name, in seconds."""


class Mark(BaseModel):
    """The file that says which owner works on a name."""

    model_config = ConfigDict(frozen=True)

    owner: str = RUN
    key: str | None = None
    attempts: int = Field(0, ge=0, description="attempts that began and have not ended")
    alone: int = Field(0, ge=0, description="those of the attempts that began while no other pair was in progress")
    publishing: bool = Field(
        default=False, description="whether a picture of this name without metadata is a result of impasto"
    )


Owner = Literal["we", "at work", "stranger"]
"""Owner of a mark, as seen by the process that asks: this process, another process at work, or an unknown one."""

NameState = Literal["ours", "in work", "taken", "free"]
"""State of a result's name: the asking process works on it, another one works on it with the same key, it is taken, or
it is free."""


class MarkFiles:
    """The files of the marks, one for each name; names that some file system does not distinguish share one file."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self.folder, self._disk = root / STATE_FOLDER / "pending", disk

    def path(self, file_name: str) -> Path:
        """Return the path of a result's mark."""
        return self.folder / short_name(Path(unicodedata.normalize("NFC", file_name).casefold()))

    def read(self, file_name: str) -> Mark | None:
        """Return the mark of a name; None if nobody works on it.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return Mark.model_validate_json(self._disk.read(self.path(file_name)))
        except FileNotFoundError:
            return None
        except ValidationError:  # of an older version, which left the file empty
            return Mark(publishing=True)


class Marks:
    """The marks of an outbox.

    A mark that is written is durable before the method returns. A removal is not synced: after a power cut the mark may
    be there again, so that an attempt counts as unfinished; a result with metadata still counts as done. Any thread may
    call any method; a name has one owner, and within a process one thread that works on it.
    """

    def __init__(self, root: Path, temporary: Path, disk: Disk) -> None:
        self._root, self._temporary, self._disk = root, temporary, disk
        self._files = MarkFiles(root, disk)
        self.folder = self._files.folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which the state of a name is read and the name is then marked.

        Raises:
            StorageError: the outbox cannot be locked.
        """
        with storage_errors(self._root):
            lock = FileLock(self._root / STATE_FOLDER / "names.lock", timeout=_LOCK_SECONDS)
            try:
                lock.acquire()
            except Timeout as error:
                raise StorageError(
                    f"{lock.lock_file}: another process has held this lock for {_LOCK_SECONDS:.0f} s.",
                    "Check whether that process hangs.",
                ) from error
        try:
            yield
        finally:
            lock.release()

    def name_state(self, file_name: str, key: str | None, find_owner: Callable[[str], Owner]) -> NameState:
        """Return whether a result can have a name; to be called while `locked`.

        Args:
            file_name: name of the result.
            key: key of the pair; None if its inputs cannot be read.
            find_owner: returns whether a mark's owner is the caller, another process at work, or unknown.

        Raises:
            OccupiedError: a link in the outbox leads out of it, or a file is where a folder should be.
            StorageError: the outbox cannot be read.
        """
        picture = self._root / file_name
        with name_errors(picture):
            check_inside(self._root, picture)
            mark = self._files.read(file_name)  # read before the metadata, since it is removed after that is written
            if mark is not None:
                owner = find_owner(mark.owner)
                if owner == "we":
                    return "ours"
                return "in work" if owner == "at work" and key is not None and mark.key == key else "taken"
            if self._has_metadata(file_name) or exists(self._disk, picture):
                return "taken"
        return "free"

    def check_free(self, file_name: str, owner: str = RUN) -> None:
        """Check that a result of this owner can have a name.

        Raises:
            OccupiedError: a file of this name is no result of impasto, or a watcher works on the name.
            SupersededError: another worker has taken the job over.
            StorageError: the outbox cannot be read.
        """
        picture = self._root / file_name
        with name_errors(picture):
            check_inside(self._root, picture)
            mark = self._files.read(file_name)
            if mark is not None and mark.owner != owner and owner == RUN:
                raise OccupiedError(f"{file_name}: a watcher works on this name.", "Try again when it is done.")
            if owner != RUN and (mark is None or mark.owner != owner):
                raise SupersededError(f"{file_name}: another worker has taken this job over.")
            is_ours = (mark is not None and mark.publishing) or self._has_metadata(file_name)
            if not is_ours and exists(self._disk, picture):
                raise OccupiedError(
                    f"{file_name}: a file of this name exists already and is no result of impasto.",
                    "Move it away, or give the pair another output.",
                )

    def read(self, file_name: str) -> Mark | None:
        """Return the mark of a name; None if nobody works on it.

        Raises:
            StorageError: it cannot be read.
        """
        with name_errors(self.folder):
            return self._files.read(file_name)

    def write(self, file_name: str, mark: Mark) -> None:
        """Replace the mark of a name, durably.

        Raises:
            StorageError: the outbox cannot be written.
        """
        path = self._files.path(file_name)
        with name_errors(path):
            put(self._disk, path, mark.model_dump_json().encode(), self._temporary / f"{path.name}.mark")

    def begin_publishing(self, file_name: str, owner: str) -> None:
        """Mark a name before its picture appears, so that a picture without metadata is known as a result of impasto.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark = self.read(file_name) or Mark(owner=owner)
        self.write(file_name, mark.model_copy(update={"publishing": True}))

    def end_publishing(self, file_name: str, owner: str) -> None:
        """Remove the mark of a name whose metadata has been written; the mark of another owner stays.

        Raises:
            StorageError: the outbox cannot be written.
        """
        path = self._files.path(file_name)
        with name_errors(path):
            mark = self._files.read(file_name)
            if mark is not None and mark.owner == owner:
                self._disk.unlink(path)

    def begin_attempt(self, file_name: str, owner: str, key: str | None, *, alone: bool = False) -> int:
        """Count a new attempt on a name, durably, and return the number of unfinished attempts before it.

        The caller counts an attempt before it decodes a file, since a damaged file may end the process. A name that
        this owner cannot have keeps its mark, and nothing is counted; see `check_free`.

        Args:
            file_name: name of the result.
            owner: owner that makes the attempt.
            key: key of the pair; None if its inputs cannot be read.
            alone: whether no other pair is in progress in this process during the attempt.

        Raises:
            StorageError: the outbox cannot be written.
        """
        try:
            self.check_free(file_name, owner)
        except (OccupiedError, SupersededError):
            return 0
        mark = self.read(file_name)
        if mark is None or mark.owner != owner:
            mark = Mark(owner=owner)
        counts = {"attempts": mark.attempts + 1, "alone": mark.alone + alone}
        self.write(file_name, mark.model_copy(update={"key": key, **counts}))
        return mark.attempts

    def end_attempt(self, file_name: str, owner: str, *, take_back: bool = False, alone: bool = False) -> None:
        """Forget the attempts on a name, since one has ended.

        A name that has a picture without metadata stays marked, so that the picture is known as a result of impasto.

        Args:
            file_name: name of the result.
            owner: owner that made the attempts; the mark of another owner stays as it is.
            take_back: forget only the last attempt, which ended without an outcome.
            alone: whether the last attempt began as one without other pairs.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark = self.read(file_name)
        if mark is None or mark.owner != owner:
            return
        attempts = max(0, mark.attempts - 1) if take_back else 0
        counts = {"attempts": attempts, "alone": min(attempts, max(0, mark.alone - alone))}
        picture = self._root / file_name
        with name_errors(picture):
            is_published = mark.publishing and exists(self._disk, picture)
            if attempts or (is_published and not self._has_metadata(file_name)):
                self.write(file_name, mark.model_copy(update=counts))
            else:
                self._disk.unlink(self._files.path(file_name))

    def restart_count(self, file_name: str, owner: str) -> None:
        """Count the present attempt as the first, since it has got further than the attempts before it.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark = self.read(file_name)
        if mark is not None and mark.owner == owner and mark.attempts > 1:
            self.write(file_name, mark.model_copy(update={"attempts": 1, "alone": min(1, mark.alone)}))

    def acquitted(self) -> int:
        """Return the number of times that a process died during a pair alone which was rendered later.

        Raises:
            StorageError: it cannot be read.
        """
        path = self._root / STATE_FOLDER / _ACQUITTED
        with name_errors(path):
            try:
                return int(self._disk.read(path))
            except (FileNotFoundError, ValueError):  # a damaged number says nothing
                return 0

    def acquit(self, deaths: int) -> None:
        """Add to the number that `acquitted` returns.

        Two processes that add at the same moment may lose one of the numbers, which only makes them more cautious.

        Raises:
            StorageError: the outbox cannot be written.
        """
        number, path = self.acquitted() + deaths, self._root / STATE_FOLDER / _ACQUITTED
        with name_errors(path):
            put(self._disk, path, str(number).encode(), self._temporary / _ACQUITTED)

    def remove_half_result(self, file_name: str, owner: str) -> None:
        """Remove a picture of this owner that was published without metadata and will never have any.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark, picture = self.read(file_name), self._root / file_name
        if mark is None or mark.owner != owner or not mark.publishing:
            return
        with name_errors(picture):
            if exists(self._disk, picture) and not self._has_metadata(file_name):
                self._disk.unlink(picture)

    def _has_metadata(self, file_name: str) -> bool:
        return exists(self._disk, self._root / f"{file_name}.json")


def short_name(path: Path) -> str:
    """Return a name of 32 characters for a path of any length."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
