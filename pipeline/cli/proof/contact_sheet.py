"""Draws a proof sheet as one picture: photographs down, paintings across. Reads and writes no files but fonts."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.cli.proof.sheet import Heading, Sheet, SheetCell

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
    Measure = Callable[[str], float]

LARGEST_SHEET_PIXELS: Final = 80_000_000
"""Number of pixels of the largest sheet; if a sheet would have more, its proofs are drawn smaller."""
_MARGIN, _GAP, _PADDING = 32, 14, 8
"""Distances in px: around the sheet, between cells, and between a picture and its words."""
_THUMBNAIL_SIDE: Final = 132
"""Longest side of the pictures in headings, in px."""
_ROW_HEADING_WIDTH: Final = 168
"""Width of the headings of rows, in px."""
_NARROWEST_COLUMN: Final = 132
"""Smallest width of a column, in px, so that its heading and captions have room."""
_TITLE, _TEXT, _SMALL = 28, 16, 14
"""Sizes of the font, in px."""
_SYSTEM_FONTS: Final = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
"""Fonts with more letters than Pillow's own."""
_PAPER, _INK, _FAINT, _BLANK, _ALARM = "#f6f4ef", "#22201c", "#6b665c", "#e4e0d7", "#8c1d18"
"""Colours of the sheet, of names, of notes, of cells without a proof, and of their reasons."""


class _TextStyle(NamedTuple):
    """Size and colour of a text."""

    size: int
    """Size of the font, in px."""
    colour: str


@lru_cache(maxsize=16)
def _sized(size: int, *, of_system: bool) -> Font:
    for name in _SYSTEM_FONTS if of_system else ():
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # this system does not have the font
            continue
    return ImageFont.load_default(size)


def _font(size: int, text: str) -> Font:
    """Return Pillow's own font, or a font of the system if the text has letters that Pillow's font does not have."""
    return _sized(size, of_system=not all(character < "\x7f" or character == "…" for character in text))


def _measure(size: int, text: str) -> Measure:
    return _font(size, text).getlength


def _line_height(size: int) -> int:
    return round(size * 1.35)


def elided(text: str, width: float, measure: Measure) -> str:
    """Return a text that fits a width: its middle is left out if need be, since names often differ at their ends.

    Args:
        text: one line.
        width: the width in px.
        measure: returns the width of a text in px.
    """
    if measure(text) <= width:
        return text

    def keeping(kept: int) -> str:
        end = kept // 2
        return f"{text[: kept - end]}…{text[len(text) - end :]}"

    return keeping(_longest(len(text) - 1, width, lambda kept: measure(keeping(kept))))


def wrapped(text: str, width: float, lines: int, measure: Measure) -> list[str]:
    """Break a text into lines that fit a width.

    Args:
        text: the text, which may be broken at its white space.
        width: the width in px.
        lines: the largest number of lines; the last one ends in … if the text is longer.
        measure: returns the width of a text in px.
    """
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
    """Return the number of letters of a line that fit together with an end."""
    return _longest(len(line), width, lambda kept: measure(f"{line[:kept]}{end}"))


def _longest(limit: int, width: float, width_of: Callable[[int], float]) -> int:
    """Return the largest number of letters, up to a limit, that fits; more letters are never narrower."""
    return max(0, bisect.bisect_right(range(limit + 1), width, key=width_of) - 1)


@dataclass(frozen=True)
class _SheetLayout:
    """Positions and sizes on a sheet, in px."""

    width: int
    height: int
    top: int
    """Top of the headings of columns."""
    heading_height: int
    """Height of the headings of columns."""
    lefts: tuple[int, ...]
    """Left edges of the columns."""
    column_width: int
    tops: tuple[int, ...]
    """Tops of the rows."""
    heights: tuple[int, ...]
    """Heights of the pictures of each row."""


def draw(sheet: Sheet) -> Image.Image:
    """Draw a sheet: an RGB picture of the width and height that it needs."""
    scale = 1.0
    layout = _lay_out(sheet, scale)
    while layout.width * layout.height > LARGEST_SHEET_PIXELS and scale > 1 / 16:
        scale *= 0.8
        layout = _lay_out(sheet, scale)
    canvas = Image.new("RGB", (layout.width, layout.height), _PAPER)
    pen = ImageDraw.Draw(canvas)
    _write(pen, (_MARGIN, _MARGIN), sheet.title, layout.width - 2 * _MARGIN, _TextStyle(_TITLE, _INK))
    y = _MARGIN + _line_height(_TITLE)
    for line in _all_lines(sheet.lines, layout.width - 2 * _MARGIN):
        _write(pen, (_MARGIN, y), line, layout.width, _TextStyle(_TEXT, _FAINT))
        y += _line_height(_TEXT)
    for left, heading in zip(layout.lefts, sheet.columns, strict=True):
        top = layout.top + layout.heading_height - _heading_height(heading)
        _draw_heading(canvas, pen, heading, (left, top), layout.column_width)
    for top, height, heading, cells in zip(layout.tops, layout.heights, sheet.rows, sheet.cells, strict=True):
        _draw_heading(canvas, pen, heading, (_MARGIN, top), _ROW_HEADING_WIDTH - _GAP)
        for left, cell in zip(layout.lefts, cells, strict=True):
            _draw_cell(canvas, pen, cell, (left, top), (layout.column_width, height))
    return canvas


