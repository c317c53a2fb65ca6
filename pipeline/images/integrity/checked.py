"""The outcome of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checked:
    """A file without known damage to its pixels."""

    data: bytes
    """The bytes to decode: the file's, with an end marker if the file has none, without damaged metadata."""
    warnings: tuple[str, ...] = ()
    """Faults of the file outside of its pixels; each text continues the file's name."""
