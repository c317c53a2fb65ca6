"""What there is to see on a sheet, whether it is drawn or written as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

GENERATOR = "impasto proof"
"""Stands in every file of ours, so that others are not overwritten."""


@dataclass(frozen=True)
class Head:
    """Of a row or a column."""

    name: str
    note: str = ""
    thumbnail: Image | None = None
    """None: it cannot be read."""


@dataclass(frozen=True)
class CellView:
    """A proof, or why there is none."""

    proof: Image | None
    reason: str = ""
    remedy: str = ""
    full: str = ""
    """What the full picture will take, in words."""


@dataclass(frozen=True)
class SheetView:
    """All of a sheet; cells are by row and column."""

    title: str
    lines: tuple[str, ...]
    """Beneath the title."""
    columns: tuple[Head, ...]
    rows: tuple[Head, ...]
    cells: tuple[tuple[CellView, ...], ...]


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004 - two digits
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004


def memory(amount: int) -> str:
    """Bytes in words."""
    return f"{amount / 2**30:.2g} GiB"
