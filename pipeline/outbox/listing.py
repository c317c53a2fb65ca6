"""Which files an outbox has, by what they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.paths import FAILED_FOLDER, STATE_FOLDER
from pipeline.settings.pair_settings import OUTPUT_FORMATS

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pipeline.disk import Disk

    # moved


@dataclass
class Listing:
    """Paths in the outbox, with `/`, and their stamps."""

    metadata: dict[str, Stamp] = field(default_factory=dict)
    """All JSON that is no record of a failure."""
    pictures: dict[str, Stamp] = field(default_factory=dict)
    failures: dict[str, Stamp] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Folders that could not be looked into, and why."""


def list_outbox(root: Path, disk: Disk) -> Listing:
    """Look everywhere but into the outbox's own state; links to folders are not followed, as they may lead in circles.

    Raises:
        OSError: the disk or the network failed, or the outbox itself cannot be read.
    """
    listing = Listing()
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = disk.entries(root / folder)
        except FileNotFoundError:
            if not folder:
                raise
            continue  # an empty folder is removed while results are made
        except OSError as error:
            if not folder or error.errno in MACHINE_ERRNOS:
                raise
            listing.unreadable[folder] = error.strerror or type(error).__name__
            continue
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if relative != STATE_FOLDER:
                    folders.append(relative)
            else:
                _add_file(listing, relative, entry)
    return listing


def _add_file(listing: Listing, relative: str, entry: os.DirEntry[str]) -> None:
    _, dot, ending = entry.name.lower().rpartition(".")
    if not dot or (ending != "json" and f".{ending}" not in OUTPUT_FORMATS):
        return
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # replaced or forgotten since it was listed
        return
    stamp = status.st_mtime_ns, status.st_size
    is_failure = relative.startswith(f"{FAILED_FOLDER}/")
    if ending == "json":
        (listing.failures if is_failure else listing.metadata)[relative] = stamp
    elif not is_failure:
        listing.pictures[relative] = stamp


Stamp = tuple[int, int]
"""A file's mtime in ns and its size in bytes."""
