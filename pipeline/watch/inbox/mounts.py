"""File systems that several machines share: some changes cause no event there, and locks may not work."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import psutil

_SHARED: Final = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb2|9p|drvfs|afs|ceph|lustre|glusterfs|fuse(\..*)?|fuseblk|vboxsf|virtiofs|vmhgfs|prl_fs|"
    r"davfs|ncpfs|beegfs|gpfs|afpfs|webdav"
)
"""Types of network file systems, and of folders that a host shares with its guest."""

MOUNT_TABLE: Final = Path("/proc/self/mountinfo")
"""File in which Linux lists the mounts that this process sees."""
_POINT: Final = 4
"""Index of the mount point in a line."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
"""An escaped character of a mount point, such as a space."""


def is_shared(path: Path) -> bool:
    """Whether other machines may write to a folder without an event here; False if its file system is unknown."""
    kind = file_system_of(path)
    return kind is not None and _SHARED.fullmatch(kind) is not None


def file_system_of(path: Path) -> str | None:
    """Return the type of the file system that a folder is on, such as `ext4`; None if the system does not report it."""
    try:
        mounts = _mounts()
    except OSError:
        return None
    folder, found = path.resolve(), ("", "")
    for point, kind in mounts:
        # The innermost mount counts; of several on one mount point the last counts, since it hides the others.
        if folder.is_relative_to(point) and len(point) >= len(found[0]):
            found = point, kind
    return found[1] or None


def _mounts() -> list[tuple[str, str]]:
    """Return the mount point and the type of all file systems, in the order in which they were mounted.

    The kernel's table is read, since /etc/mtab, which psutil takes, may be a file that nobody updates.

    Raises:
        OSError: the table cannot be read.
    """
    try:
        table = os.fsdecode(MOUNT_TABLE.read_bytes())
    except FileNotFoundError:  # not Linux
        return [(each.mountpoint, each.fstype) for each in psutil.disk_partitions(all=True)]
    found = []
    for line in table.split("\n"):  # see proc_pid_mountinfo(5)
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.partition(" ")[0]
        if len(fields) > _POINT and kind:
            found.append((_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[_POINT]), kind))
    return found
