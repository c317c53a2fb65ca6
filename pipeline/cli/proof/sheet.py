"""The contents of a proof sheet, which is drawn as a picture and written as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.run.earlier_results import PROOF_GENERATOR

if TYPE_CHECKING:
    from PIL.Image import Image

GENERATOR: Final = PROOF_GENERATOR
"""Text that every sheet and page contains, by which an earlier one is recognised and may be overwritten."""


@dataclass(frozen=True)
class Heading:
    """The heading of a row (a photograph) or a column (a painting)."""

    name: str
    note: str = ""
    thumbnail: Image | None = None
    """Picture in RGB; None if the file cannot be read."""


@dataclass(frozen=True)
class SheetCell:
    """A proof, or the reason why there is none."""

    proof: Image | None
    reason: str = ""
    remedy: str = ""
    full: str = ""
    """Time and memory of the full picture, in words."""


@dataclass(frozen=True)
class Sheet:
    """A whole sheet."""

    title: str
    lines: tuple[str, ...]
    """Paragraphs beneath the title."""
    columns: tuple[Heading, ...]
    rows: tuple[Heading, ...]
    cells: tuple[tuple[SheetCell, ...], ...]
    """Cells by row, then by column."""
