"""Tickets: manifests in the inbox whose files may still be arriving."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import ImpastoError, TicketError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.watch.inbox.needs import Needs
    from pipeline.watch.inbox.stability import Facts
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.spool.records import Job

logger = logging.getLogger(__name__)


@dataclass
class Claimed:
    """A job to be done."""

    job: Job
    facts: dict[str, Facts] = field(default_factory=dict)
    """Of its files when they were claimed; empty after a restart."""
    problem: ImpastoError | None = None
    """Why it cannot be done."""


@dataclass
class Ticket:
    """A claimed manifest that waits for its files and styles."""

    claimed: Claimed
    name: str
    since: float
    files: set[str]
    """That are in the job already."""
    needs: Needs | None = None
    """None until it could be read."""

    def read(self, needs_of_ticket: Callable[[Path], Needs]) -> None:
        """Learn what it waits for; a ticket that is wrong waits for nothing and has a problem."""
        if self.needs is not None or self.claimed.problem is not None:
            return
        try:
            self.needs = needs_of_ticket(self.claimed.job.path(self.name))
        except UnreadableError as error:
            logger.warning("%s It is tried again.", error)
        except ImpastoError as error:
            self.claimed.problem = error
        except Exception as error:  # a strange file must not end the process, again and again
            logger.exception("%s", self.name)
            self.claimed.problem = ImpastoError(
                f"{self.name}: {type(error).__name__}: {error}", "This is a defect of impasto; please report it."
            )

    def missing_files(self) -> list[str]:
        """What has not come."""
        return sorted(self.needs.files - self.files) if self.needs else []

    def missing(self, styles: Styles) -> list[str]:
        """The same, with styles."""
        unknown = [name for name in sorted(self.needs.styles) if styles.find(name) is None] if self.needs else []
        return self.missing_files() + [f"the style {name}" for name in unknown]

    def is_ready(self, styles: Styles) -> bool:
        """Whether its job can be begun, or has failed."""
        return self.claimed.problem is not None or (self.needs is not None and not self.missing(styles))

    def give_up(self, seconds: float, lacking: list[str]) -> None:
        """It has waited long enough for these."""
        waited_for = ", ".join(lacking) or "the disk"
        self.claimed.problem = TicketError(
            f"{self.name}: waited {seconds:g} s in vain for {waited_for}.",
            "Put what is missing into the inbox, and the ticket once more.",
        )
