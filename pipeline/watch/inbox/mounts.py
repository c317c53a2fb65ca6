"""File systems that several machines share: some changes cause no event there, and locks may not work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_SHARED: Final = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb2|9p|drvfs|afs|ceph|lustre|glusterfs|fuse(\..*)?|fuseblk|vboxsf|virtiofs|vmhgfs|prl_fs|"
    r"davfs|ncpfs|beegfs|gpfs"
)
"""Types of network file systems, and of folders that a host shares with its guest."""


def is_shared(path: Path) -> bool:
    """Whether other machines may write to a folder without an event here; False if its file system is unknown."""
    kind = file_system_of(path)
    return kind is not None and _SHARED.fullmatch(kind) is not None


def file_system_of(path: Path) -> str | None:
    """Return the type of the file system that a folder is on, such as `ext4`; None if the system does not report it."""
    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:
        return None
    folder = path.resolve()
    found = None
    for partition in partitions:
        # The innermost mount counts; of several on one mount point the last counts, since it hides the others.
        if folder.is_relative_to(partition.mountpoint) and (
            found is None or len(partition.mountpoint) >= len(found.mountpoint)
        ):
            found = partition
    return found.fstype if found else None
