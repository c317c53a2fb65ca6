"""A sheet as one picture: pure layout, photographs down and paintings across."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.cli.proof.view import CellView, Head, SheetView

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
    Measure = Callable[[str], float]

MOST_PIXELS: Final = 80_000_000
"""Of a sheet; its proofs are drawn smaller where it would have more."""
_MARGIN, _GAP, _PADDING = 32, 14, 8
_HEAD: Final = 132
"""Side of the pictures in the heads, in px."""
_ROW_HEAD: Final = 168
"""Width of the heads of rows."""
_NARROWEST: Final = 132
"""Width of a column, so that its head and its words have room."""
_TITLE, _TEXT, _SMALL = 28, 16, 14
_WITH_MORE: Final = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
"""Fonts with more letters than Pillow's own."""
_PAPER, _INK, _FAINT, _BLANK, _ALARM = "#f6f4ef", "#22201c", "#6b665c", "#e4e0d7", "#8c1d18"


class _Look(NamedTuple):
    """Of words."""

    size: int
    """Of the font, in px."""
    colour: str


@lru_cache(maxsize=16)
def _sized(size: int, *, has_more: bool) -> Font:
    for name in _WITH_MORE if has_more else ():
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # this system does not have it
            continue
    return ImageFont.load_default(size)


def _font(size: int, text: str) -> Font:
    """Pillow's own; for what that lacks one of the system's, or else boxes stand there."""
    return _sized(size, has_more=not all(character < "\x7f" or character == "…" for character in text))


def _measure(size: int, text: str) -> Measure:
    return _font(size, text).getlength


def _line_height(size: int) -> int:
    return round(size * 1.35)


def elided(text: str, width: float, measure: Measure) -> str:
    """A text that is no wider: its middle gives way, since names often differ at their ends.

    Args:
        text: one line.
        width: in px.
        measure: gives the width of a text in px.
    """
    if measure(text) <= width:
        return text

    def keeping(kept: int) -> str:
        end = kept // 2
        return f"{text[: kept - end]}…{text[len(text) - end :]}"

    return keeping(_most(len(text) - 1, width, lambda kept: measure(keeping(kept))))


def wrapped(text: str, width: float, lines: int, measure: Measure) -> list[str]:
    """A text in at most so many lines, the last of which is elided at its end if need be."""
    found: list[str] = []
    rest = " ".join(text.split())
    while rest and len(found) < lines:
        if measure(rest) <= width:
            return [*found, rest]
        fits = max(1, _fitting(rest, width, measure))
        space = rest.rfind(" ", 0, fits + 1)
        cut = space if space > 0 else fits
        found.append(rest[:cut])
        rest = rest[cut:].lstrip()
    if rest and found:
        last = found[-1]
        found[-1] = f"{last[: _fitting(last, width, measure, '…')]}…"
    return found


def _fitting(line: str, width: float, measure: Measure, end: str = "") -> int:
    """How many letters of a line fit with an end."""
    return _most(len(line), width, lambda kept: measure(f"{line[:kept]}{end}"))


def _most(limit: int, width: float, width_of: Callable[[int], float]) -> int:
    """The most letters up to a limit that fit; more letters are never narrower."""
    return max(0, bisect.bisect_right(range(limit + 1), width, key=width_of) - 1)


@dataclass(frozen=True)
class _Layout:
    """Where things are, in px."""

    width: int
    height: int
    top: int
    """Of the heads of columns."""
    head: int
    """Their height."""
    lefts: tuple[int, ...]
    column: int
    """Width of one."""
    tops: tuple[int, ...]
    heights: tuple[int, ...]
    """Of the pictures of each row."""


def draw(view: SheetView) -> Image.Image:
    """The sheet, (width, height) as it needs, RGB."""
    share = 1.0
    layout = _lay_out(view, share)
    while layout.width * layout.height > MOST_PIXELS and share > 1 / 16:
        share *= 0.8
        layout = _lay_out(view, share)
    sheet = Image.new("RGB", (layout.width, layout.height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, _MARGIN), view.title, layout.width - 2 * _MARGIN, _Look(_TITLE, _INK))
    at = _MARGIN + _line_height(_TITLE)
    for line in _all_lines(view.lines, layout.width - 2 * _MARGIN):
        _write(pen, (_MARGIN, at), line, layout.width, _Look(_TEXT, _FAINT))
        at += _line_height(_TEXT)
    for left, head in zip(layout.lefts, view.columns, strict=True):
        _draw_head(sheet, pen, head, (left, layout.top + layout.head - _head_height(head)), layout.column)
    for top, height, head, cells in zip(layout.tops, layout.heights, view.rows, view.cells, strict=True):
        _draw_head(sheet, pen, head, (_MARGIN, top), _ROW_HEAD - _GAP)
        for left, cell in zip(layout.lefts, cells, strict=True):
            _draw_cell(sheet, pen, cell, (left, top), (layout.column, height))
    return sheet


