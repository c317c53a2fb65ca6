"""Stability: a file in the inbox is taken to be complete once it is stable. Pure; nothing is read here.

A file is stable when:

1. it is not empty;
2. size, times, inode and device are the same in two looks;
3. these looks are `settle_seconds` apart, or a quarter of that if an event said that the file was closed by its writer
   or moved here, and if it also ends as files of its kind do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.watch.spool.records import FileFacts

CLOSED_SHARE: Final = 0.25
"""Fraction of the settling time after which a file is stable that its writer closed and that looks complete."""


@dataclass(frozen=True)
class TrackedFile:
    """A file in the inbox, with times in monotonic seconds."""

    facts: FileFacts
    first_seen: float
    changed: float
    """Time at which a change was last seen; the file's own times may be set to anything."""
    looks_finished: bool = False
    """Whether its writer closed it, or it was moved here, and no change was seen since."""


class StabilityTracker:
    """The files in the inbox that nobody has claimed, and when each of them is stable.

    A file is tracked for as long as it exists. Times are in monotonic seconds; files are named by their paths in the
    inbox.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self.files: dict[str, TrackedFile] = {}
        """Tracked files by name."""

    def see(self, name: str, facts: FileFacts, now: float, *, looks_finished: bool = False) -> None:
        """Take note of a look at a file.

        Args:
            name: path in the inbox.
            facts: what was seen of the file.
            now: time of the look.
            looks_finished: whether an event said that it was closed or moved here, and it looks complete.
        """
        known = self.files.get(name)
        if known is None:
            self.files[name] = TrackedFile(facts, now, now, looks_finished)
        elif known.facts != facts:
            self.files[name] = TrackedFile(facts, known.first_seen, now, looks_finished)
        elif looks_finished and not known.looks_finished:
            self.files[name] = replace(known, looks_finished=True)

    def forget(self, name: str) -> None:
        """Stop tracking a file that is gone or claimed; nothing happens if it is not tracked."""
        self.files.pop(name, None)

    def stable_at(self, name: str) -> float:
        """Return the time at which a file is stable if it does not change until then."""
        known = self.files[name]
        return known.changed + self._settle_seconds * (CLOSED_SHARE if known.looks_finished else 1)

    def due(self, now: float) -> list[str]:
        """Return the files that one more look may find to be stable, longest known first."""
        return sorted(
            (name for name in self.files if self.stable_at(name) <= now),
            key=lambda name: (self.files[name].first_seen, name),
        )

    def is_stable(self, name: str, now: float) -> bool:
        """Whether a file is stable, given that it was looked at just now."""
        known = self.files.get(name)
        return known is not None and known.facts.size > 0 and self.stable_at(name) <= now
