"""Files of an outbox, written whole or not at all, by way of a temporary name."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from pipeline.disk import make_folders, put, put_new

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from pipeline.disk import Disk


def short_name(path: Path) -> str:
    """Return a name of 32 characters for a path of any length."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]


def to_json(record: BaseModel) -> bytes:
    """Return a record as the bytes of its file."""
    return (record.model_dump_json(indent=2) + "\n").encode()


def write_whole(disk: Disk, target: Path, data: bytes, temporary: Path, *, replaces: bool) -> None:
    """Write a file whole and durably; its folder is made if it is missing.

    Args:
        disk: the disk.
        target: path of the file.
        data: content of the file.
        temporary: folder of temporary files, on the same file system.
        replaces: whether a file of this name is there and is replaced.

    Raises:
        FileExistsError: a file of this name is there, and is not to be replaced.
        OSError: the file cannot be written.
    """
    write = put if replaces else put_new
    for is_last in (False, False, True):
        make_folders(disk, target.parent)
        try:
            # The temporary name is short, so that the file's own name may be as long as the file system allows.
            write(disk, target, data, temporary / short_name(target))
        except FileNotFoundError:  # another thread or process has just removed the folder, which was empty
            if is_last or target.parent.is_dir():
                raise
        else:
            return
