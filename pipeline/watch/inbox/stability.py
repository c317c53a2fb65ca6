"""Stability: a file in the inbox counts as complete once it is stable. The module is pure and reads no files.

A file is stable when:

1. it is not empty;
2. its size, times, inode and device are equal in two looks;
3. these looks are `settle_seconds` apart, or a quarter of that if an event said that the file was closed by its writer
   or moved here, and if the file also ends as its format says.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.run.named_paths import composed

if TYPE_CHECKING:
    from pipeline.watch.spool.records import FileFacts

CLOSED_SHARE: Final = 0.25
"""Fraction of the settling time that suffices for a file that its writer has closed and that looks complete."""
LONGEST_PAUSE_SECONDS: Final = 300.0
"""Longest time, in seconds, until a file that could not be claimed is tried again."""


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """A file in the inbox, with times in monotonic seconds."""

    facts: FileFacts
    first_seen: float
    changed: float
    """Time at which a change was last seen, since the file's own times can be set arbitrarily."""
    looks_finished: bool = False
    """Whether an event said that the file was closed or moved here, it looked complete then, and no change was seen
    since."""
    pause: float = 0.0
    """Seconds of the last wait after the file could not be claimed."""
    not_before: float = 0.0
    """Time at which that wait ends."""


class StabilityTracker:
    """The unclaimed files in the inbox, and the time at which each of them becomes stable.

    A file is tracked for as long as it exists. Times are in monotonic seconds; files are named by their paths in the
    inbox. A call costs no more for the files that do not change, however many there are.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self.files: dict[str, TrackedFile] = {}
        """Tracked files by name."""
        self._not_composed: dict[str, str] = {}
        """Names of tracked files that are not in the Unicode form NFC, by that form."""
        self._heap: list[tuple[float, str]] = []
        """When each file is due, and its name; an entry of another time than `stable_at` is out of date."""

    def see(self, name: str, facts: FileFacts, now: float, *, looks_finished: bool = False) -> None:
        """Record a look at a file.

        Args:
            name: path in the inbox.
            facts: the facts of the file.
            now: time of the look.
            looks_finished: whether an event said that it was closed or moved here, and it looks complete.
        """
        known = self.files.get(name)
        if known is None:
            known = TrackedFile(facts, now, now, looks_finished)
        elif not facts.is_as(known.facts):
            known = TrackedFile(facts, known.first_seen, now, looks_finished)
        elif looks_finished and not known.looks_finished:
            known = replace(known, looks_finished=True)
        else:
            return
        self.files[name] = known
        self.make_due(name)
        if composed(name) != name:
            self._not_composed[composed(name)] = name

    def spelled(self, name: str) -> str:
        """Return the name that a tracked file has on disk, which may have another Unicode form than the name itself."""
        return name if name in self.files else self._not_composed.get(composed(name), name)

    def forget(self, name: str) -> None:
        """Stop tracking a file that is gone or claimed; do nothing if it is not tracked."""
        self.files.pop(name, None)
        if self._not_composed.get(composed(name)) == name:  # else another file has the name in that form
            del self._not_composed[composed(name)]

    def stable_at(self, name: str) -> float:
        """Return the time at which a file becomes stable if it does not change."""
        known = self.files[name]
        stable_at = known.changed + self._settle_seconds * (CLOSED_SHARE if known.looks_finished else 1)
        return max(stable_at, known.not_before)

    def hold(self, name: str, now: float) -> None:
        """Let a file that could not be claimed wait: for the settling time, and each further time for twice as long."""
        known = self.files[name]
        pause = min(max(2 * known.pause, self._settle_seconds), LONGEST_PAUSE_SECONDS)
        self.files[name] = replace(known, pause=pause, not_before=now + pause)
        self.make_due(name)

    def release(self, name: str) -> None:
        """End the wait of a file that could not be claimed."""
        self.files[name] = replace(self.files[name], pause=0.0, not_before=0.0)
        self.make_due(name)

    def make_due(self, name: str) -> None:
        """Let `take_due` return a file once more, as soon as it is stable; do nothing if it is not tracked."""
        if name in self.files:
            heapq.heappush(self._heap, (self.stable_at(name), name))

    def next_due(self) -> float:
        """Return the time at which the next file is due; infinite if there is none."""
        while self._heap and not self._is_current(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def take_due(self, now: float) -> str | None:
        """Return a file that one more look may find stable; None if there is none.

        Files come in the order in which they become stable. Each is returned once, and again after a change.
        """
        if self.next_due() > now:
            return None
        _, name = entry = heapq.heappop(self._heap)
        while self._heap and self._heap[0] == entry:
            heapq.heappop(self._heap)
        return name

    def _is_current(self, time: float, name: str) -> bool:
        return name in self.files and self.stable_at(name) == time

    def is_stable(self, name: str, now: float) -> bool:
        """Whether a file is stable, if the last look at it was just now."""
        known = self.files.get(name)
        return known is not None and known.facts.size > 0 and self.stable_at(name) <= now
