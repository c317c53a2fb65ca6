"""The files in the inbox that no worker has claimed: their properties, and the reasons for which some stay there."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import Counter
from typing import TYPE_CHECKING, Final

from pipeline.run.picture_files import is_ignored
from pipeline.system.remedies import remedy_of
from pipeline.text import printable
from pipeline.watch.inbox.claim_queue import ClaimQueue
from pipeline.watch.inbox.names import classify
from pipeline.watch.inbox.rights import Rights
from pipeline.watch.inbox.stability import StabilityTracker
from pipeline.watch.inbox.walk import MAX_DEPTH, status_of, walk_statuses
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.watch.inbox.names import Form
    from pipeline.watch.inbox.rules import InboxRules
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.place import SpoolPlace
    from pipeline.watch.spool.records import Job, NotClaimedError

logger = logging.getLogger(__name__)

MAX_REASONS: Final = 1000
"""Number of reasons that are remembered, so that years of names that are dropped by mistake take no memory."""
LOGGED_PER_REASON: Final = 10
"""Largest number of files that are left for one reason and logged one by one."""


class InboxFiles:
    """The memory of unclaimed files between two looks at the inbox.

    Files are named by their paths in the inbox. Only the scanning thread calls methods that change it; any thread may
    read.
    """

    def __init__(
        self,
        place: SpoolPlace,
        styles: Styles,
        accounting: FileAccounting,
        rules: InboxRules,
        *,
        on_folder: Callable[[], None],
    ) -> None:
        """Start without any file.

        Args:
            place: the inbox, and the spool, which may lie in it.
            styles: the styles, which get the style pictures of the inbox.
            accounting: counts each file that appears or disappears.
            rules: settings of the inbox.
            on_folder: called when a folder is found in place of a file.
        """
        self._place, self._styles, self._accounting, self._rules = place, styles, accounting, rules
        self._on_folder = on_folder
        self._spool_name = os.path.relpath(place.root, place.inbox).replace(os.sep, "/")
        self.rights = Rights(place.disk, place.inbox, place.root)
        """Checks before a claim."""
        self.tracker = StabilityTracker(rules.settle_seconds)
        """Facts of each unclaimed file, and the time at which it becomes stable."""
        self.queue = ClaimQueue()
        """Stable photographs that wait for room or for a style."""
        self.left: dict[str, str] = {}
        """Reason why a file is left in the inbox, by name."""
        self.held: set[str] = set()
        """Files that could not be read or claimed because of their folders, permissions or the disk."""
        self._closed: dict[str, str] = {}
        """Reason, as it was logged, why no file of a folder at the top can be claimed, by the folder's name."""
        self._told: Counter[str] = Counter()
        """Number of files that were left for each reason."""
        self._styles_in_use: dict[str, FileFacts] = {}
        """Facts of each style picture of the inbox that photographs are painted with, by name."""
        self._returned: dict[str, FileFacts] = {}
        """Facts of each finished file that was returned to the inbox, by name."""

    def form(self, name: str) -> Form:
        """Return the kind of a file, by its name."""
        return classify(name, self._rules.image_endings).form

    def is_excluded(self, name: str) -> bool:
        """Whether a file or folder in the inbox is never looked at."""
        return is_ignored(name.rpartition("/")[2]) or name == self._spool_name

    # Looks

    def look_everywhere(self, now: float) -> tuple[set[str], bool]:
        """Look at every file in the inbox, and forget files that are gone.

        Returns:
            The paths of all files, and whether everything could be read.

        Raises:
            OSError: the inbox cannot be read.
        """
        found: set[str] = set()
        is_complete = True
        for name, status in walk_statuses(self._place.disk, self._place.inbox, is_excluded=self.is_excluded):
            if isinstance(status, OSError):
                self._leave_unreadable(name, status)
                is_complete = is_complete and status.errno == errno.ENAMETOOLONG  # too deep for files that are claimed
                self.tracker.make_due(name)  # so that the reason is corrected when it can be read again
            else:
                self._see(name, status, now)
            found.add(name)
        for name in (self.tracker.files.keys() | self.left.keys()) - found:
            self._forget(name)
        return found, is_complete

    def look_at(self, name: str, now: float, *, after_event: bool = False) -> None:
        """Look at one file.

        Args:
            name: path of the file in the inbox.
            now: the time, in monotonic seconds.
            after_event: an event says that the file was created, closed by its writer, or moved here.
        """
        path = self._place.inbox / name
        parts = name.split("/")
        if len(parts) - 1 > MAX_DEPTH or any(map(is_ignored, parts)) or path.is_relative_to(self._place.root):
            return
        try:
            status = status_of(self._place.disk, path)
        except OSError as error:
            self._stop_tracking(name)
            self._leave_unreadable(name, error)
            return
        if status is None:
            self._forget(name)
        elif stat.S_ISDIR(status.st_mode):
            self._on_folder()
        else:
            looks_finished = after_event and stat.S_ISREG(status.st_mode) and self._rules.looks_complete(path)
            self._see(name, status, now, looks_finished=looks_finished)

    def _see(self, name: str, status: os.stat_result, now: float, *, looks_finished: bool = False) -> None:
        if not stat.S_ISREG(status.st_mode):
            self.leave(name, "is no regular file")
            self._stop_tracking(name)
            return
        facts = FileFacts.of(status)
        known = self.tracker.files.get(name)
        if known is not None and facts.is_as(known.facts) and not looks_finished:
            return
        self.tracker.see(name, facts, now, looks_finished=looks_finished)
        if not self.is_kept(name):
            self._stop_keeping(name)  # it is being replaced, or was never kept
            if self.form(name) != "style":
                self._accounting.see(name)

    def _stop_tracking(self, name: str) -> None:
        self.tracker.forget(name)
        self.queue.discard(name)
        self.held.discard(name)
        self._stop_keeping(name)

    def _forget(self, name: str) -> None:
        self._stop_tracking(name)
        self.left.pop(name, None)
        self._accounting.lose_sight(name)

    # Files that stay

    def leave(self, name: str, reason: str, *, was_told: bool = False) -> None:
        """Leave a file in the inbox, and log why, once, unless the reason was logged for many files already."""
        self.held.discard(name)
        if self.left.get(name) == reason:
            return
        self.left[name] = reason
        if len(self._told) > MAX_REASONS:  # each style that does not exist is a reason of its own
            self._told.clear()
        self._told[reason] += not was_told
        is_loud = not was_told and self._told[reason] <= LOGGED_PER_REASON
        logger.log(logging.WARNING if is_loud else logging.DEBUG, "%s %s.", printable(name), reason)
        if is_loud and self._told[reason] == LOGGED_PER_REASON:
            logger.warning("Further files that are left for this reason are counted in status.json alone.")

    def _leave_unreadable(self, name: str, error: OSError) -> None:
        why = f"cannot be read: {error.strerror}"
        if error.errno == errno.ENAMETOOLONG:  # a folder that is too deep
            self.leave(name, why)
            return
        remedy = remedy_of(error)
        self.leave(name, f"{why}; {remedy[:1].lower()}{remedy[1:]}")
        self.held.add(name)

    def warn_about(self, folder: str) -> None:
        """Log why no file of a folder at the top can be claimed, if that is so; its files are not logged as well."""
        if f"{folder}/" in self.left:  # it cannot even be read
            return
        if why := self.rights.why_not_from(self._place.inbox / folder):
            self._closed[folder] = why
            logger.warning("%s/: a file in it %s.", printable(folder), why)

    def use_as_style(self, name: str) -> None:
        """Use a file as the style of its folder until the file changes."""
        self._stop_leaving(name)
        facts = self._styles_in_use[name] = self.tracker.files[name].facts
        self._styles.use_dropped(name.split("/", maxsplit=1)[0], self._place.inbox / name, facts.ctime_ns)

    def _stop_leaving(self, name: str) -> None:
        self.left.pop(name, None)
        self.held.discard(name)

    def _stop_keeping(self, name: str) -> None:
        self._returned.pop(name, None)
        if self._styles_in_use.pop(name, None) is not None:
            self._styles.stop_dropped(name.split("/", maxsplit=1)[0], self._place.inbox / name)

    def keep_returned(self, name: str) -> None:
        """Leave a returned file in the inbox until it changes."""
        self._returned[name] = self.tracker.files[name].facts
        self._accounting.ignore(name)
        self._stop_leaving(name)

    def is_kept(self, name: str) -> bool:
        """Whether a file is used as a style or was returned, and has not changed since."""
        facts = self.tracker.files[name].facts
        return facts in (self._styles_in_use.get(name), self._returned.get(name))

    def unclaimed(self) -> list[FileFacts]:
        """Return the facts of all files that can be claimed, now or as soon as they are stable."""
        left, used, returned = self.left, self._styles_in_use, self._returned
        return [
            known.facts
            for name, known in self.tracker.files.items()
            if not (name in left or name in used or name in returned)
        ]

    # Claims

    def let_wait_for_room(self, name: str) -> None:
        """Let a stable photograph wait for room; the reason why it was left is over unless it could not be claimed."""
        self.queue.add(name)
        if name not in self.held:
            self.left.pop(name, None)

    def remove_claimed(self, job: Job, name: str) -> None:
        """Count a claimed file for its job, and forget it here."""
        self._accounting.claim(job, name)
        self._stop_tracking(name)
        self.left.pop(name, None)

    def may_be_claimed(self, name: str, now: float) -> bool:
        """Whether the rights to a stable file and its folder suffice; if not, it is left, and tried again later.

        A style picture stays where it is, so it need only be readable.
        """
        why_not = self.rights.why_unreadable(name) if self.form(name) == "style" else self.rights.why_not(name)
        if why_not:
            self._hold(name, why_not, now)
        return not why_not

    def handle_not_claimed(self, name: str, error: NotClaimedError, now: float) -> None:
        """Forget a file that is gone; if it is held, leave it, and try it again later."""
        if error.held:
            self._hold(name, f"{error.reason}; it is tried again", now)
        else:
            self._forget(name)

    def release_held(self) -> None:
        """Let the files that could not be claimed be tried at once."""
        for name in self.held & self.tracker.files.keys():
            self.tracker.release(name)

    def _hold(self, name: str, reason: str, now: float) -> None:
        self.leave(name, reason, was_told=self._closed.get(name.partition("/")[0]) == reason)
        self.held.add(name)
        self.tracker.hold(name, now)
