"""Tickets: manifests in the inbox whose files may still be arriving."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import ImpastoError, TicketError, UnreadableError, internal_error
from pipeline.run.manifest import Expander
from pipeline.run.manifest_rows import Problems, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.run.manifest import ManifestRules
    from pipeline.settings.pair_settings import Values

    # moved
    from pipeline.watch.inbox.styles import Styles
    from pipeline.watch.spool.records import Claimed

logger = logging.getLogger(__name__)


@dataclass
class Ticket:
    """A claimed manifest that waits for its files and styles."""

    claimed: Claimed
    name: str
    since: float
    files: set[str]
    """That are in the job already."""
    needs: TicketRequirements | None = None
    """None until it could be read."""

    def read(self, requirements_of_ticket: Callable[[Path], TicketRequirements]) -> None:
        """Learn what it waits for; a ticket that is wrong waits for nothing and has a problem."""
        if self.needs is not None or self.claimed.problem is not None:
            return
        try:
            self.needs = requirements_of_ticket(self.claimed.job.path(self.name))
        except UnreadableError as error:
            logger.warning("%s It is tried again.", error)
        except ImpastoError as error:
            self.claimed.problem = error
        except Exception as error:  # a strange file must not end the process, again and again
            logger.exception("%s", self.name)
            self.claimed.problem = internal_error(error, self.name)

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


@dataclass(frozen=True)
class TicketRequirements:
    """What a ticket waits for."""

    files: frozenset[str]
    """By their paths in the inbox."""
    styles: frozenset[str]
    """By their names in the style library."""


def requirements_of_ticket(
    path: Path, base_values: Values, overrides: Values, rules: ManifestRules
) -> TicketRequirements:
    """What a manifest in the inbox waits for; it need not be there yet.

    Such a manifest names files one by one, since nobody knows when a folder is complete, and none outside of the inbox.
    A style is named as the style library names it, or is a picture in the inbox.

    Raises:
        UnreadableError: the disk or the network failed.
        ManifestError: names every line that is wrong.
        UsageError: the file cannot be read at all.
    """
    problems = Problems()
    rows = list(read_rows(path, problems))
    if not rows and not problems.found:
        problems.add(1, "the manifest lists no pairs")
    expander = Expander(path.parent, base_values, overrides, rules, problems)
    files, styles = set(), set()
    for row in rows:
        expander.settings(row)
        named = (("content", row.content), ("style", row.style), *([("mask", row.mask)] if row.mask else []))
        for what, text in named:
            if what == "style" and (rules.find_style(text) or not _has_ending(text, rules)):
                styles.add(text)
                continue
            files.add(text)
            wrong = _why_not_in_inbox(text, rules)
            if wrong:
                problems.add(row.line, f"{what} {text!r} {wrong}")
    problems.raise_if_any(path.name)
    return TicketRequirements(
        frozenset(os.path.normpath(text).replace(os.sep, "/") for text in files), frozenset(styles)
    )


def _has_ending(text: str, rules: ManifestRules) -> bool:
    return PurePosixPath(text.replace(os.sep, "/")).suffix.lower() in rules.endings


def _why_not_in_inbox(text: str, rules: ManifestRules) -> str | None:
    path = PurePosixPath(text.replace(os.sep, "/"))
    if path.is_absolute() or ".." in path.parts:
        return "is outside of the inbox"
    if any(part.startswith(".") for part in path.parts):
        return "is hidden"
    if "*" in text or "?" in text:
        return "is a pattern; here files are named one by one"
    if not _has_ending(text, rules):
        return f"is no picture ({', '.join(rules.endings)}); here files are named one by one"
    return None
