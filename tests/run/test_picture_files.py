from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import UsageError
from pipeline.run.picture_files import default_mask, mask_for

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
