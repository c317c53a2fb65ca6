"""The result of the device's work on a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.transfer.styliser import StyliseResult
    from pipeline.transfer.tiling import Fit


@dataclass(frozen=True)
class Painted:
    """The result of an optimisation, and how it was computed."""

    result: StyliseResult
    """Result of the engine, with its image in the host's memory."""
    seconds: float
    """Seconds on the device; the pair's share of them if it was painted in a batch."""
    fit: Fit
    """Fit with which the pair was computed."""
    batch: int
    """Number of pairs that began together."""
    planned: tuple[int, ...]
    """Evaluations planned at each scale, coarse to fine."""
    resumed: int
    """Number of evaluations that an earlier process made."""
    peak_memory_bytes: int | None
    """Largest memory use meanwhile, in bytes; None if the system does not report it."""
