"""The last errors of an outbox or an inbox, as a survey shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ERRORS_SHOWN: Final = 5
"""Number of the last errors that are shown."""


@dataclass(frozen=True)
class LastError:
    """The last error of a pair, or of a job of the inbox."""

    name: str
    """Name of the pair, or of the job's files."""
    reason: str
    remedy: str
    failed: str
    """Time of the failure, UTC, ISO 8601; empty if unknown."""
