"""The inbox: looks, waits until files have settled, and claims them.

Looking is what counts. Hints say where to look at once; a look at everything comes at the start, after the hints have
begun, whenever hints were lost, and every so often in any case.
"""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.run.picture_files import is_ignored
from pipeline.text import printable
from pipeline.watch.inbox.decisions import FileAction, FileView, decide_file
from pipeline.watch.inbox.events import Changes, EventProbe
from pipeline.watch.inbox.names import classify
from pipeline.watch.inbox.stability import StabilityTracker
from pipeline.watch.inbox.tickets import Ticket
from pipeline.watch.inbox.walk import status_of, walk_statuses
from pipeline.watch.spool.records import Claimed, FileFacts, NotClaimedError
from pipeline.watch.spool.workers import EVENT_PROBE_PREFIX

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.watch.inbox.events import ChangeEvents
    from pipeline.watch.inbox.names import Form
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.inbox.tickets import TicketRequirements
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.records import Job
    from pipeline.watch.spool.spool import Spool

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """What holds for one inbox."""

    image_endings: tuple[str, ...]
    settle_seconds: float
    rescan_seconds: float
    poll_seconds: float
    ticket_seconds: float
    default_style: str
    looks_complete: Callable[[Path], bool]
    """Whether a file ends as files of its kind do."""
    requirements_of_ticket: Callable[[Path], TicketRequirements]
    """What a ticket waits for; raises ImpastoError."""