def _all_lines(lines: Iterable[str], width: int) -> list[str]:
    return [part for line in lines for part in wrapped(line, width, 4, _measure(_TEXT, line))]


def _lay_out(sheet: Sheet, scale: float) -> _SheetLayout:
    proofs = [cell.proof for row in sheet.cells for cell in row if cell.proof is not None]
    column_width = max([_NARROWEST_COLUMN, *(round(proof.width * scale) for proof in proofs)])
    caption_lines = max(len(_caption(cell, column_width)) for row in sheet.cells for cell in row)
    caption_height = caption_lines * _line_height(_SMALL) + _PADDING
    width = 2 * _MARGIN + _ROW_HEADING_WIDTH + len(sheet.columns) * (column_width + _GAP) - _GAP
    width = max(width, 720)
    lefts = tuple(_MARGIN + _ROW_HEADING_WIDTH + index * (column_width + _GAP) for index in range(len(sheet.columns)))
    lines = len(_all_lines(sheet.lines, width - 2 * _MARGIN))
    top = _MARGIN + _line_height(_TITLE) + lines * _line_height(_TEXT) + _GAP
    heading_height = max(_heading_height(each) for each in sheet.columns)
    tops, heights, y = [], [], top + heading_height + _GAP
    for row, cells in zip(sheet.rows, sheet.cells, strict=True):
        pictures = [cell.proof for cell in cells if cell.proof is not None]
        height = max((round(picture.height * scale) for picture in pictures), default=_THUMBNAIL_SIDE)
        height = max(height, _heading_height(row) - caption_height)
        tops.append(y)
        heights.append(height)
        y += height + caption_height + _GAP
    height = y - _GAP + _MARGIN
    return _SheetLayout(width, height, top, heading_height, lefts, column_width, tuple(tops), tuple(heights))


def _heading_height(heading: Heading) -> int:
    picture = heading.thumbnail.height * _thumbnail_scale(heading.thumbnail) if heading.thumbnail is not None else 0
    return round(picture) + _PADDING + _line_height(_TEXT) + (_line_height(_SMALL) if heading.note else 0)


def _thumbnail_scale(thumbnail: Image.Image) -> float:
    return min(1.0, _THUMBNAIL_SIDE / max(thumbnail.size))


def _shrunk(picture: Image.Image, width: float, height: float) -> Image.Image:
    """Return a picture that fits into width × height px; a smaller picture stays as it is."""
    scale = min(1.0, width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS) if size != picture.size else picture


def _draw_heading(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, heading: Heading, corner: tuple[int, int], width: int
) -> None:
    left, top = corner
    if heading.thumbnail is not None:
        scale = _thumbnail_scale(heading.thumbnail)
        picture = _shrunk(heading.thumbnail, heading.thumbnail.width * scale, heading.thumbnail.height * scale)
        canvas.paste(picture, (left, top))
        top += picture.height + _PADDING
    _write(pen, (left, top), heading.name, width, _TextStyle(_TEXT, _INK))
    _write(pen, (left, top + _line_height(_TEXT)), heading.note, width, _TextStyle(_SMALL, _FAINT))


def _draw_cell(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    cell: SheetCell,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    (left, top), (width, height) = corner, size
    if cell.proof is not None:
        canvas.paste(_shrunk(cell.proof, width, height), corner)
    else:
        pen.rectangle((left, top, left + width - 1, top + height - 1), _BLANK)
        room = max(1, (height - 2 * _PADDING) // _line_height(_SMALL))
        text = f"No proof: {cell.reason} {cell.remedy}"
        for number, line in enumerate(wrapped(text, width - 2 * _PADDING, room, _measure(_SMALL, text))):
            corner_of_line = left + _PADDING, top + _PADDING + number * _line_height(_SMALL)
            _write(pen, corner_of_line, line, width - 2 * _PADDING, _TextStyle(_SMALL, _ALARM))
    for number, line in enumerate(_caption(cell, width)):
        corner_of_line = left, top + height + _PADDING // 2 + number * _line_height(_SMALL)
        _write(pen, corner_of_line, line, width, _TextStyle(_SMALL, _FAINT))


def _caption(cell: SheetCell, width: int) -> list[str]:
    text = f"in full: {cell.full}" if cell.full else ""
    return wrapped(text, width, 2, _measure(_SMALL, text))


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width: float, style: _TextStyle) -> None:
    text = text.replace("×", "x")  # Pillow's own font lacks this sign
    font = _font(style.size, text)
    pen.text(corner, elided(text, width, font.getlength), style.colour, font)
