"""The outbox: results appear whole or not at all, and stay after a power cut.

Order of a publication: the name is marked as in work, the old metadata goes, the picture is renamed into place, then
the new metadata; the mark and an older failure record go. Each step is synced before the next. So metadata beside a
picture's name means that the picture is complete, and a crash in between leaves at most a picture without metadata,
which the next run renders again. A file that is neither marked nor has metadata is somebody else's, and is never
overwritten.

A mark says who works on a name, and how often that was begun: whoever finds attempts in it that nobody is making knows
that the process died over them. Several processes may share an outbox, since a name has one owner.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from pipeline.disk import Disk, exists, make_folders, put, remove_tree
from pipeline.errors import LockedError, OccupiedError, StorageError, SupersededError
from pipeline.outbox.marks import RUN, Mark, MarkFiles, short_name
from pipeline.outbox.working_files import CheckpointFiles, Previews, Thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from pipeline.outbox.marks import NameState, Owner

logger = logging.getLogger(__name__)

FAILED_FOLDER = "failed"
STATE_FOLDER = ".impasto"
RESERVED = frozenset({FAILED_FOLDER, STATE_FOLDER})
LONGEST_NAME_BYTES = 255
_OF_ONE_NAME: Final = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""How a system says that a name is the trouble, not the disk."""
_USED_AGAIN: Final = frozenset({errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST})
"""How it says that a folder which was empty is not, or has been removed already."""


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

    def __init__(self, root: Path, disk: Disk | None = None, process: str = RUN) -> None:
        """As `process`, which names the folder for what is half written."""
        self.root, self.process = root, process
        self._disk = disk or Disk()
        self._state = root / STATE_FOLDER
        self._temporary = self._state / "tmp" / process
        self._marks = MarkFiles(self._state / "pending", self._disk)
        self.checkpoints = CheckpointFiles(self._state / "checkpoints", self._temporary, self._disk)
        """Of pairs in work."""
        self.previews = Previews(self._state / "preview", self._temporary, self._disk)
        """Of pairs in work, likewise."""
        self.thumbnails = Thumbnails(self._state / "thumbnails", self._disk)

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
    def opened(self) -> Iterator[None]:
        """Use the outbox beside other processes; it is made if need be.

        Raises:
            StorageError: it cannot be made or written.
        """
        with _storage_errors(self.root, of_all=True):
            make_folders(self._disk, self._temporary)
            make_folders(self._disk, self._marks.folder)
        try:
            yield
        finally:
            with _storage_errors(self.root, of_all=True):
                remove_tree(self._disk, self._temporary)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only run of a manifest in this outbox; what a killed one left half written is removed.

        Raises:
            LockedError: another run holds it.
            StorageError: it cannot be made or written.
        """
        with _storage_errors(self.root, of_all=True):
            make_folders(self._disk, self._state)
            lock = FileLock(self._state / "lock", timeout=0)
            try:
                lock.acquire()
            except Timeout as error:
                raise LockedError(
                    f"{self.root}: another run works on this outbox.", "Wait for it, or use another outbox."
                ) from error
        with contextlib.ExitStack() as stack:
            stack.callback(lock.release)  # also when clearing away fails
            self.clear_temporary(RUN)
            stack.enter_context(self.opened())
            with _storage_errors(self.root, of_all=True):
                self.previews.clear()
            yield

    def clear_temporary(self, process: str) -> None:
        """Remove what a process left half written that is not there any more.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with _storage_errors(self.root, of_all=True):
            remove_tree(self._disk, self._temporary.with_name(process))

    @contextlib.contextmanager
    def choosing(self) -> Iterator[None]:
        """Look at names and mark one while nobody else does.

        Raises:
            StorageError: the outbox cannot be locked.
        """
        with _storage_errors(self.root, of_all=True):
            lock = FileLock(self._state / "names.lock", timeout=30)
            try:
                lock.acquire()
            except Timeout as error:
                raise StorageError(
                    f"{lock.lock_file}: another process has held this lock for 30 s.", "Look what it does."
                ) from error
        try:
            yield
        finally:
            lock.release()

    def state_of_name(self, file_name: str, key: str | None, find_owner: Callable[[str], Owner]) -> NameState:
        """Whether a result can have a name; ask while `choosing`.

        Args:
            file_name: the name.
            key: of the pair.
            find_owner: who the owner of a mark is.

        Raises:
            OccupiedError: a link in the outbox leads out of it, or a file is where a folder should be.
            StorageError: it cannot be read.
        """
        picture = self.picture_path(file_name)
        with _storage_errors(picture):
            self._check_inside(picture)
            mark = self._marks.read(file_name)  # first: it goes only after the metadata is there
            if mark is not None:
                owner = find_owner(mark.owner)
                if owner == "we":
                    return "ours"
                return "in work" if owner == "at work" and key is not None and mark.key == key else "taken"
            if exists(self._disk, self.metadata_path(file_name)) or exists(self._disk, picture):
                return "taken"
        return "free"

    def mark(self, file_name: str, mark: Mark) -> None:
        """Say who works on a name, durably.

        Raises:
            StorageError: the outbox cannot be written.
        """
        path = self._marks.path(file_name)
        with _storage_errors(path):
            put(self._disk, path, mark.model_dump_json().encode(), self._temporary / f"{path.name}.mark")

    def read_mark(self, file_name: str) -> Mark | None:
        """Who works on a name; None if nobody does.

        Raises:
            StorageError: it cannot be read.
        """
        with _storage_errors(self._marks.folder):
            return self._marks.read(file_name)

    def begin_attempt(self, file_name: str, owner: str, key: str | None) -> int:
        """Count, durably, that work on a name begins, and give the number of attempts that nothing came of before.

        To be called before anything is decoded, since a damaged file may end the process. A name that is not to be had
        stays as it is; see `check_free`.

        Raises:
            StorageError: the outbox cannot be written.
        """
        try:
            self.check_free(file_name, owner)
        except (OccupiedError, SupersededError):
            return 0
        mark = self.read_mark(file_name)
        if mark is None or mark.owner != owner:
            mark = Mark(owner=owner)
        self.mark(file_name, mark.model_copy(update={"key": key, "attempts": mark.attempts + 1}))
        return mark.attempts

    def end_attempt(self, file_name: str, owner: str, *, take_back: bool = False) -> None:
        """Forget the attempts on a name, which have ended, or only the last, which was not really begun.

        A name under which a picture lies without metadata stays marked, so that it is known as ours.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark = self.read_mark(file_name)
        if mark is None or mark.owner != owner:
            return
        attempts = max(0, mark.attempts - 1) if take_back else 0
        picture = self.picture_path(file_name)
        with _storage_errors(picture):
            half = mark.publishing and exists(self._disk, picture)
            if attempts or (half and not exists(self._disk, self.metadata_path(file_name))):
                self.mark(file_name, mark.model_copy(update={"attempts": attempts}))
            else:
                self._disk.unlink(self._marks.path(file_name))

    def count_anew(self, file_name: str, owner: str) -> None:
        """The attempt in work has come further than those before it: they were not in vain.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark = self.read_mark(file_name)
        if mark is not None and mark.owner == owner and mark.attempts > 1:
            self.mark(file_name, mark.model_copy(update={"attempts": 1}))

    def drop_half(self, file_name: str, owner: str) -> None:
        """Remove a picture that was published without its metadata and never will have any.

        Raises:
            StorageError: the outbox cannot be written.
        """
        mark, picture = self.read_mark(file_name), self.picture_path(file_name)
        if mark is None or mark.owner != owner or not mark.publishing:
            return
        with _storage_errors(picture):
            if exists(self._disk, picture) and not exists(self._disk, self.metadata_path(file_name)):
                self._disk.unlink(picture)

    def check_free(self, file_name: str, owner: str = RUN) -> None:
        """See that a result can have this name.

        Raises:
            OccupiedError: there is a file of this name that is no result of ours, or somebody else works on it.
            SupersededError: another worker has taken the job over.
            StorageError: the outbox cannot be read.
        """
        picture = self.picture_path(file_name)
        with _storage_errors(picture):
            self._check_inside(picture)
            mark = self._marks.read(file_name)
            if mark is not None and mark.owner != owner and owner == RUN:
                raise OccupiedError(f"{file_name}: a watcher works on this name.", "Try again when it is done.")
            if owner != RUN and (mark is None or mark.owner != owner):
                raise SupersededError(f"{file_name}: another worker has taken this job over.")
            is_ours = (mark is not None and mark.publishing) or exists(self._disk, self.metadata_path(file_name))
            if not is_ours and exists(self._disk, picture):
                raise OccupiedError(
                    f"{file_name}: a file of this name is there already and is no result of impasto.",
                    "Move it away, or give the pair another output.",
                )

    def publish_picture(self, file_name: str, data: bytes, owner: str = RUN) -> str:
        """Put a picture into place, durably, and give its SHA-256; it counts only once its metadata is there, too.

        Raises:
            OccupiedError: see `check_free`.
            SupersededError: see `check_free`.
            StorageError: the outbox cannot be written; what was there before may have lost its metadata.
        """
        self.check_free(file_name, owner)
        mark = self.read_mark(file_name) or Mark(owner=owner)
        self.mark(file_name, mark.model_copy(update={"publishing": True}))
        with _storage_errors(self.picture_path(file_name)):
            metadata = self.metadata_path(file_name)
            if exists(self._disk, metadata):
                self._disk.unlink(metadata)
                self._disk.sync_folder(metadata.parent)
            self._write(self.picture_path(file_name), data)
        return hashlib.sha256(data).hexdigest()

    def publish_metadata(self, name: str, file_name: str, record: BaseModel, owner: str = RUN) -> None:
        """Commit a result: after this it is done, and an earlier failure is forgotten.

        Raises:
            SupersededError: see `check_free`.
            StorageError: the outbox cannot be written.
        """
        self.check_free(file_name, owner)
        with _storage_errors(self.metadata_path(file_name)):
            self._write(self.metadata_path(file_name), to_json(record))
            mark = self._marks.read(file_name)
            if mark is not None and mark.owner == owner:
                self._disk.unlink(self._marks.path(file_name))
        self.forget_failure(name)
        self._forget_preview(name)

    def forget_failure(self, name: str) -> None:
        """Remove the failure record of a pair that is done, if there is one.

        Raises:
            StorageError: the outbox cannot be written.
        """
        failure = self.failure_path(name)
        with _storage_errors(failure), contextlib.suppress(FileNotFoundError):  # another thread was quicker
            if exists(self._disk, failure):
                self._disk.unlink(failure)
                self._disk.sync_folder(failure.parent)
                self._drop_empty_folders(failure.parent)

    def publish_failure(self, name: str, record: BaseModel) -> None:
        """Record that a pair failed.

        Raises:
            StorageError: the outbox cannot be written.
        """
        with _storage_errors(self.failure_path(name)):
            self._write(self.failure_path(name), to_json(record))
        self._forget_preview(name)

    def _forget_preview(self, name: str) -> None:
        """A process that was killed has left it: who paints the pair removes it as the pair ends."""
        try:
            if exists(self._disk, self.previews.path(name)):
                self.previews.remove(name)
        except OSError as error:
            logger.warning("the preview of %s cannot be removed: %s", name, error)

    def _drop_empty_folders(self, folder: Path) -> None:
        while folder != self.root and not self._disk.entries(folder):
            try:
                self._disk.rmdir(folder)
            except OSError as error:
                if error.errno not in _USED_AGAIN:
                    raise
                return
            folder = folder.parent

    def _check_inside(self, target: Path) -> None:
        if not Path(os.path.realpath(target.parent)).is_relative_to(self.root.resolve()):  # loops are found later
            raise OccupiedError(
                f"{target}: a link in the outbox leads out of it.", "Remove the link or use another name."
            )

    def _write(self, target: Path, data: bytes) -> None:
        self._check_inside(target)
        # Of one length for all, so that a result's own name may have all the length there is.
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
    """A record as its file has it."""
    return (record.model_dump_json(indent=2) + "\n").encode()


@contextlib.contextmanager
def _storage_errors(target: Path, *, of_all: bool = False) -> Iterator[None]:
    """OSErrors as what they are for the user; `of_all`: they concern the whole outbox."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_ONE_NAME and not of_all:
            raise OccupiedError(
                f"{target}: the outbox cannot have this name: {error.strerror}.",
                "Move away what is in its place there, or give the pair another output.",
            ) from error
        at = f" ({error.filename})" if error.filename and str(error.filename) != str(target) else ""
        raise StorageError(
            f"{target}: cannot be written: {error.strerror}{at}.",
            "Free space or mend permissions; then run the same command again to continue.",
        ) from error
