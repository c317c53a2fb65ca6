"""Removes what would otherwise stay in a spool for ever: records of returned files that are gone, and empty folders."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.trees import NOT_EMPTY
from pipeline.watch.spool.records import returned_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.watch.spool.place import SpoolPlace

TIDY_SECONDS: Final = 3600.0
"""Seconds between two calls of `tidy`."""
KEPT_SECONDS: Final = 3600.0
"""Age in seconds of a record below which its file may still be on its way into the inbox."""


def tidy(place: SpoolPlace, found: Iterable[str]) -> None:
    """Remove the records of returned files that are not in the inbox any more, and empty folders of past days.

    Args:
        place: the spool.
        found: paths of all files in the inbox.

    Raises:
        OSError: the spool cannot be read or written.
    """
    with contextlib.suppress(FileNotFoundError):  # no file was ever returned
        _remove_records(place, found)
    _remove_empty_days(place)


def _remove_records(place: SpoolPlace, found: Iterable[str]) -> None:
    folder = place.root / "returned"
    records = {entry.name: entry for entry in place.disk.entries(folder)}
    if not records:
        return
    for name in records.keys() - {returned_name(relative) for relative in found}:
        with contextlib.suppress(FileNotFoundError):  # another watcher was quicker
            if time.time() - records[name].stat(follow_symlinks=False).st_mtime > KEPT_SECONDS:
                place.disk.unlink(folder / name)


def _remove_empty_days(place: SpoolPlace) -> None:
    folder = place.root / "done"
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"  # at midnight a job may still be on its way there
    with contextlib.suppress(FileNotFoundError):
        for entry in place.disk.entries(folder):
            if entry.name < yesterday and entry.is_dir(follow_symlinks=False):
                try:
                    place.disk.rmdir(folder / entry.name)
                except OSError as error:
                    if error.errno not in NOT_EMPTY:
                        raise
