"""When a file in the inbox is complete. Pure: what was seen goes in, what has settled comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from pipeline.watch.spool.records import FileFacts

CLOSED_SHARE = 0.25
"""Of the settling time, for a file that its writer closed or moved here, and that looks complete."""


@dataclass(frozen=True)
class TrackedFile:
    """A file in the inbox."""

    facts: FileFacts
    first_seen: float
    """Monotonic seconds, as all times here."""
    changed: float
    """When we last saw a change; the file's own times are not to be trusted."""
    closed: bool = False
    """Its writer closed it, or it was moved here, and there was no change since."""


class StabilityTracker:
    """The files in the inbox that nobody has claimed.

    A file has settled when two looks, `settle_seconds` apart, saw the same facts. After an event that says that its
    writer closed it, and if it ends as a file of its kind should, a quarter of that will do. A file is never given up:
    it stays here for as long as it exists.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self.files: dict[str, TrackedFile] = {}
        """By path in the inbox."""

    def see(self, name: str, facts: FileFacts | None, now: float, *, closed: bool = False) -> None:
        """Take note of a look at a file; None if it is gone.

        Args:
            name: path in the inbox.
            facts: what was seen.
            now: when.
            closed: an event told that it was closed or moved here, and it looks complete.
        """
        if facts is None:
            self.files.pop(name, None)
            return
        known = self.files.get(name)
        if known is None:
            self.files[name] = TrackedFile(facts, now, now, closed)
        elif known.facts != facts:
            self.files[name] = TrackedFile(facts, known.first_seen, now, closed)
        elif closed and not known.closed:
            self.files[name] = replace(known, closed=True)

    def keep_only(self, names: Container[str]) -> None:
        """Forget the files that a look at the whole inbox did not find."""
        for name in [name for name in self.files if name not in names]:
            del self.files[name]

    def settles_at(self, name: str) -> float:
        """When a file that does not change has settled."""
        known = self.files[name]
        return known.changed + self._settle_seconds * (CLOSED_SHARE if known.closed else 1)

    def due(self, now: float) -> list[str]:
        """The files that one more look may find settled, longest known first."""
        return sorted(
            (name for name in self.files if self.settles_at(name) <= now),
            key=lambda name: (self.files[name].first_seen, name),
        )

    def settled(self, name: str, now: float) -> bool:
        """Whether a file has settled as of a look just now; an empty file never has."""
        known = self.files.get(name)
        return known is not None and known.facts.size > 0 and self.settles_at(name) <= now
