"""Which file systems tell of changes that other machines make, and keep locks for them: those of a local disk."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

_SHARED: Final = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb2|9p|drvfs|afs|ceph|lustre|glusterfs|fuse(\..*)?|fuseblk|vboxsf|virtiofs|vmhgfs|prl_fs|"
    r"davfs|ncpfs|beegfs|gpfs"
)
"""Networks, and folders that a host lends to its guest: their changes from outside make no events here."""


def is_shared(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether other machines may write to a folder without our being told.

    Args:
        path: of the folder.
        mountinfo: where the kernel tells what is mounted; False on a system that has none.
    """
    kind = file_system_of(path, mountinfo)
    return kind is not None and _SHARED.fullmatch(kind) is not None


def file_system_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the file system that a folder is on; None on a system that does not tell."""
    try:
        text = mountinfo.read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None
    return file_system(path.resolve().as_posix(), text)


def file_system(path: str, mountinfo: str) -> str | None:
    """The type of the file system that an absolute path is on, from the text of /proc/self/mountinfo (proc(5))."""
    found: tuple[int, str] | None = None
    for line in mountinfo.split("\n"):
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:  # noqa: PLR2004 - the mount point is the fifth
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        # Of mounts on one point the last is on top.
        if PurePosixPath(path).is_relative_to(mount) and (found is None or len(mount) >= found[0]):
            found = len(mount), right.split(" ")[0]
    return found[1] if found else None
