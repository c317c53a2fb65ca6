"""Marks: the owner of a result's name, and the number of its unfinished attempts.

Several processes may share an outbox, since a name has one owner. A process that finds attempts in a mark that no
process is making knows that a process died during them.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
from typing import TYPE_CHECKING, Final, Literal

from filelock import FileLock, Timeout

from pipeline.disk import exists, put, storage_errors
from pipeline.errors import OccupiedError, StorageError, SupersededError
from pipeline.outbox.mark_files import RUN, Mark, MarkFiles
from pipeline.outbox.ownership import own_claim
from pipeline.outbox.paths import STATE_FOLDER, check_folder, check_inside, name_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path, PurePath

    from pipeline.disk import Disk

_ACQUITTED: Final = "acquitted"
"""Name of the file with the number that `Marks.acquitted` returns."""
_LOCK_SECONDS: Final = 30.0
"""Longest wait for another process that chooses a name, in seconds."""


Owner = Literal["we", "at work", "stranger"]
"""Owner of a mark, as seen by the process that asks: this process, another process at work, or an unknown one."""

NameState = Literal["ours", "in work", "taken", "free"]
"""State of a result's name: the asking process works on it, another one works on it with the same key, it is taken, or
it is free."""


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
        with name_errors(self._root, picture):
            check_inside(self._root, picture)
            mark = self._files.read(file_name)  # read before the metadata, since it is removed after that is written
            if mark is not None:
                owner = find_owner(mark.owner)
                if owner == "we":
                    return "ours"
                if owner == "at work" or not self._drop_if_abandoned(file_name, mark):
                    return "in work" if owner == "at work" and key is not None and mark.key == key else "taken"
            if exists(self._disk, self._root / f"{file_name}.json") or exists(self._disk, picture):
                return "taken"
        return "free"

    def check_free(self, file_name: str, owner: str = RUN) -> None:
        """Check that a result of this owner can have a name.

        Raises:
            OccupiedError: a file of this name is no result of impasto, a watcher works on the name, or its folder
                cannot be written.
            SupersededError: another worker has taken the job over.
            StorageError: the outbox cannot be read, or it cannot be written at all.
        """
        picture = self._root / file_name
        with name_errors(self._root, picture):
            check_inside(self._root, picture)
            mark = self._files.read(file_name)
            if mark is not None and mark.owner != owner and owner == RUN:
                raise OccupiedError(f"{file_name}: a watcher works on this name.", self._remedy_for(file_name, mark))
            if owner != RUN and (mark is None or mark.owner != owner):
                raise SupersededError(f"{file_name}: another worker has taken this job over.")
            self._check_own(file_name, mark)
            check_folder(self._root, picture)

    def _check_own(self, file_name: str, mark: Mark | None) -> None:
        """Check that files of a result's names, if there are any, are impasto's own."""
        has_metadata = own_claim(self._disk, self._root, file_name) is not None
        if not has_metadata and exists(self._disk, self._root / f"{file_name}.json"):
            raise OccupiedError(
                f"{file_name}.json: a file of this name exists already and is no metadata of this result.",
                "Move it away, or give the pair another output.",
            )
        if exists(self._disk, self._root / file_name) and not self._is_own_picture(
            file_name, mark, has_metadata=has_metadata
        ):
            raise OccupiedError(
                f"{file_name}: a file of this name exists already and is no result of impasto.",
                "Move it away, or give the pair another output.",
            )

    def _is_own_picture(self, file_name: str, mark: Mark | None, *, has_metadata: bool) -> bool:
        picture = self._root / file_name
        if not stat.S_ISREG(self._disk.lstat(picture).st_mode):
            return False  # impasto makes no links and no other files
        if has_metadata or mark is None or not mark.publishing:
            return has_metadata
        return not mark.pictures or _sha256(self._disk.read(picture)) in mark.pictures

    def is_half_result(self, path: PurePath) -> bool:
        """Whether a picture was published without metadata, by its path relative to the outbox.

        Raises:
            StorageError: the outbox cannot be read.
        """
        file_name = path.as_posix()
        with name_errors(self._root, self._root / path):
            mark = self._files.read(file_name)
            return mark is not None and self._is_own_picture(file_name, mark, has_metadata=False)

    def _remedy_for(self, file_name: str, mark: Mark) -> str:
        watcher = f"the watcher of {mark.spool}" if mark.spool else "the watcher"
        where = f" on {mark.host}" if mark.host else ""
        path = self._files.path(file_name)
        return f"Try again when it is done. If {watcher}{where} is gone for good, remove {path}."

    def _drop_if_abandoned(self, file_name: str, mark: Mark) -> bool:
        """Remove a mark with which nobody will go on, and its picture without metadata; to be called while `locked`."""
        if not mark.is_abandoned:
            return False
        self.remove_half_result(file_name, mark.owner)
        self._disk.unlink(self._files.path(file_name))
        return True

    def read(self, file_name: str) -> Mark | None:
        """Return the mark of a name; None if nobody works on it.

        Raises:
            StorageError: it cannot be read.
        """
        with name_errors(self._root, self.folder):
            return self._files.read(file_name)

    def write(self, file_name: str, mark: Mark) -> None:
        """Replace the mark of a name, durably.

        Raises:
            StorageError: the outbox cannot be written.
        """
        path = self._files.path(file_name)
        with name_errors(self._root, path):
            put(self._disk, path, mark.model_dump_json().encode(), self._temporary / f"{path.name}.mark")

    def begin_publishing(self, file_name: str, owner: str, sha256: str) -> bool:
        """Mark a name before its picture appears, so that a picture without metadata is known as a result of impasto.

        Args:
            file_name: name of the result.
            owner: owner of the name.
            sha256: hash of the picture.

        Returns:
            Whether an older result has the name, which the picture will replace.

        Raises:
            OccupiedError: see `check_free`.
            SupersededError: see `check_free`.
            StorageError: the outbox cannot be written.
        """
        picture = self._root / file_name
        with self.locked(), name_errors(self._root, picture):
            self.check_free(file_name, owner)
            mark = self._files.read(file_name) or Mark(owner=owner)
            has_older = exists(self._disk, picture)
            pictures = (_sha256(self._disk.read(picture)), sha256) if has_older else (sha256,)
            self.write(file_name, mark.model_copy(update={"publishing": True, "pictures": pictures}))
        return has_older

    def end_publishing(self, file_name: str, owner: str) -> None:
        """Remove the mark of a name whose metadata has been written; the mark of another owner stays.

        Raises:
            StorageError: the outbox cannot be written.
        """
        path = self._files.path(file_name)
        with name_errors(self._root, path):
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
        with self.locked():
            mark = self.read(file_name)
            if mark is not None and mark.owner != owner == RUN:
                with name_errors(self._root, self._root / file_name):
                    self._drop_if_abandoned(file_name, mark)
            try:
                self.check_free(file_name, owner)
            except (OccupiedError, SupersededError):
                return 0
            mark = self.read(file_name) or Mark(owner=owner)
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
        with name_errors(self._root, picture):
            is_published = mark.publishing and exists(self._disk, picture)
            if attempts or (is_published and own_claim(self._disk, self._root, file_name) is None):
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

    def count_alone(self, file_name: str, owner: str) -> None:
        """Count the present attempt as one beside which no other pair was in progress.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark = self.read(file_name)
        if mark is not None and mark.owner == owner:
            self.write(file_name, mark.model_copy(update={"alone": min(mark.attempts, mark.alone + 1)}))

    def acquitted(self) -> int:
        """Return the number of times that a process died during a pair alone which was rendered later.

        Raises:
            StorageError: it cannot be read.
        """
        path = self._root / STATE_FOLDER / _ACQUITTED
        with name_errors(self._root, path):
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
        with name_errors(self._root, path):
            put(self._disk, path, str(number).encode(), self._temporary / _ACQUITTED)

    def remove_half_result(self, file_name: str, owner: str) -> None:
        """Remove a picture of this owner that was published without metadata and will never have any.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark, picture = self.read(file_name), self._root / file_name
        if mark is None or mark.owner != owner or not mark.publishing:
            return
        with name_errors(self._root, picture):
            has_metadata = own_claim(self._disk, self._root, file_name) is not None
            if (
                not has_metadata
                and exists(self._disk, picture)
                and self._is_own_picture(file_name, mark, has_metadata=has_metadata)
            ):
                self._disk.unlink(picture)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
