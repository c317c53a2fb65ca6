"""Remedies for errors of the operating system, by their numbers."""

from __future__ import annotations

import errno
from typing import Final

_ACCESS: Final = "Correct the owner or the permissions of the file and of the folders above it (ls -ld)"
_DISK: Final = "Check the disk and its cable (dmesg, smartctl)"
_FREE_SPACE: Final = "Free space, or inodes (df -h, df -i)"
_FULL_TABLE: Final = "End other programs, or raise the system's limit of open files (sysctl fs.file-max)"
_IN_THE_WAY: Final = "Move away what has this name"
_MISSING: Final = "Make it again, or mount its file system"
_NETWORK: Final = "Check the network or the device, and mount the file system again"
_NO_OPERATION: Final = "Its file system lacks an operation that is needed here: use another one"
_OPEN_FILES: Final = "Raise the limit of open files (ulimit -n; LimitNOFILE= of a service)"
_SHORTEN: Final = "Shorten the name of the file, or of a folder above it"

_BY_NAME: Final = {
    "ENOSPC": _FREE_SPACE,
    "EDQUOT": "Free space within the user's quota (quota -s), or have it raised",
    "EFBIG": "Raise the limit of the size of files (ulimit -f), or use a file system that takes larger ones",
    "EROFS": "Mount it writable (for a service: ReadWritePaths=); if it became so by itself, check the disk (dmesg)",
    "EACCES": _ACCESS,
    "EPERM": f"{_ACCESS}, or remove a sticky bit or the attribute immutable (lsattr -d)",
    "ENOLCK": "Mount the file system with locks (NFS: without nolock), or use another one",
    "EMFILE": _OPEN_FILES,
    "ENFILE": _FULL_TABLE,
    "ENOMEM": "Free memory",
    "EIO": _DISK,
    "EBUSY": "End the program that uses it",
    "ETXTBSY": "End the program that uses it",
    "ENAMETOOLONG": _SHORTEN,
    "EILSEQ": "Rename it: its file system does not take every character",
    "EXDEV": "Put both folders on one file system, without a mount between them",
    "ENOENT": _MISSING,
    "ENOTDIR": _IN_THE_WAY,
    "EISDIR": _IN_THE_WAY,
    "EEXIST": _IN_THE_WAY,
    "ENOTEMPTY": _IN_THE_WAY,
    "ELOOP": "Name the file itself instead of a symbolic link",
    **dict.fromkeys(
        ("ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETUNREACH", "EREMOTEIO", "ENXIO", "ENODEV"),
        _NETWORK,
    ),
    **dict.fromkeys(("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"), _NO_OPERATION),
}
_BY_NUMBER: Final = {getattr(errno, name): text for name, text in _BY_NAME.items() if hasattr(errno, name)}


def remedy_of(error: OSError) -> str:
    """Return what to do about an error, as a clause without a full stop at its end."""
    return _BY_NUMBER.get(error.errno or 0, "Correct the cause")


def remedy_without_events(error: OSError) -> str:
    """Return what to do if the system cannot watch a folder, as such a clause.

    On Linux, EMFILE means that the user's instances of inotify are used up, and ENOSPC that the watches are.
    """
    limits = {errno.EMFILE: "max_user_instances", errno.ENOSPC: "max_user_watches"}
    limit = limits.get(error.errno or 0)
    return remedy_of(error) if limit is None else f"Raise fs.inotify.{limit} by sysctl"
