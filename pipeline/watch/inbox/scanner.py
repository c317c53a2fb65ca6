"""The scanner: looks at the inbox in rounds, at the paths of events and regularly at all files.

Events only say where to look at once; a look decides. The scanner looks at every file when it starts, when events were
lost, and at regular intervals.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pipeline.system.remedies import remedy_without_events
from pipeline.watch.inbox.claims import Claims
from pipeline.watch.inbox.events import Changes, EventProbe
from pipeline.watch.inbox.files import InboxFiles
from pipeline.watch.inbox.tickets import Tickets
from pipeline.watch.spool.place import EVENT_PROBE_PREFIX
from pipeline.watch.spool.records import Claimed
from pipeline.watch.spool.tidy import TIDY_SECONDS, tidy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.watch.inbox.events import ChangeEvents
    from pipeline.watch.inbox.rules import InboxRules
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.inbox.tickets import Ticket
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.records import FileFacts, Job
    from pipeline.watch.spool.spool import Spool

logger = logging.getLogger(__name__)

FIRST_RESTART_SECONDS: Final = 60.0
"""Seconds until events are tried again after they have failed for the first time; twice as long each further time."""
LONGEST_RESTART_SECONDS: Final = 3600.0
"""Longest time, in seconds, until events are tried again."""
LOOK_FACTOR: Final = 10.0
"""Shortest time between the beginnings of two looks at all files, as a multiple of the time that the last one took."""


class Scanner:
    """Looks at one inbox, claims its stable files, and hands out their jobs.

    The main thread calls `start` and then `adopt` before the scanning thread begins, sets `closes_at`, and calls `stop`
    after that thread has ended. In between only the scanning thread calls `round`, `adopt`, `start_over`, `look_again`,
    `try_again` and `seconds_until_next`. Any thread may read public attributes and properties, and call `unclaimed`
    and `waiting_tickets`.
    """

    def __init__(  # noqa: PLR0913 - the parts of a scanner
        self,
        *,
        spool: Spool,
        styles: Styles,
        events: ChangeEvents,
        rules: InboxRules,
        accounting: FileAccounting,
        clock: Callable[[], float],
        polling: bool,
    ) -> None:
        """Make a scanner that has not looked yet.

        Args:
            spool: the spool, which gets the claimed files, and which names the inbox.
            styles: the style library.
            events: the source of events, which is not used with `polling`.
            rules: settings of the inbox.
            accounting: counts each file that appears, disappears or is claimed.
            clock: returns the time in monotonic seconds.
            polling: look at all files every `poll_seconds` instead of relying on events.
        """
        self._spool, self._styles, self._events, self._rules = spool, styles, events, rules
        self._accounting, self._clock, self._polling = accounting, clock, polling
        self._files = InboxFiles(spool.place, styles, accounting, rules, on_folder=self.look_again)
        self._tickets = Tickets(self._files, spool, styles, rules, clock)
        self._claims = Claims(self._files, self._tickets, spool, styles, rules)
        place = spool.place
        self._probe = EventProbe(place.inbox / f"{EVENT_PROBE_PREFIX}{place.worker}", place.disk)
        self.degraded = ""
        """Reason why the scanner does not rely on events now; empty while it does, or if it never did."""
        self._told = ""
        """Last such reason that was logged."""
        self._next_start = float("inf")
        """Time at which events are tried again, in monotonic seconds."""
        self._restart_seconds = FIRST_RESTART_SECONDS
        self.closes_at: float | None = None
        """Time, in monotonic seconds, after which newly seen files are left for the next start; None: no such time."""
        self.is_settling = True
        """Whether any file that was seen before `closes_at` may still be claimed."""
        self._ready: list[Claimed] = []
        """Jobs that the next round hands out; they stay here if a round fails."""
        self._next_look = 0.0
        """Time of the next look at all files, in monotonic seconds."""
        self._next_tidy = 0.0
        """Time from which on the next complete look tidies the spool, in monotonic seconds."""

    @property
    def mode(self) -> str:
        """Way in which changes are noticed: `polling` or `events`."""
        return "polling" if self._polling else "events"

    @property
    def image_endings(self) -> tuple[str, ...]:
        """Endings of files that are pictures."""
        return self._rules.image_endings

    @property
    def left(self) -> dict[str, str]:
        """Reason why a file is left in the inbox, by path."""
        return self._files.left

    @property
    def tickets(self) -> list[Ticket]:
        """Tickets that wait for files or styles."""
        return self._tickets.waiting

    @property
    def has_unreadable_inputs(self) -> bool:
        """Whether photographs wait for a ticket, a painting or a mask that the machine failed to read."""
        return self._styles.damaged.has_unreadable or any(ticket.is_unreadable for ticket in self.tickets)

    @property
    def needs_action(self) -> bool:
        """Whether files wait until a person mends a painting, a mask, permissions or a mount."""
        return bool(self._styles.damaged or self._files.held)

    def waiting_tickets(self) -> dict[str, list[str]]:
        """Return the files and styles that each waiting ticket lacks, by the ticket's name."""
        return self._tickets.lacking()

    def unclaimed(self) -> list[FileFacts]:
        """Return the facts of all files that can be claimed, now or as soon as they are stable."""
        return self._files.unclaimed()

    def start(self) -> None:
        """Start listening for events, then look at all files.

        Raises:
            OSError: the inbox cannot be read.
        """
        if not self._polling:
            self._start_events(self._clock())
        self._look_everywhere(self._clock())
        for folder in sorted(self._top_folders()):
            self._files.warn_about(folder.name)
        if self._styles.lacks_paintings:
            logger.warning(
                "styles.folder has no paintings; only folders with a _style picture of their own are painted."
            )
        default = self._rules.default_style
        if default and self._styles.find(default) is None:
            logger.warning("styles.default = %s is not in styles.folder; photographs at the top wait for it.", default)

    def stop(self) -> None:
        """Stop listening for events."""
        self._events.stop()
        self._probe.end()

    def look_again(self) -> None:
        """Look at all files in the next round."""
        self._next_look = 0.0

    def try_again(self) -> None:
        """Look at all files in the next round, and do not wait any longer for those that could not be claimed."""
        self._files.release_held()
        self.look_again()

    def start_over(self) -> None:
        """Continue with a spool that was made again; the next round hands out tickets, and their loss is counted."""
        self._ready += self._tickets.give_up()
        self.look_again()

    def adopt(self, job: Job) -> None:
        """Continue a job of an earlier process; the next round hands it out if it is ready.

        Raises:
            OSError: the job cannot be read; it may be adopted again.
        """
        names = self._spool.files(job)
        claimed = Claimed(job)
        ticket = next((name for name in names if self._files.form(name) == "ticket"), None)
        self._accounting.recover(job, names)
        if ticket is None:
            self._ready.append(claimed)
        else:
            self._tickets.adopt(claimed, ticket, names)

    def round(self, room: int) -> list[Claimed]:
        """Look at changed files, or at all files if that is due, and claim stable files.

        Args:
            room: largest number of photographs to claim.

        Returns:
            The jobs that can begin.

        Raises:
            OSError: the inbox or the spool cannot be read or written; the next round looks at all files.
            EvictedError: other workers took this one for dead.
        """
        now = self._clock()
        changes = Changes() if self._polling else self._events.take()
        try:
            self._look(changes, now)
            # Each job is kept as soon as it is claimed, since the next claim may fail.
            for claimed in self._claims.claim_stable(room, now, self.closes_at):
                self._ready.append(claimed)
            for claimed in self._tickets.serve(now):
                self._ready.append(claimed)
        except OSError:
            self.look_again()  # the events have been taken and will not arrive again
            raise
        self.is_settling = (
            self.closes_at is None or self._tickets.is_claiming or self._claims.is_settling(self.closes_at)
        )
        ready, self._ready = self._ready, []
        return ready

    def seconds_until_next(self) -> float:
        """Return the seconds until the next round is due if no event arrives before."""
        if self._tickets.is_claiming:
            return 0.0
        times = [self._files.tracker.next_due(), self._next_look]
        if not self._polling:
            times.append(self._probe.next_time)
        return max(0.0, min(times) - self._clock())

    def _start_events(self, now: float) -> None:
        self._polling, self.degraded = False, ""
        try:
            self._events.start()
        except OSError as error:
            self._degrade_without_events(error)
        self._probe.begin(now)

    def _look(self, changes: Changes, now: float) -> None:
        if self._polling and now >= self._next_start:
            self._start_events(now)
            self.look_again()  # which also watches the folders
        if not self._polling and (reason := self._probe.check(self._events, changes, now)):
            self._degrade(reason)
        if changes.look_everywhere or now >= self._next_look:
            self._look_everywhere(now)
        inbox = self._spool.place.inbox
        for path in changes.paths:
            if path.is_relative_to(inbox):
                self._files.look_at(path.relative_to(inbox).as_posix(), now, after_event=True)

    def _look_everywhere(self, now: float) -> None:
        self._styles.look()
        self._watch_folders()  # before the look, so that no change between the two is missed
        found, is_complete = self._files.look_everywhere(now)
        if is_complete and now >= self._next_tidy:
            self._next_tidy = now + TIDY_SECONDS
            try:
                tidy(self._spool.place, found)
            except OSError as error:
                logger.warning("%s: cannot be tidied: %s.", self._spool.root, error.strerror)
        seconds = self._rules.poll_seconds if self._polling else self._rules.rescan_seconds
        self._next_look = now + max(seconds, LOOK_FACTOR * (self._clock() - now))

    def _watch_folders(self) -> None:
        if self._polling:
            return
        folders = self._top_folders()
        try:
            self._events.watch(folders)
        except OSError as error:
            self._degrade_without_events(error)

    def _top_folders(self) -> set[Path]:
        place = self._spool.place
        entries = place.disk.entries(place.inbox)
        folders = (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return {place.inbox / name for name in folders if not self._files.is_excluded(name)}

    def _degrade_without_events(self, error: OSError) -> None:
        self._degrade(f"events are not available ({error.strerror}). {remedy_without_events(error)}")

    def _degrade(self, reason: str) -> None:
        """Poll the inbox, until events are tried again."""
        if reason != self._told:
            text = "%s; until they are tried again, the inbox is scanned every %g s."
            logger.warning(text, reason, self._rules.poll_seconds)
        self._polling, self.degraded, self._told = True, reason, reason
        self._next_start = self._clock() + self._restart_seconds
        self._restart_seconds = min(2 * self._restart_seconds, LONGEST_RESTART_SECONDS)
        self._probe.end()
        self._events.stop()
        self.look_again()
