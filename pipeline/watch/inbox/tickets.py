"""Tickets: manifests that were dropped into the inbox, whose files may still be arriving."""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImpastoError, TicketError, UnreadableError, internal_error
from pipeline.run.named_paths import composed
from pipeline.run.picture_files import listed
from pipeline.watch.spool.records import NotClaimedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pipeline.watch.inbox.files import InboxFiles
    from pipeline.watch.inbox.rules import InboxRules
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.inbox.ticket_requirements import TicketRequirements
    from pipeline.watch.spool.records import Claimed
    from pipeline.watch.spool.spool import Spool

logger = logging.getLogger(__name__)

FILES_PER_ROUND: Final = 100
"""Largest number of files that are claimed for a ticket in one round, so that photographs are claimed in between."""


class Checklist:
    """Names that are checked in turn until all of them pass.

    A check goes on at the name that failed last. So it costs nothing while that name fails, and files that arrive one
    by one are checked about twice each.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = sorted(names)
        self._position = 0

    def first_failing(self, passes: Callable[[str], bool]) -> str | None:
        """Return a name that does not pass; None if all do."""
        for _ in self._names:
            name = self._names[self._position]
            if not passes(name):
                return name
            self._position = (self._position + 1) % len(self._names)
        return None


@dataclass
class Ticket:
    """A claimed manifest that waits for its files and styles."""

    claimed: Claimed
    name: str
    """Path of the manifest in the inbox."""
    since: float
    """Time at which the ticket was claimed or taken over, in monotonic seconds."""
    files: set[str]
    """Paths in the inbox of the files that its job has."""
    requirements: TicketRequirements | None = None
    """Files and styles that the manifest names; None until it has been read."""
    missing: set[str] = field(default_factory=set)
    """Required files that the job does not have, as in the requirements."""
    is_unreadable: bool = False
    """Whether the machine failed to read the manifest at the last attempt."""
    is_uncertain: bool = False
    """Whether a file may have been moved into the job although the disk reported an error."""
    _files: Checklist = field(default_factory=Checklist)
    _styles: Checklist = field(default_factory=Checklist)

    def read(self, requirements_of_ticket: Callable[[Path], TicketRequirements]) -> None:
        """Read the ticket's requirements, unless they are known; an error in the manifest becomes the job's problem."""
        if self.requirements is not None or self.claimed.problem is not None:
            return
        try:
            self.requirements = requirements_of_ticket(self.claimed.job.path(self.name))
            self.is_unreadable = False
        except UnreadableError as error:
            logger.log(logging.DEBUG if self.is_unreadable else logging.WARNING, "%s It is tried again.", error)
            self.is_unreadable = True
        except ImpastoError as error:
            self.claimed.problem = error
        except Exception as error:  # a strange file must not end the process at every start
            logger.exception("%s", self.name)
            self.claimed.problem = internal_error(error, self.name)
        if self.requirements is not None:
            self.missing = set(self.requirements.files.difference(map(composed, self.files)))
            self._files, self._styles = Checklist(self.missing), Checklist(self.requirements.styles)

    def add_file(self, name: str) -> None:
        """Record that the job has a file."""
        self.files.add(name)
        self.missing.discard(composed(name))

    def has_styles(self, styles: Styles) -> bool:
        """Whether the manifest is known and all its styles exist."""
        return (
            self.requirements is not None and self._styles.first_failing(lambda name: bool(styles.find(name))) is None
        )

    def can_be_complete(self, styles: Styles, is_stable: Callable[[str], bool]) -> bool:
        """Whether all styles exist, and all files are in the job or stable in the inbox."""
        return (
            self.has_styles(styles)
            and self._files.first_failing(lambda name: name not in self.missing or is_stable(name)) is None
        )

    def lacking(self, styles: Styles, is_stable: Callable[[str], bool]) -> list[str]:
        """Return the files that are neither in the job nor stable in the inbox, then the missing styles, in words."""
        files = sorted(name for name in self.missing if not is_stable(name))
        names = sorted(self.requirements.styles) if self.requirements else []
        return files + [f"the style {name}" for name in names if styles.find(name) is None]

    def is_ready(self, styles: Styles) -> bool:
        """Whether the job has all required files and styles, or has failed."""
        return self.claimed.problem is not None or (not self.missing and self.has_styles(styles))

    def fail_waiting(self, seconds: float, lacking: list[str]) -> None:
        """Let the job fail, since it has waited too long.

        Args:
            seconds: seconds that it has waited.
            lacking: missing files and styles, in words.
        """
        waited_for = listed(lacking) or "the disk"
        self.claimed.problem = TicketError(
            f"{self.name}: waited {seconds:g} s, but these did not arrive: {waited_for}.",
            "Put the missing files into the inbox, and the ticket once more.",
        )


class Tickets:
    """The waiting tickets, and the claims of files for them. Only the scanning thread calls methods that change it."""

    def __init__(
        self,
        files: InboxFiles,
        spool: Spool,
        styles: Styles,
        rules: InboxRules,
        clock: Callable[[], float],
    ) -> None:
        """Start without any ticket.

        Args:
            files: the unclaimed files.
            spool: the spool, which has the tickets' jobs.
            styles: the style library.
            rules: settings of the inbox.
            clock: the time, in monotonic seconds.
        """
        self._files, self._spool, self._styles, self._rules, self._clock = files, spool, styles, rules, clock
        self.waiting: list[Ticket] = []
        """Tickets that lack something, in the order of their claims."""
        self.is_claiming = False
        """Whether the next call of `serve` goes on with the files of a large ticket."""
        self._awaited: Counter[str] = Counter()
        """Number of waiting tickets that require a file, by the file's path in the inbox."""

    def add(self, claimed: Claimed, name: str, now: float) -> None:
        """Add a ticket that was just claimed.

        Raises:
            OSError: the style library cannot be read.
        """
        ticket = Ticket(claimed, name, now, {name})
        self.waiting.append(ticket)
        self._styles.look()
        self._read(ticket)

    def adopt(self, claimed: Claimed, name: str, files: Iterable[str]) -> None:
        """Add a ticket of an earlier process, whose job may have some files already."""
        self.waiting.append(Ticket(claimed, name, self._clock(), set(files)))

    def _read(self, ticket: Ticket) -> None:
        if ticket.requirements is None:
            ticket.read(self._rules.requirements_of_ticket)
            if ticket.requirements is not None:
                self._awaited.update(ticket.requirements.files)

    def _end(self, ticket: Ticket) -> None:
        """Let a ticket wait no more; files that it required may be claimed as photographs again."""
        self.waiting.remove(ticket)
        for name in ticket.requirements.files if ticket.requirements is not None else ():
            self._awaited[name] -= 1
            if not self._awaited[name]:
                del self._awaited[name]
                self._files.tracker.make_due(self._files.tracker.spelled(name))

    def give_up(self) -> list[Claimed]:
        """Let no ticket wait any more, and return their jobs."""
        jobs = [ticket.claimed for ticket in self.waiting]
        for ticket in list(self.waiting):
            self._end(ticket)
        return jobs

    def is_awaited(self, name: str) -> bool:
        """Whether a ticket requires a file, which then must not be claimed as a photograph."""
        return composed(name) in self._awaited

    def lacking(self) -> dict[str, list[str]]:
        """Return the missing files and styles of each ticket, by the ticket's name."""
        return {ticket.name: self._lacking(ticket, self._clock()) for ticket in list(self.waiting)}

    def _lacking(self, ticket: Ticket, now: float) -> list[str]:
        return ticket.lacking(self._styles, lambda name: self._is_stable(name, now))

    def _is_stable(self, name: str, now: float) -> bool:
        return self._files.tracker.is_stable(self._files.tracker.spelled(name), now)

    def serve(self, now: float) -> Iterator[Claimed]:
        """Claim the files of every ticket whose files are all stable, and fail those that waited too long.

        Yields:
            Each job that has all its files and styles, or has failed; its ticket no longer waits.

        Raises:
            OSError: the spool cannot be read or written.
        """
        self.is_claiming = False
        for ticket in list(self.waiting):
            self._read(ticket)
            if ticket.is_uncertain:
                for name in set(self._spool.files(ticket.claimed.job)) - ticket.files:
                    self._add_file(ticket, name)
                ticket.is_uncertain = False
            # No file is claimed before all are there, so that a ticket that never completes keeps none from others.
            is_cut = False
            if ticket.missing and ticket.can_be_complete(self._styles, lambda name: self._is_stable(name, now)):
                is_cut = len(ticket.missing) > FILES_PER_ROUND
                for name in heapq.nsmallest(FILES_PER_ROUND, ticket.missing):
                    self._claim_file(ticket, self._files.tracker.spelled(name), now)
            self.is_claiming |= is_cut
            if not (is_cut or ticket.is_ready(self._styles)) and now - ticket.since >= self._rules.ticket_seconds:
                ticket.fail_waiting(self._rules.ticket_seconds, self._lacking(ticket, now))
            if ticket.is_ready(self._styles):
                self._end(ticket)
                yield ticket.claimed

    def _claim_file(self, ticket: Ticket, name: str, now: float) -> None:
        self._files.look_at(name, now)
        if not self._files.tracker.is_stable(name, now) or not self._files.may_be_claimed(name, now):
            return
        facts = self._files.tracker.files[name].facts
        try:
            self._spool.add(ticket.claimed.job, name)
        except NotClaimedError as error:
            ticket.is_uncertain = True
            self._files.handle_not_claimed(name, error, now)
            return
        except OSError:
            ticket.is_uncertain = True
            raise
        ticket.claimed.facts[name] = facts
        self._add_file(ticket, name)

    def _add_file(self, ticket: Ticket, name: str) -> None:
        ticket.add_file(name)
        self._files.remove_claimed(ticket.claimed.job, name)
