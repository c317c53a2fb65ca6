"""Render docs/images/ from data/: `python docs/make_images.py [NAME …]`. All take twenty minutes on two cores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline import Settings, stylise
from pipeline.images.resize import shrink

ROOT = Path(__file__).parents[1]
TO = ROOT / "docs/images"
SIZE = 512
"""Working size in px."""
SIDE = 320
"""Longest side of a picture in a sheet, in px."""
GAP, LABEL = 6, 26
"""Space between pictures, and height of the text beneath each, in px."""
QUALITY = 88
MODES = ("regions", "luminance", "swap-luma", "match", "histogram", "none")
TUNING: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("objective.content_weight", (0.07, 0.17, 0.6)),
    ("pyramid.quality", ("draft", "standard", "print")),
    ("style.scale", (0.5, 1, 2)),
    ("pyramid.detail", (0.0, 0.4, 1.0)),
)
Cell = tuple[str, Image.Image]


def photograph(name: str) -> Path:
    """Return the path of a sample photograph."""
    return ROOT / f"data/content/{name}.jpg"


def painting(name: str) -> Path:
    """Return the path of a sample painting."""
    return ROOT / f"data/styles/{name}.jpg"


def opened(path: Path) -> Image.Image:
    """Open a picture and shrink it to the size of a cell."""
    with Image.open(path) as image:
        image.thumbnail((SIDE, SIDE))
        return image.convert("RGB")


def painted(content: str, style: str, *, preset: str | None = None, **values: Any) -> Image.Image:
    """Stylise a pair, and shrink the result to the size of a cell.

    Args:
        content: name of a sample photograph.
        style: name of a sample painting.
        preset: preset; None: the default one.
        values: settings by `section.key`.
    """
    print(content, style, preset or "", values, flush=True)
    result = stylise(photograph(content), painting(style), Settings({"image.size": SIZE, **values}, preset=preset))
    small = shrink(np.ascontiguousarray(result.picture * 255), SIDE)
    return Image.fromarray(np.clip(np.round(small), 0, 255).astype(np.uint8))


def sheet(rows: list[list[Cell]]) -> Image.Image:
    """Lay out rows of cells, with a line of text beneath each picture."""
    widths = [max(row[i][1].width for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    heights = [max(image.height for _, image in row) + LABEL for row in rows]
    whole = Image.new("RGB", (sum(widths) + GAP * (len(widths) - 1), sum(heights) + GAP * (len(rows) - 1)), "white")
    draw, font, top = ImageDraw.Draw(whole), ImageFont.load_default(15), 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for (text, image), width in zip(row, widths, strict=False):
            whole.paste(image, (left + (width - image.width) // 2, top))
            draw.text((left + width / 2, top + height - LABEL + 4), text, "#333", font, anchor="ma")
            left += width + GAP
        top += height + GAP
    return whole


def results() -> Image.Image:
    """Make the sheet of the README: three photographs in the style of four paintings."""
    styles = ("nocturne", "harvest", "harbour", "pines")
    blank = Image.new("RGB", (1, 1), "white")
    rows: list[list[Cell]] = [[("", blank), *((each, opened(painting(each))) for each in styles)]]
    for content in ("chelsea", "coffee", "rocket"):
        cells: list[Cell] = [(content, opened(photograph(content)))]
        rows.append(cells + [("", painted(content, style)) for style in styles])
    return sheet(rows)


def presets() -> Image.Image:
    """Make the sheet of one pair with the classical algorithm and with the default one."""
    pair, names = ("chelsea", "nocturne"), ("colour-preserving", "painting")
    given: list[Cell] = [("photograph", opened(photograph(pair[0]))), ("painting", opened(painting(pair[1])))]
    return sheet([given + [(f"preset {name}", painted(*pair, preset=name)) for name in names]])


def colour_modes() -> Image.Image:
    """Make the sheet of one pair in all colour modes."""
    cells: list[Cell] = [(mode, painted("coffee", "nocturne", **{"colour.mode": mode})) for mode in MODES]
    given: list[Cell] = [("photograph", opened(photograph("coffee"))), ("painting", opened(painting("nocturne")))]
    return sheet([[*given, *cells[:2]], cells[2:]])


def tuning() -> Image.Image:
    """Make the sheet of one pair with different settings, one setting per row."""
    pair = "chelsea", "nocturne"
    usual = painted(*pair)
    defaults = Settings()
    rows = []
    for name, values in TUNING:
        section, key = name.split(".")
        default = getattr(getattr(defaults, section), key)
        row = [(f"{name} = {each}", usual if each == default else painted(*pair, **{name: each})) for each in values]
        rows.append(row)
    return sheet(rows)


IMAGES = {"results": results, "presets": presets, "colour-modes": colour_modes, "tuning": tuning}

if __name__ == "__main__":
    for name in sys.argv[1:] or IMAGES:
        IMAGES[name]().save(TO / f"{name}.jpg", quality=QUALITY, subsampling=0, optimize=True)
