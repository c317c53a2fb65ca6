"""Paintings and masks that cannot be used as they are now, so that photographs wait in the inbox for better ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.text import printable
from pipeline.watch.inbox.walk import status_of
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.errors import ImpastoError

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 300.0
"""Longest time, in seconds, until a file that could not be read is tried again."""
FIRST_PAUSE_SECONDS: Final = 10.0
"""Seconds until such a file is tried again for the first time; twice as long each further time."""


@dataclass(frozen=True)
class _Damage:
    facts: FileFacts | None
    reason: str
    pause: float = 0.0
    """Seconds until the file is tried again although it has not changed; 0 if it is not."""
    until: float = float("inf")
    """Time at which the pause ends."""
    is_over: bool = False
    """Whether the file is tried again now."""


class DamagedInputs:
    """The files that many photographs share and that cannot be used: truncated, damaged, or not read by the machine.

    A damaged file counts as damaged until its facts change. One that the machine failed to read is tried again later.

    The thread that renders calls `facts`, `report` and `report_unreadable`, and the scanning thread `look`. Any thread
    may call `why`.
    """

    def __init__(self, disk: Disk, clock: Callable[[], float]) -> None:
        self._disk, self._clock = disk, clock
        self._files: dict[Path, _Damage] = {}

    def __bool__(self) -> bool:
        return any(not damage.is_over for damage in list(self._files.values()))

    @property
    def has_unreadable(self) -> bool:
        """Whether the machine failed to read one of the files."""
        return any(damage.pause and not damage.is_over for damage in list(self._files.values()))

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
        self._files[path] = _Damage(now, error.message)
        return True

    def report_unreadable(self, path: Path, error: ImpastoError) -> None:
        """Record that the machine failed to read a file. Each file is logged once, until it changes."""
        known = self._files.get(path)
        if known is not None and not known.is_over:  # photographs that were claimed before fail as well
            return
        if known is None:
            logger.error("%s Its photographs wait in the inbox until it can be read.", error)
        pause = min(max(2 * known.pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS) if known else FIRST_PAUSE_SECONDS
        self._files[path] = _Damage(self._facts(path), error.message, pause, self._clock() + pause)

    def look(self) -> bool:
        """Let the files that have changed or whose pause is over be tried again; return whether there are any."""
        files = list(self._files.items())
        changed = [path for path, damage in files if self._facts(path) != damage.facts]
        over = [path for path, damage in files if not damage.is_over and damage.until <= self._clock()]
        for path in over:
            self._files[path] = replace(self._files[path], is_over=True)
        for path in changed:
            del self._files[path]
        return bool(changed or over)

    def why(self, paths: Iterable[Path]) -> str:
        """Return why the first file among these that cannot be used is so; an empty text if there is none."""
        found = filter(None, (self._files.get(path) for path in paths))
        return next((damage.reason for damage in found if not damage.is_over), "")
