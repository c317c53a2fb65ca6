"""The files of an outbox, sorted by their purpose."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.ownership import LARGEST_RECORD_BYTES, origin_of_file
from pipeline.outbox.paths import FAILED_FOLDER, STATE_FOLDER
from pipeline.settings.pair_settings import OUTPUT_FORMATS
from pipeline.trees import walk

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
    """JSON files outside of the folder of failures, whatever they contain, except for those that are too large."""
    pictures: dict[str, Stamp] = field(default_factory=dict)
    failures: dict[str, Stamp] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Folders that could not be read, and the reasons."""
    doubtful: set[str] = field(default_factory=set)
    """JSON files that cannot be read, or are metadata of another picture than the one beside them; known only after
    `without_foreign`."""

    def without_foreign(self, root: Path, disk: Disk) -> Listing:
        """Return the listing without the JSON files of other programs. Each JSON file is read.

        Raises:
            OSError: the disk or the network failed.
        """
        origins = {path: origin_of_file(disk, root, path) for path in [*self.metadata, *self.failures]}
        return replace(
            self,
            metadata={path: stamp for path, stamp in self.metadata.items() if origins[path] != "foreign"},
            failures={path: stamp for path, stamp in self.failures.items() if origins[path] != "foreign"},
            doubtful={path for path, origin in origins.items() if origin in {"misplaced", "unreadable"}},
        )


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
    if not (entry.is_file(follow_symlinks=False) or entry.is_symlink()):  # a pipe or a device
        return
    _, dot, ending = entry.name.lower().rpartition(".")
    if not dot or (ending != "json" and f".{ending}" not in OUTPUT_FORMATS):
        return
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # a run replaced or removed it after it was listed
        return
    stamp = status.st_mtime_ns, status.st_size
    is_failure = relative.startswith(f"{FAILED_FOLDER}/")
    if ending == "json" and status.st_size > LARGEST_RECORD_BYTES:
        return  # of another program
    if ending == "json":
        (listing.failures if is_failure else listing.metadata)[relative] = stamp
    elif not is_failure:
        listing.pictures[relative] = stamp
