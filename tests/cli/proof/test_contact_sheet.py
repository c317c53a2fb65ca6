"""Tests of the contact sheet of `impasto proof`: its layout, its names, and the size of its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline.cli.proof import contact_sheet as sheet_module
from pipeline.cli.proof.contact_sheet import draw, elided, wrapped
from pipeline.cli.proof.sheet import Heading, Sheet, SheetCell

if TYPE_CHECKING:
    from collections.abc import Sequence


def measure(text: str) -> float:
    """Return the width of a text in a font whose letters all have one width, in px."""
    return 10.0 * len(text)


def picture(colour: str, width: int = 40, height: int = 30) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def view(
    cells: Sequence[Sequence[SheetCell]],
    heads: Sequence[Heading] = (),
    rows: Sequence[Heading] = (),
    title: str = "title",
) -> Sheet:
    columns = tuple(heads) or tuple(Heading(f"painting {i}") for i in range(len(cells[0])))
    photographs = tuple(rows) or tuple(Heading(f"photograph {i}") for i in range(len(cells)))
    return Sheet(title, ("a line",), columns, photographs, tuple(map(tuple, cells)))


def places(sheet: Image.Image, colour: str) -> tuple[int, int, int, int]:
    """Return the box of all pixels of a colour: left, top, right, bottom."""
    found = (np.asarray(sheet) == ImageColor.getrgb(colour)).all(axis=2)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize(
    ("text", "width", "wanted"),
    [
        ("short", 50, "short"),
        ("a longer name", 100, "a lon…name"),
        ("DSC_0001 (copy)", 80, "DSC_…py)"),
        ("anything", 10, "…"),
        ("", 10, ""),
    ],
)
def test_a_long_name_keeps_its_ends(text: str, width: float, wanted: str) -> None:
    found = elided(text, width, measure)
    assert measure(found) <= width
    assert found == wanted


def test_words_are_wrapped_and_what_is_too_much_is_elided() -> None:
    assert wrapped("one two three", 80, 3, measure) == ["one two", "three"]
    assert wrapped("one two three four", 80, 2, measure) == ["one two", "three…"]
    assert wrapped("abcdefghijkl", 50, 9, measure) == ["abcde", "fghij", "kl"]
    assert wrapped("a" * 20, 50, 2, measure) == ["aaaaa", "aaaa…"]
    assert wrapped("", 50, 2, measure) == []


def test_each_proof_stands_in_its_column_and_row_whole() -> None:
    cells = [[SheetCell(picture("#ff0000", 200, 100)), SheetCell(picture("#00ff00", 200, 100))]]
    cells.append([SheetCell(picture("#0000ff", 150, 200)), SheetCell(picture("#ff00ff", 150, 200))])
    sheet = draw(view(cells))
    boxes = {colour: places(sheet, colour) for colour in ("#ff0000", "#00ff00", "#0000ff", "#ff00ff")}
    assert [(right - left, bottom - top) for left, top, right, bottom in boxes.values()] == [(200, 100)] * 2 + [
        (150, 200)
    ] * 2
    assert boxes["#ff0000"][1] == boxes["#00ff00"][1], "the cells of a row have one top"
    assert boxes["#ff0000"][0] == boxes["#0000ff"][0], "the cells of a column have one left edge"
    assert boxes["#00ff00"][0] >= boxes["#ff0000"][2]
    assert boxes["#0000ff"][1] >= boxes["#ff0000"][3]


def test_heads_have_their_pictures_beside_what_they_are_of() -> None:
    heads, rows = (
        [Heading("painting", "luminance", picture("#ff0000", 264, 100))],
        [Heading("x", "", picture("#0000ff"))],
    )
    sheet = draw(view([[SheetCell(picture("#00ff00", 200, 150))]], heads, rows))
    left, top, _, _ = places(sheet, "#00ff00")
    above, beside = places(sheet, "#ff0000"), places(sheet, "#0000ff")
    assert (above[0], above[3] < top) == (left, True)
    assert above[2] - above[0] == 132, "the picture of a heading is made smaller"
    assert (beside[1], beside[2] < left) == (top, True)


def test_heads_of_columns_stand_on_one_line() -> None:
    heads = [Heading("high", "", picture("#ff0000", 100, 120)), Heading("low", "", picture("#0000ff", 100, 50))]
    sheet = draw(view([[SheetCell(None), SheetCell(None)]], heads))
    assert places(sheet, "#ff0000")[3] == places(sheet, "#0000ff")[3]


def test_a_cross_that_the_font_lacks_is_an_x() -> None:
    one = [[SheetCell(picture("#00ff00"))]]
    assert draw(view(one, title="3 × 2")) == draw(view(one, title="3 x 2"))


def test_a_cell_without_proof_says_why() -> None:
    cells = [[SheetCell(picture("#00ff00", 200, 100)), SheetCell(None, "it is damaged.", "Copy it again.")]]
    silent = [[cells[0][0], SheetCell(None)]]
    alarm = [
        int((np.asarray(draw(view(each))) == ImageColor.getrgb(sheet_module._ALARM)).all(axis=2).sum())
        for each in (cells, silent)
    ]
    assert alarm[0] > alarm[1] > 0
    draw(view([[SheetCell(None, "nothing worked. " * 99)]]))


@pytest.mark.parametrize("name", ["Ωμέγα", "写真", "صورة", "\N{ROCKET}", "x" * 500, "\ufffd", ""])
def test_any_name_can_be_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = [[SheetCell(picture("#00ff00"), full=f"{name} 3 min")]]
    plain = draw(view(one, [Heading("a")], [Heading("b")]))
    assert draw(view(one, [Heading(name, name)], [Heading(name, name)], title=name)).width == plain.width
    sheet_module._sized.cache_clear()
    monkeypatch.setattr(sheet_module, "_SYSTEM_FONTS", ("no such font.ttf",))
    draw(view(one, [Heading(name)], title=name))
    sheet_module._sized.cache_clear()


def test_a_sheet_that_would_be_too_large_has_smaller_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_module, "LARGEST_SHEET_PIXELS", 1_000_000)
    cells = [[SheetCell(picture("#00ff00", 400, 300)) for _ in range(4)] for _ in range(4)]
    sheet = draw(view(cells))
    assert 500_000 < sheet.width * sheet.height <= 1_000_000
