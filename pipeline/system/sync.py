"""Syncing files and folders to the medium, where their file system can do so."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of a file system that cannot sync a folder or a file, such as folders that a host shares with its guest."""

_warned_devices: Final[set[int]] = set()
"""File systems that cannot sync, of which a warning was logged."""


def sync(descriptor: int, path: Path) -> None:
    """Sync a file or a folder to the medium; log a warning, once for each file system, if that is impossible there."""
    try:
        if sys.platform == "darwin":  # fsync leaves data in the drive's cache there
            import fcntl  # noqa: PLC0415 - exists on Unix only

            with contextlib.suppress(OSError):  # a file system that has fsync only
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
        device = os.fstat(descriptor).st_dev
        if device not in _warned_devices:
            _warned_devices.add(device)
            logger.warning(
                "%s: its file system cannot sync (%s). After a power cut, the last results may be missing or damaged.",
                path,
                error.strerror,
            )
