"""The errors that a person is told of first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LATEST: Final = 5
"""So many are told."""


@dataclass(frozen=True)
class LastError:
    """Of a pair, or of a job of the inbox."""

    name: str
    reason: str
    remedy: str
    failed: str
    """UTC, ISO 8601."""
