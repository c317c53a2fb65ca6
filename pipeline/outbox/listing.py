"""The files of an outbox, sorted by their purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.disk import walk
from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.paths import FAILED_FOLDER, STATE_FOLDER
from pipeline.settings.pair_settings import OUTPUT_FORMATS

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pipeline.disk import Disk


Stamp = tuple[int, int]
"""Time of the last change of a file in ns since 1970, and its size in bytes."""


@dataclass
class Listing:
    """Paths in the outbox, with `/` between folders, and their stamps."""

    metadata: dict[str, Stamp] = field(default_factory=dict)
    """JSON files outside of the folder of failures, whatever they contain."""
    pictures: dict[str, Stamp] = field(default_factory=dict)
    failures: dict[str, Stamp] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Folders that could not be read, and the reasons."""


def list_outbox(root: Path, disk: Disk) -> Listing:
    """List all folders except the outbox's own state; links to folders are not followed, since they may form circles.

    Raises:
        OSError: the disk or the network failed, or the outbox itself cannot be read.
    """
    listing, state = Listing(), root / STATE_FOLDER
    for name, entry in walk(disk, root, is_excluded=lambda path: path == state):
        if not isinstance(entry, OSError):
            _add_file(listing, name, entry)
        elif entry.errno in MACHINE_ERRNOS:
            raise entry
        else:
            listing.unreadable[name.removesuffix("/")] = entry.strerror or type(entry).__name__
    return listing


def _add_file(listing: Listing, relative: str, entry: os.DirEntry[str]) -> None:
    _, dot, ending = entry.name.lower().rpartition(".")
    if not dot or (ending != "json" and f".{ending}" not in OUTPUT_FORMATS):
        return
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # a run replaced or removed it after it was listed
        return
    stamp = status.st_mtime_ns, status.st_size
    is_failure = relative.startswith(f"{FAILED_FOLDER}/")
    if ending == "json":
        (listing.failures if is_failure else listing.metadata)[relative] = stamp
    elif not is_failure:
        listing.pictures[relative] = stamp
