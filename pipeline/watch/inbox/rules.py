"""The rules of one inbox: its settings, and functions that read pictures and tickets for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.watch.inbox.ticket_requirements import TicketRequirements
    from pipeline.watch.spool.records import ReturnedFile


@dataclass(frozen=True)
class InboxRules:
    """Settings of one inbox, and functions that read pictures and tickets for it."""

    image_endings: tuple[str, ...]
    """Endings of files that are pictures, such as `.jpg`."""
    settle_seconds: float
    """Seconds without a change after which a file is stable."""
    rescan_seconds: float
    """Seconds between two looks at all files while events arrive."""
    poll_seconds: float
    """Seconds between two looks at all files without events."""
    ticket_seconds: float
    """Seconds that a ticket waits for its files and styles before it fails."""
    default_style: str
    """Style of photographs at the top of the inbox; empty if there is none."""
    looks_complete: Callable[[Path], bool]
    """Function that returns whether a file ends as its format says."""
    damage_of: Callable[[str], str]
    """Function that returns what is wrong with the painting or the mask of a photograph, by its path in the inbox."""
    is_up_to_date: Callable[[str, ReturnedFile], bool]
    """Function that returns whether the results of a returned file are there and would be the same if made now."""
    requirements_of_ticket: Callable[[Path], TicketRequirements]
    """Function that reads the files and styles that a ticket needs; it raises ImpastoError."""
