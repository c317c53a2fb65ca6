"""Contact sheets: one row per pair, each picture at its full size, in an order that tells nothing, or by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pipeline.images.picture import Pixels

_ROWS: Final = 6
"""Largest number of rows of a sheet."""
_GAP: Final = 8
"""Distance in px between pictures."""
_LABEL_HEIGHT: Final = 24
_PAPER, _INK = "#f6f4ef", "#22201c"


@dataclass(frozen=True)
class Cell:
    """A picture of a sheet with its label."""

    label: str
    read: Callable[[], Pixels]
    """Function that returns the picture; a sheet's pictures are read when it is drawn."""


def blind_order(salt: str, pair: str, candidates: Iterable[str]) -> dict[str, str]:
    """Return labels of a pair's candidates, in the order of their hashes: both say nothing without the salt.

    Args:
        salt: a text that viewers do not know.
        pair: name of the pair.
        candidates: names of the candidates.

    Returns:
        Labels of eight hexadecimal digits by candidate.
    """
    hashes = {name: hashlib.sha256(f"{salt}\0{name}\0{pair}".encode()).hexdigest() for name in candidates}
    return {name: hashes[name][:8] for name in sorted(hashes, key=hashes.__getitem__)}


def write_sheets(folder: Path, name: str, rows: Sequence[Sequence[Cell]]) -> list[Path]:
    """Write rows as PNG files of at most six rows each, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, first in enumerate(range(0, len(rows), _ROWS), 1):
        paths.append(folder / f"{name}-{number}.png")
        _draw([[(cell.label, cell.read()) for cell in row] for row in rows[first : first + _ROWS]]).save(paths[-1])
    return paths


def write_key(path: Path, salt: str, labels: dict[str, dict[str, str]]) -> None:
    """Write the file that says which label of which pair is which candidate; closed until all have voted.

    Args:
        path: the file.
        salt: the salt of the hashes.
        labels: for each pair the labels by candidate.
    """
    by_label = {pair: {label: name for name, label in given.items()} for pair, given in labels.items()}
    path.write_text(json.dumps({"salt": salt, "candidates": by_label}, indent=2) + "\n", encoding="utf-8")


def _draw(rows: list[list[tuple[str, Pixels]]]) -> Image.Image:
    columns = max(len(row) for row in rows)
    widths = [max(row[i][1].shape[1] for row in rows if i < len(row)) for i in range(columns)]
    heights = [max(picture.shape[0] for _, picture in row) for row in rows]
    size = sum(widths) + _GAP * (columns + 1), sum(heights) + (_GAP + _LABEL_HEIGHT) * len(rows) + _GAP
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        for (label, picture), width in zip(row, widths, strict=False):
            sheet.paste(Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)), (left, top))
            pen.text((left, top + height + 2), label, _INK, font)
            left += width + _GAP
        top += height + _LABEL_HEIGHT + _GAP
    return sheet
