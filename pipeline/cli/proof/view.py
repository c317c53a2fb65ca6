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
