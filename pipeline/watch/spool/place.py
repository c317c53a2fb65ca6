"""The place of a spool: its folder, the inbox that it serves, and whether somebody else made it."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.disk import make_folders, put
from pipeline.errors import UsageError
from pipeline.text import encodable

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk

EVENT_PROBE_PREFIX: Final = ".impasto-alive-"
"""Start of the name of a file that a worker makes in the inbox to see whether events arrive."""
PROBE_PREFIX: Final = ".impasto-probe-"
"""Start of the name of a file that is made in the inbox to try what can be done there."""
SPOOL_MODE: Final = 0o755
"""Permissions of the spool's folders: only their owner may write, whatever the umask says."""
RECORD: Final = "inbox.json"


class InboxRecord(BaseModel):
    """Content of inbox.json: the inbox of a spool, known by its path or, on the spool's file system, by its inode."""

    model_config = ConfigDict(frozen=True)

    path: str
    device: int = Field(description="st_dev; after a restart or on another machine it may differ")
    inode: int


@dataclass(frozen=True)
class SpoolPlace:
    """A spool, its inbox, and the worker that uses both."""

    root: Path
    """Folder of the spool."""
    inbox: Path
    disk: Disk
    worker: str
    """Name of the worker: host, process id and random digits, joined by `-`."""

    @property
    def folder(self) -> Path:
        """Folder of the worker in the spool."""
        return self.root / "work" / self.worker

    def make(self, folder: Path) -> None:
        """Make a folder of the spool and its missing parents, durably."""
        make_folders(self.disk, folder, SPOOL_MODE)


def make_spool(disk: Disk, root: Path, inbox: Path) -> None:
    """Make the folder of a spool unless it exists, and check that it can be trusted and is this inbox's.

    Raises:
        UsageError: somebody else may have put it there, or it is another inbox's.
        OSError: the spool cannot be made or read.
    """
    for folder in (inbox, root):
        disk.guard(folder)
    is_inside = root.is_relative_to(inbox)
    try:
        make_folders(disk, root, SPOOL_MODE)
    except NotADirectoryError:
        if is_inside:
            check_owner(disk, root, inbox)
        raise
    if is_inside:  # a folder elsewhere is one that the user named
        check_owner(disk, root, inbox)
    _check_inbox(disk, root, inbox)


def check_owner(disk: Disk, root: Path, inbox: Path) -> None:
    """Check that a spool in an inbox is a folder that this user, root or the inbox's owner made.

    Whoever may drop files could make it first: a link, or a folder in which everything may be exchanged later.

    Raises:
        UsageError: it is none, or belongs to another user.
        OSError: it cannot be read.
    """
    status = disk.lstat(root)
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(
            f"{root}: is a link or a file in place of the folder for claimed files. Somebody else may have made it.",
            "Remove it, or set watch.spool to a folder on the inbox's file system.",
        )
    trusted = {os.geteuid(), 0, disk.lstat(inbox).st_uid}
    if status.st_uid not in trusted and status.st_uid != _own_number(disk, inbox):
        raise UsageError(
            f"{root}: belongs to another user (number {status.st_uid}), who may exchange the files in it.",
            "If you know why, change its owner (chown -R). Otherwise remove it, or set watch.spool to a folder on the "
            "inbox's file system.",
        )


def _own_number(disk: Disk, inbox: Path) -> int:
    """Return this user's number on the inbox's file system, which differs there if the server maps users."""
    probe = inbox / f"{PROBE_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
    disk.create(probe)
    try:
        return disk.lstat(probe).st_uid
    finally:
        with contextlib.suppress(FileNotFoundError):
            disk.unlink(probe)


def _check_inbox(disk: Disk, root: Path, inbox: Path) -> None:
    """Check that a spool is not another inbox's.

    An inbox that was made again has its old path, and one that was moved has its old inode. The spool in an inbox is
    always its own, even if both were copied.
    """
    known, now = _known_inbox(disk, root), _record_of(disk, inbox)
    if known is None or root.parent == inbox or known.path == now.path or known.inode == now.inode:
        return
    raise UsageError(
        f"watch.spool = {root}: is the spool of another inbox, {known.path}, so its photographs would come here.",
        f"Give each inbox a spool of its own. If {inbox} is that inbox, copied to here, remove {root / RECORD}.",
    )


def record_inbox(disk: Disk, root: Path, inbox: Path) -> None:
    """Record which inbox a spool serves; `make_spool` has checked that it is no other's."""
    record = _record_of(disk, inbox)
    if _known_inbox(disk, root) == record:
        return
    data = (record.model_dump_json(indent=2) + "\n").encode()
    try:
        put(disk, root / RECORD, data, root / f".{RECORD}.tmp")
    except FileNotFoundError:  # another watcher of this inbox has just renamed it
        disk.lstat(root / RECORD)


def _known_inbox(disk: Disk, root: Path) -> InboxRecord | None:
    try:
        return InboxRecord.model_validate_json(disk.read(root / RECORD))
    except (FileNotFoundError, ValidationError):
        return None


def _record_of(disk: Disk, inbox: Path) -> InboxRecord:
    status = disk.lstat(inbox)
    return InboxRecord(path=encodable(str(inbox)), device=status.st_dev, inode=status.st_ino)
