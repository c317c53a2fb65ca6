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
    """Files and styles that the manifest names; None until it could be read."""

    def read(self, requirements_of_ticket: Callable[[Path], TicketRequirements]) -> None:
        """Read what the ticket waits for, unless that is known; a manifest that is wrong becomes the job's problem."""
        if self.requirements is not None or self.claimed.problem is not None:
            return
        try:
            self.requirements = requirements_of_ticket(self.claimed.job.path(self.name))
        except UnreadableError as error:
            logger.warning("%s It is tried again.", error)
        except ImpastoError as error:
            self.claimed.problem = error
        except Exception as error:  # no file, however strange, may end the process at each start
            logger.exception("%s", self.name)
            self.claimed.problem = internal_error(error, self.name)

    def missing_files(self) -> list[str]:
        """Return the required files that the job does not have, in order."""
        return sorted(self.requirements.files - self.files) if self.requirements else []

    def missing(self, styles: Styles) -> list[str]:
        """Return what the job lacks, in words: missing files, then missing styles."""
        names = sorted(self.requirements.styles) if self.requirements else []
        return self.missing_files() + [f"the style {name}" for name in names if styles.find(name) is None]

    def is_ready(self, styles: Styles) -> bool:
        """Whether the job has all that it needs, or has failed."""
        return self.claimed.problem is not None or (self.requirements is not None and not self.missing(styles))

    def fail_waiting(self, seconds: float, lacking: list[str]) -> None:
        """Let the job fail, since it has waited for so many seconds."""
        waited_for = ", ".join(lacking) or "the disk"
        self.claimed.problem = TicketError(
            f"{self.name}: waited {seconds:g} s in vain for {waited_for}.",
            "Put what is missing into the inbox, and the ticket once more.",
        )


class Tickets:
    """The tickets that wait, and the claims of files for them. Only the scanning thread changes anything."""

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
            spool: a ticket's job is there.
            styles: the style library.
            rules: settings of the inbox.
            clock: the time, in monotonic seconds.
        """
        self._files, self._spool, self._styles, self._rules, self._clock = files, spool, styles, rules, clock
        self.waiting: list[Ticket] = []
        """Tickets that lack something, in the order of their claims."""

    def add(self, claimed: Claimed, name: str, now: float) -> None:
        """Let a ticket that was just claimed wait.

        Raises:
            OSError: the style library cannot be read.
        """
        ticket = Ticket(claimed, name, now, {name})
        self.waiting.append(ticket)
        self._styles.look()
        ticket.read(self._rules.requirements_of_ticket)

    def adopt(self, claimed: Claimed, name: str, files: Iterable[str]) -> None:
        """Let a ticket of an earlier process wait, whose job has some files already."""
        self.waiting.append(Ticket(claimed, name, self._clock(), set(files)))

    def awaited_files(self) -> set[str]:
        """Return all files that tickets require; they are not to be claimed as photographs."""
        return {name for ticket in self.waiting if ticket.requirements for name in ticket.requirements.files}

    def lacking(self) -> dict[str, list[str]]:
        """Return what keeps each ticket waiting, by the ticket's name."""
        return {ticket.name: self._lacking(ticket) for ticket in list(self.waiting)}

    def _lacking(self, ticket: Ticket) -> list[str]:
        """Return what is neither in the job nor ready to be claimed for it."""
        now = self._clock()
        stable = {name for name in ticket.missing_files() if self._files.tracker.is_stable(name, now)}
        return [name for name in ticket.missing(self._styles) if name not in stable]

    def serve(self, now: float) -> Iterator[Claimed]:
        """Claim the files of every ticket whose files are all stable, and fail those that waited too long.

        Yields:
            Each job that has all it needs, or has failed; its ticket waits no longer.

        Raises:
            OSError: the spool cannot be read or written.
        """
        for ticket in list(self.waiting):
            ticket.read(self._rules.requirements_of_ticket)
            if ticket.missing_files():
                for name in set(self._spool.files(ticket.claimed.job)) - ticket.files:
                    self._add_file(ticket, name)  # it was moved although the disk reported an error
            # All files are claimed at once, so that a ticket that can never be done keeps no photograph from another.
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
