"""Whether files of the inbox can be moved and read, as far as permissions and mounts show beforehand."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk

_OF_THIS_PROCESS = os.access in os.supports_effective_ids
"""Whether the system can tell the rights of the effective user, who may differ from the real one."""


class Rights:
    """Checks before a claim, so that a file that cannot be claimed costs no more than a few looks."""

    def __init__(self, disk: Disk, inbox: Path, spool: Path) -> None:
        self._disk, self._inbox, self._spool = disk, inbox, spool
        self._spool_device: int | None = None
        """Device of the spool's file system; None until it is known."""

    def why_not(self, name: str) -> str:
        """Return why a file cannot be claimed or read, and what to do; empty if nothing is known to prevent it.

        Args:
            name: path of the file in the inbox.
        """
        path = self._inbox / name
        try:
            folder = self._disk.lstat(path.parent)
            if why := self._why_not_from(path.parent, folder):
                return why
            if self._is_kept_by_sticky(folder, path):
                return (
                    f"cannot be moved by {_user()}: its folder is sticky (mode +t), and both belong to other users; "
                    f"remove that bit (chmod -t), or let {_user()} own the folder"
                )
        except OSError:  # the file or its folder is gone, or the claim explains the error
            return ""
        return self.why_unreadable(name)

    def why_unreadable(self, name: str) -> str:
        """Return why a file may not be read, and what to do; empty if it may be, or is gone."""
        path = self._inbox / name
        try:
            if not _may(path, os.R_OK) and self._disk.lstat(path):  # it is there
                return f"may not be read by {_user()}; correct its owner or permissions"
        except OSError:
            pass
        return ""

    def why_not_from(self, folder: Path) -> str:
        """Return why no file of a folder can be claimed, and what to do; empty if nothing is known to prevent it."""
        try:
            return self._why_not_from(folder, self._disk.lstat(folder))
        except OSError:
            return ""

    def _why_not_from(self, folder: Path, status: os.stat_result) -> str:
        if self._spool_device is None:
            self._spool_device = self._disk.lstat(self._spool).st_dev
        if status.st_dev != self._spool_device:
            return (
                "cannot be moved: its folder is on another file system than the spool, such as a mount of its own; "
                f"move the folder to the file system of {self._spool}, or let another watcher watch it"
            )
        if not _may(folder, os.W_OK | os.X_OK):
            return f"cannot be moved: {_user()} may not write to its folder; correct the folder's owner or permissions"
        return ""

    def _is_kept_by_sticky(self, folder: os.stat_result, path: Path) -> bool:
        return _keeps_files_of_others(folder) and self._disk.lstat(path).st_uid != os.geteuid()

    def keeps_files_of_others(self, folder: Path) -> bool:
        """Whether this user may move only files of its own out of a folder, since the folder is sticky."""
        try:
            return _keeps_files_of_others(self._disk.lstat(folder))
        except OSError:
            return False


def _keeps_files_of_others(folder: os.stat_result) -> bool:
    return bool(folder.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, folder.st_uid)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=_OF_THIS_PROCESS)


def _user() -> str:
    return f"the user {psutil.Process().username()}"
