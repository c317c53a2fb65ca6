"""The rules of one inbox: its settings, and functions for what the inbox itself does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.watch.inbox.ticket_requirements import TicketRequirements


@dataclass(frozen=True)
class InboxRules:
    """Settings of one inbox, and what it needs to know of pictures and manifests."""

    image_endings: tuple[str, ...]
    """Endings of files that are pictures, such as `.jpg`."""
    settle_seconds: float
    """Seconds without a change after which a file is stable."""
    rescan_seconds: float
    """Seconds between two looks at everything while events come."""
    poll_seconds: float
    """Seconds between two looks at everything without events."""
    ticket_seconds: float
    """Seconds that a ticket waits for its files and styles before it fails."""
    default_style: str
    """Style of photographs at the top of the inbox; empty if there is none."""
    looks_complete: Callable[[Path], bool]
    """Function that says whether a file ends as files of its kind do."""
    requirements_of_ticket: Callable[[Path], TicketRequirements]
    """Function that reads what a ticket waits for; raises ImpastoError."""