def _all_lines(lines: Iterable[str], width: int) -> list[str]:
    return [part for line in lines for part in wrapped(line, width, 4, _measure(_TEXT, line))]


def _lay_out(view: SheetView, share: float) -> _Layout:
    proofs = [cell.proof for row in view.cells for cell in row if cell.proof is not None]
    column = max([_NARROWEST, *(round(proof.width * share) for proof in proofs)])
    lines_of_words = max(len(_caption(cell, column)) for row in view.cells for cell in row)
    words = lines_of_words * _line_height(_SMALL) + _PADDING
    width = 2 * _MARGIN + _ROW_HEAD + len(view.columns) * (column + _GAP) - _GAP
    width = max(width, 720)
    lefts = tuple(_MARGIN + _ROW_HEAD + place * (column + _GAP) for place in range(len(view.columns)))
    lines = len(_all_lines(view.lines, width - 2 * _MARGIN))
    top = _MARGIN + _line_height(_TITLE) + lines * _line_height(_TEXT) + _GAP
    head = max(_head_height(each) for each in view.columns)
    tops, heights, at = [], [], top + head + _GAP
    for row, cells in zip(view.rows, view.cells, strict=True):
        pictures = [cell.proof for cell in cells if cell.proof is not None]
        height = max((round(picture.height * share) for picture in pictures), default=_HEAD)
        height = max(height, _head_height(row) - words)
        tops.append(at)
        heights.append(height)
        at += height + words + _GAP
    return _Layout(width, at - _GAP + _MARGIN, top, head, lefts, column, tuple(tops), tuple(heights))


def _head_height(head: Head) -> int:
    picture = head.thumbnail.height * _head_share(head.thumbnail) if head.thumbnail is not None else 0
    return round(picture) + _PADDING + _line_height(_TEXT) + (_line_height(_SMALL) if head.note else 0)


def _head_share(thumbnail: Image.Image) -> float:
    return min(1.0, _HEAD / max(thumbnail.size))


def _scaled(picture: Image.Image, width: float, height: float) -> Image.Image:
    share = min(1.0, width / picture.width, height / picture.height)
    size = max(1, round(picture.width * share)), max(1, round(picture.height * share))
    return picture.resize(size, Image.Resampling.LANCZOS) if size != picture.size else picture


def _draw_head(sheet: Image.Image, pen: ImageDraw.ImageDraw, head: Head, corner: tuple[int, int], width: int) -> None:
    left, top = corner
    if head.thumbnail is not None:
        share = _head_share(head.thumbnail)
        picture = _scaled(head.thumbnail, head.thumbnail.width * share, head.thumbnail.height * share)
        sheet.paste(picture, (left, top))
        top += picture.height + _PADDING
    _write(pen, (left, top), head.name, width, _Look(_TEXT, _INK))
    _write(pen, (left, top + _line_height(_TEXT)), head.note, width, _Look(_SMALL, _FAINT))


def _draw_cell(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    cell: CellView,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    (left, top), (width, height) = corner, size
    if cell.proof is not None:
        sheet.paste(_scaled(cell.proof, width, height), corner)
    else:
        pen.rectangle((left, top, left + width - 1, top + height - 1), _BLANK)
        room = max(1, (height - 2 * _PADDING) // _line_height(_SMALL))
        text = f"No proof: {cell.reason} {cell.remedy}"
        for number, line in enumerate(wrapped(text, width - 2 * _PADDING, room, _measure(_SMALL, text))):
            at = left + _PADDING, top + _PADDING + number * _line_height(_SMALL)
            _write(pen, at, line, width - 2 * _PADDING, _Look(_SMALL, _ALARM))
    for number, line in enumerate(_caption(cell, width)):
        at = left, top + height + _PADDING // 2 + number * _line_height(_SMALL)
        _write(pen, at, line, width, _Look(_SMALL, _FAINT))


def _caption(cell: CellView, width: int) -> list[str]:
    text = f"in full: {cell.full}" if cell.full else ""
    return wrapped(text, width, 2, _measure(_SMALL, text))


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, width: float, look: _Look) -> None:
    text = text.replace("×", "x")  # which Pillow's own font lacks
    font = _font(look.size, text)
    pen.text(at, elided(text, width, font.getlength), look.colour, font)
