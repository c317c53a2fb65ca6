"""Paintings and masks that cannot be used as they are now, so that photographs wait in the inbox for better ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.text import printable
from pipeline.watch.inbox.walk import status_of
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.errors import ImpastoError

logger = logging.getLogger(__name__)


class DamagedInputs:
    """The truncated or damaged files that many photographs share. Each counts as damaged until its facts change.

    The thread that renders calls `facts` and `report`, and the scanning thread `look`. Any thread may call `why`.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._files: dict[Path, tuple[FileFacts | None, str]] = {}
        """Facts of each damaged file, and the reason."""

    def __bool__(self) -> bool:
        return bool(self._files)

    def facts(self, paths: Iterable[Path]) -> dict[Path, FileFacts | None]:
        """Return the facts of files as they are now; None for a file that is gone or whose status cannot be read."""
        return {path: self._facts(path) for path in paths}

    def _facts(self, path: Path) -> FileFacts | None:
        try:
            status = status_of(self._disk, path)
        except OSError as error:  # reading the file will fail as well, and that error is handled
            logger.debug("%s", error)
            return None
        return None if status is None else FileFacts.of(status)

    def report(self, path: Path, before: FileFacts | None, error: ImpastoError) -> bool:
        """Record that a file could not be used, unless it was written to meanwhile. Each file is logged once.

        Args:
            path: the file.
            before: facts of the file before it was read.
            error: what is wrong with it.

        Returns:
            Whether the file is damaged as it is now.
        """
        now = self._facts(path)
        if now != before:
            return False
        if path not in self._files:
            logger.error("%s Its photographs wait in the inbox until %s is replaced.", error, printable(str(path)))
        self._files[path] = now, error.message
        return True

    def look(self) -> bool:
        """Forget the files that have changed, so that they are tried again; return whether there are any."""
        changed = [path for path, (facts, _) in list(self._files.items()) if self._facts(path) != facts]
        for path in changed:
            del self._files[path]
        return bool(changed)

    def why(self, paths: Iterable[Path]) -> str:
        """Return why the first damaged file among these cannot be used; an empty text if there is none."""
        found = (self._files.get(path) for path in paths)
        return next((reason for _, reason in filter(None, found)), "")
