"""Tests of the contact sheets: an order and labels that tell nothing, and pictures at their full size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.benchmarks.sheets import Cell, blind_order, write_key, write_sheets

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"candidate {number}" for number in range(6)]


def cell(label: str, level: int, width: int = 30, height: int = 20) -> Cell:
    return Cell(label, lambda: np.full((height, width, 3), level, np.float32))


def test_order_and_labels_differ_from_pair_to_pair_and_by_salt() -> None:
    one, other = blind_order("salt", "cat", NAMES), blind_order("salt", "dog", NAMES)
    assert blind_order("salt", "cat", reversed(NAMES)) == one
    assert list(blind_order("salt", "cat", reversed(NAMES))) == list(one)
    assert sorted(one) == sorted(other) == NAMES
    assert list(one) != list(other)
    assert not set(one.values()) & set(other.values())
    assert not set(one.values()) & set(blind_order("pepper", "cat", NAMES).values())
    assert list(one.values()) == sorted(one.values()), (
        "the order is that of the hashes, so it tells no more than they do"
    )


def test_pictures_keep_their_size_and_rows_go_on_in_further_files(tmp_path: Path) -> None:
    rows = [[cell("a", 10 * number), cell("b", 10 * number + 5, 50, 40)] for number in range(8)]
    first, second = write_sheets(tmp_path / "sheets", "blind", rows)
    assert [first.name, second.name] == ["blind-1.png", "blind-2.png"]
    for path, shown in ((first, rows[:6]), (second, rows[6:])):
        with Image.open(path) as image:
            levels = np.asarray(image.convert("RGB"), dtype=int)
        for row in shown:
            for each in row:
                picture = each.read()
                here = (levels == picture[0, 0].astype(int)).all(axis=2)
                assert here.sum() == picture.shape[0] * picture.shape[1]


def test_the_key_names_the_candidate_of_each_label(tmp_path: Path) -> None:
    labels = blind_order("salt", "cat", NAMES)
    write_key(tmp_path / "key.json", "salt", {"cat": labels})
    key = json.loads((tmp_path / "key.json").read_text())
    assert key["salt"] == "salt"
    assert key["candidates"]["cat"] == {label: name for name, label in labels.items()}