class Scanner:
    """One inbox. Used by one thread; what has no underscore may be read by any."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        *,
        inbox: Path,
        spool: Spool,
        styles: Styles,
        hints: ChangeEvents,
        rules: Rules,
        books: FileAccounting,
        disk: Disk,
        clock: Callable[[], float],
        polling: bool,
    ) -> None:
        self._inbox, self._spool, self._styles, self._hints = inbox, spool, styles, hints
        self._rules, self._books, self._disk, self._clock = rules, books, disk, clock
        self._tracker = StabilityTracker(rules.settle_seconds)
        self._polling = polling
        self.degraded = ""
        """Why events are not relied on any more."""
        self.left: dict[str, str] = {}
        """Files that are left in the inbox, and why."""
        self.closes_at: float | None = None
        """If set, files that are first seen later are left for next time."""
        self.is_settling = True
        """Whether a file that was seen before `closes_at` may still be claimed."""
        self.tickets: list[Ticket] = []
        """That wait for files."""
        self._ready: list[Claimed] = []
        """Kept until they are handed out, whatever fails meanwhile."""
        self._styles_in_use: dict[str, FileFacts] = {}
        self._given_back: dict[str, FileFacts] = {}
        self._next_look = 0.0
        self._sign = EventProbe(inbox / f"{EVENT_PROBE_PREFIX}{spool.worker.name}", disk)

    @property
    def mode(self) -> str:
        """How changes are noticed."""
        return "polling" if self._polling else "events"

    def start(self) -> None:
        """Listen for hints, and look at everything.

        Raises:
            OSError: the inbox cannot be read.
        """
        if not self._polling:
            try:
                self._hints.start()
            except OSError as error:
                self._degrade(f"events cannot be had ({error.strerror}); see sysctl fs.inotify.max_user_watches")
        self._sign.begin(self._clock())
        self._look_at_everything(self._clock())
        if self._styles.lacks_paintings:
            logger.warning(
                "styles.folder has no paintings; only folders with a _style picture of their own are painted."
            )
        default = self._rules.default_style
        if default and self._styles.find(default) is None:
            logger.warning("styles.default = %s is not in styles.folder; photographs at the top wait for it.", default)

    def stop(self) -> None:
        """Listen no more."""
        self._hints.stop()
        self._sign.end()

    def look_again(self) -> None:
        """Look at everything in the next round."""
        self._next_look = 0.0

    def round(self, room: int) -> list[Claimed]:
        """Look where there is something to see, and claim at most so many photographs.

        Raises:
            OSError: inbox or spool cannot be read or written; nothing is forgotten.
            EvictedError: this worker was taken for dead.
        """
        now = self._clock()
        hint = Changes() if self._polling else self._hints.take()
        try:
            if not self._polling and (trouble := self._sign.check(self._hints, hint, now)):
                self._degrade(trouble)
            if hint.look_everywhere or now >= self._next_look:
                self._look_at_everything(now)
            for path in hint.paths:
                if path.is_relative_to(self._inbox):
                    self._look(path.relative_to(self._inbox).as_posix(), now, hinted=True)
            self._take_settled(room, now)
            self._serve_tickets(now)
        except OSError:
            self.look_again()  # the hints are spent
            raise
        self.is_settling = self._is_settling()
        ready, self._ready = self._ready, []
        return ready

    def seconds_until_next(self) -> float:
        """When the next round has something to do, if no hint comes before."""
        now = self._clock()
        times = [at for at in map(self._tracker.settles_at, self._tracker.files) if at > now]
        times += [self._next_look] if self._polling else [self._next_look, self._sign.next_time]
        return max(0.0, min(times) - now)

    def adopt(self, job: Job) -> None:
        """Go on with a job of an earlier process; the next round hands it out when it is ready.

        Raises:
            OSError: it cannot be read; it may be tried again.
        """
        files = self._spool.files(job)
        claimed = Claimed(job)
        ticket = next((name for name in files if self._form(name) == "ticket"), None)
        self._books.recover(job, files)
        if ticket is None:
            self._ready.append(claimed)
        else:
            self.tickets.append(Ticket(claimed, ticket, self._clock(), set(files)))

    def _form(self, name: str) -> Form:
        return classify(name, self._rules.image_endings).form

    def unclaimed(self) -> list[FileFacts]:
        """Of the files that can be taken, or will be when they have settled; those that are there to stay are none."""
        stay = self.left.keys() | self._styles_in_use.keys() | self._given_back.keys()
        return [known.facts for name, known in self._tracker.files.items() if name not in stay]

    # Looking

    def _look_at_everything(self, now: float) -> None:
        self._styles.look()
        self._watch_folders()  # first, so that nothing can come between
        found: set[str] = set()
        for name, status in walk_statuses(self._disk, self._inbox, is_excluded=self._is_ours_or_ignored):
            if isinstance(status, OSError):
                self._leave(name, f"cannot be read: {status.strerror}")
            else:
                self._see(name, status, now)
            found.add(name)
        for name in [name for name in self._tracker.files if name not in found]:
            self._forget(name)
        for name in [name for name in self.left if name not in found]:
            del self.left[name]
        self._next_look = now + (self._rules.poll_seconds if self._polling else self._rules.rescan_seconds)

    def _watch_folders(self) -> None:
        if self._polling:
            return
        entries = self._disk.entries(self._inbox)
        folders = {self._inbox / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        try:
            self._hints.watch({path for path in folders if not self._is_ours_or_ignored(path)})
        except OSError as error:
            self._degrade(f"events cannot be had ({error.strerror}); see sysctl fs.inotify.max_user_watches")

    def _is_ours_or_ignored(self, path: Path) -> bool:
        return is_ignored(path.name) or path == self._spool.root

    def _status(self, name: str) -> os.stat_result | None:
        """Of a file in the inbox; None if it is gone, or cannot be seen, which is reported."""
        try:
            return status_of(self._disk, self._inbox / name)
        except OSError as error:
            self._leave(name, f"cannot be read: {error.strerror}")
            return None

    def _look(self, name: str, now: float, *, hinted: bool = False) -> None:
        """At one file."""
        path = self._inbox / name
        if any(is_ignored(part) for part in name.split("/")) or path.is_relative_to(self._spool.root):
            return
        status = self._status(name)
        if status is None:
            self._forget(name)
        elif stat.S_ISDIR(status.st_mode):
            self.look_again()
        else:
            closed = hinted and stat.S_ISREG(status.st_mode) and self._rules.looks_complete(path)
            self._see(name, status, now, closed=closed)

    def _see(self, name: str, status: os.stat_result, now: float, *, closed: bool = False) -> None:
        if not stat.S_ISREG(status.st_mode):
            self._leave(name, "is no regular file")
            return
        facts = FileFacts.of(status)
        self._tracker.see(name, facts, now, closed=closed)
        if self._form(name) == "style":
            if self._styles_in_use.get(name, facts) != facts:  # being replaced
                self._drop_style(name)
        elif name not in self._given_back:
            self._books.see(name)

    def _forget(self, name: str) -> None:
        self._tracker.see(name, None, 0.0)
        self.left.pop(name, None)
        self._given_back.pop(name, None)
        if name in self._styles_in_use:
            self._drop_style(name)
        self._books.lose_sight(name)

    def _leave(self, name: str, reason: str) -> None:
        if self.left.get(name) != reason:
            self.left[name] = reason
            logger.warning("%s %s.", printable(name), reason)

    def _is_settling(self) -> bool:
        closes = self.closes_at or 0.0
        done = self.left.keys() | self._styles_in_use.keys() | self._given_back.keys() | self._awaited()
        return any(
            name not in done and known.first_seen <= closes and self._tracker.settles_at(name) <= closes
            for name, known in self._tracker.files.items()
        )

    # Claiming

    def _take_settled(self, room: int, now: float) -> None:
        due = self._tracker.due(now)
        due.sort(key=lambda name: self._form(name) != "ticket")  # first, since it tells what it waits for
        for name in due:
            if self._is_to_be_taken(name, room):
                room -= self._take(name, now)

    def _is_to_be_taken(self, name: str, room: int) -> bool:
        known = self._tracker.files[name]
        if self._styles_in_use.get(name) == known.facts or self._given_back.get(name) == known.facts:
            return False
        if self.closes_at is not None and known.first_seen > self.closes_at:
            return False
        action, reason = decide_file(self._view(name, known.facts))
        if action is FileAction.LEAVE:
            if self.left.get(name) != reason and not self._was_given_back(name, known.facts):
                self._leave(name, reason)
            return False
        if action is FileAction.WAIT:
            return False
        has_room = room > 0 or action is FileAction.USE_AS_STYLE or self._form(name) == "ticket"
        return has_room and not self._was_given_back(name, known.facts)

    def _take(self, name: str, now: float) -> bool:
        """Whether a photograph was claimed."""
        self._look(name, now)
        if not self._tracker.settled(name, now):
            return False
        form, facts = self._form(name), self._tracker.files[name].facts
        if form == "style":
            self._styles_in_use[name] = facts
            self._styles.drop(name.split("/", maxsplit=1)[0], self._inbox / name)
            return False
        try:
            job = self._spool.claim(name)
        except NotClaimedError as error:
            self._not_claimed(name, error, now)
            return False
        self._claimed(job, name)
        claimed = Claimed(job, {name: facts})
        if form == "ticket":
            self.tickets.append(Ticket(claimed, name, now, {name}))
            self._styles.look()
            self.tickets[-1].read(self._rules.requirements_of_ticket)
            return False
        self._ready.append(claimed)
        return True

    def _view(self, name: str, facts: FileFacts) -> FileView:
        candidate = classify(name, self._rules.image_endings)
        style = candidate.style or self._rules.default_style
        return FileView(
            candidate,
            is_empty=facts.size == 0,
            style=style,
            style_is_known=bool(style) and self._styles.find(style) is not None,
            awaited=name in self._awaited(),
        )

    def _was_given_back(self, name: str, facts: FileFacts) -> bool:
        if not self._spool.was_given_back(name, facts):
            return False
        self._given_back[name] = facts
        self._books.ignore(name)
        self.left.pop(name, None)
        return True

    def _drop_style(self, name: str) -> None:
        del self._styles_in_use[name]
        self._styles.drop(name.split("/", maxsplit=1)[0], None)

    def _claimed(self, job: Job, name: str) -> None:
        self._books.claim(job, name)
        self._tracker.see(name, None, 0.0)
        self.left.pop(name, None)

    def _not_claimed(self, name: str, error: NotClaimedError, now: float) -> None:
        if error.held:
            self._leave(name, f"{error.reason}; it is tried again")
            known = self._tracker.files[name]
            self._tracker.see(name, None, now)
            self._tracker.see(name, known.facts, now)
        else:
            self._forget(name)

    # Tickets

    def waiting_tickets(self) -> dict[str, list[str]]:
        """What each waits for."""
        return {ticket.name: self._lacks(ticket) for ticket in list(self.tickets)}

    def _lacks(self, ticket: Ticket) -> list[str]:
        """What keeps it from being gathered."""
        now = self._clock()
        here = {name for name in ticket.missing_files() if self._tracker.settled(name, now)}
        return [name for name in ticket.missing(self._styles) if name not in here]

    def _awaited(self) -> set[str]:
        return {name for ticket in self.tickets if ticket.needs for name in ticket.needs.files}

    def _serve_tickets(self, now: float) -> None:
        for ticket in list(self.tickets):
            ticket.read(self._rules.requirements_of_ticket)
            if ticket.missing_files():
                for name in set(self._spool.files(ticket.claimed.job)) - ticket.files:
                    self._gathered(ticket, name)  # though the disk had said that it was not
            # All at once, so that a ticket that never can be done keeps no photograph from another.
            if not self._lacks(ticket):
                for name in ticket.missing_files():
                    self._gather(ticket, name, now)
            if not ticket.is_ready(self._styles) and now - ticket.since >= self._rules.ticket_seconds:
                ticket.give_up(self._rules.ticket_seconds, self._lacks(ticket))
            if ticket.is_ready(self._styles):
                self._ready.append(ticket.claimed)
                self.tickets.remove(ticket)

    def _gather(self, ticket: Ticket, name: str, now: float) -> None:
        self._look(name, now)
        if not self._tracker.settled(name, now):
            return
        facts = self._tracker.files[name].facts
        try:
            self._spool.add(ticket.claimed.job, name)
        except NotClaimedError as error:
            self._not_claimed(name, error, now)
            return
        ticket.claimed.facts[name] = facts
        self._gathered(ticket, name)

    def _gathered(self, ticket: Ticket, name: str) -> None:
        ticket.files.add(name)
        self._claimed(ticket.claimed.job, name)

    # Hints that fail

    def _degrade(self, reason: str) -> None:
        logger.warning("%s; from now on the inbox is looked through every %g s.", reason, self._rules.poll_seconds)
        self._polling, self.degraded = True, reason
        self._sign.end()
        self.look_again()
