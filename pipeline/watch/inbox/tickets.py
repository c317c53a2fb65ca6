"""Tickets: manifests that were dropped into the inbox, whose files may still be arriving."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ImpastoError, TicketError, UnreadableError, internal_error
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

    def read(self, requirements_of_ticket: Callable[[Path], TicketRequirements]) -> None:
        """Read the ticket's requirements, unless they are known; an error in the manifest becomes the job's problem."""
        if self.requirements is not None or self.claimed.problem is not None:
            return
        try:
            self.requirements = requirements_of_ticket(self.claimed.job.path(self.name))
        except UnreadableError as error:
            logger.warning("%s It is tried again.", error)
        except ImpastoError as error:
            self.claimed.problem = error
        except Exception as error:  # a strange file must not end the process at every start
            logger.exception("%s", self.name)
            self.claimed.problem = internal_error(error, self.name)

    def missing_files(self) -> list[str]:
        """Return the required files that the job does not have, in order."""
        return sorted(self.requirements.files - self.files) if self.requirements else []

    def missing(self, styles: Styles) -> list[str]:
        """Return the job's missing files, then its missing styles, in words."""
        names = sorted(self.requirements.styles) if self.requirements else []
        return self.missing_files() + [f"the style {name}" for name in names if styles.find(name) is None]

    def is_ready(self, styles: Styles) -> bool:
        """Whether the job has all required files and styles, or has failed."""
        return self.claimed.problem is not None or (self.requirements is not None and not self.missing(styles))

    def fail_waiting(self, seconds: float, lacking: list[str]) -> None:
        """Let the job fail, since it has waited too long.

        Args:
            seconds: seconds that it has waited.
            lacking: missing files and styles, in words.
        """
        waited_for = ", ".join(lacking) or "the disk"
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

    def add(self, claimed: Claimed, name: str, now: float) -> None:
        """Add a ticket that was just claimed.

        Raises:
            OSError: the style library cannot be read.
        """
        ticket = Ticket(claimed, name, now, {name})
        self.waiting.append(ticket)
        self._styles.look()
        ticket.read(self._rules.requirements_of_ticket)

    def adopt(self, claimed: Claimed, name: str, files: Iterable[str]) -> None:
        """Add a ticket of an earlier process, whose job may have some files already."""
        self.waiting.append(Ticket(claimed, name, self._clock(), set(files)))

    def awaited_files(self) -> set[str]:
        """Return all files that tickets require, which must not be claimed as photographs."""
        return {name for ticket in self.waiting if ticket.requirements for name in ticket.requirements.files}

    def lacking(self) -> dict[str, list[str]]:
        """Return the missing files and styles of each ticket, by the ticket's name."""
        return {ticket.name: self._lacking(ticket) for ticket in list(self.waiting)}

    def _lacking(self, ticket: Ticket) -> list[str]:
        """Return the files and styles that are neither in the job nor ready to be claimed for it."""
        now = self._clock()
        stable = {name for name in ticket.missing_files() if self._files.tracker.is_stable(name, now)}
        return [name for name in ticket.missing(self._styles) if name not in stable]

    def serve(self, now: float) -> Iterator[Claimed]:
        """Claim the files of every ticket whose files are all stable, and fail those that waited too long.

        Yields:
            Each job that has all its files and styles, or has failed; its ticket no longer waits.

        Raises:
            OSError: the spool cannot be read or written.
        """
        for ticket in list(self.waiting):
            ticket.read(self._rules.requirements_of_ticket)
            if ticket.missing_files():
                for name in set(self._spool.files(ticket.claimed.job)) - ticket.files:
                    self._add_file(ticket, name)  # the file was moved although the disk reported an error
            # All files are claimed at once, so that a ticket that never completes keeps no photograph from others.
            if not self._lacking(ticket):
                for name in ticket.missing_files():
                    self._claim_file(ticket, name, now)
            if not ticket.is_ready(self._styles) and now - ticket.since >= self._rules.ticket_seconds:
                ticket.fail_waiting(self._rules.ticket_seconds, self._lacking(ticket))
            if ticket.is_ready(self._styles):
                self.waiting.remove(ticket)
                yield ticket.claimed

    def _claim_file(self, ticket: Ticket, name: str, now: float) -> None:
        self._files.look_at(name, now)
        if not self._files.tracker.is_stable(name, now):
            return
        facts = self._files.tracker.files[name].facts
        try:
            self._spool.add(ticket.claimed.job, name)
        except NotClaimedError as error:
            self._files.handle_not_claimed(name, error, now)
            return
        ticket.claimed.facts[name] = facts
        self._add_file(ticket, name)

    def _add_file(self, ticket: Ticket, name: str) -> None:
        ticket.files.add(name)
        self._files.remove_claimed(ticket.claimed.job, name)
