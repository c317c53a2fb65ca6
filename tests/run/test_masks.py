"""Tests of masks: which mask a photograph has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import UsageError
from pipeline.run.masks import MaskFinder, default_mask, mask_for
from pipeline.run.picture_files import entries_of

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = (".png", ".jpg")


def test_no_mask_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_mask("") is None


def test_the_default_mask_is_relative_to_where_the_command_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.png").touch()
    assert default_mask("m.png") == tmp_path / "m.png"
    with pytest.raises(UsageError, match=r"n\.png: there is no such file or folder"):
        default_mask("n.png")


def test_a_mask_is_for_all_and_of_a_folder_that_of_the_same_name(tmp_path: Path) -> None:
    for name in ("a.png", "b.txt", "b.jpg"):
        (tmp_path / name).touch()
    assert mask_for(tmp_path / "a.png", "b", ENDINGS) == tmp_path / "a.png"
    assert mask_for(tmp_path, "b", ENDINGS) == tmp_path / "b.jpg"
    assert mask_for(tmp_path, "c", ENDINGS) is None


@pytest.mark.parametrize(
    ("content", "mask"),
    [("b", "b.png"), ("B", "B.jpg"), ("mü", "mu\u0308.PNG"), ("MÜ", "mu\u0308.PNG"), ("x", None), ("._b", None)],
)
def test_a_mask_is_found_whatever_the_form_of_its_name(tmp_path: Path, content: str, mask: str | None) -> None:
    for name in ("b.png", "b.jpg", "B.jpg", "mu\u0308.PNG", "._b.png"):
        (tmp_path / name).touch()
    assert mask_for(tmp_path, content, ENDINGS) == (tmp_path / mask if mask else None)


def test_masks_of_many_photographs_are_found_in_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    looks: list[Path] = []
    monkeypatch.setattr("pipeline.run.masks.entries_of", lambda folder: looks.append(folder) or entries_of(folder))
    finder = MaskFinder(ENDINGS)
    assert [finder.find(tmp_path, each) for each in "abc"] == [tmp_path / "a.png", None, None]
    assert len(looks) == 1


def test_a_mask_that_cannot_be_read_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        default_mask("x" * 300)
