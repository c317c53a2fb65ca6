"""Tests of picture files: which mask a pair takes, and which files are ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import UsageError
from pipeline.run.picture_files import default_mask, entries_of, is_ignored, mask_for, matches_of

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
    "name",
    [
        "a.jpg.part", "a.jpg.partial", "a.jpg.filepart", "a.jpg.crdownload", "a.jpg.download", "a.jpg.opdownload",
        "a.jpg.tmp", "a.jpg.temp", "a.jpg.!ut", "a.jpg.aria2", "a.jpg~", "~a.jpg", "~$a.jpg", "._a.jpg", ".nfs0000123",
        ".a.jpg.XyZ123", ".syncthing.a.jpg.tmp", ".DS_Store", ".impasto", "A.JPG.PART", "a\n.tmp", "\n~",
        "Thumbs.db", "THUMBS.DB", "ehthumbs.db", "Desktop.ini", "@eaDir", "#recycle", "$RECYCLE.BIN",
        "System Volume Information", "__MACOSX", "lost+found", "Icon\r",
    ],
)  # fmt: skip
def test_partial_files_and_litter_are_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg", "a.part.jpg", "part", "tmp", "tmp.jpg", "a~b.jpg", "a.tmpl", "a.db", "thumbs.db.jpg", "my thumbs.db",
        "eaDir", "recycle", "_style.jpg", "Icon", "icon.png", "lost", "lost+found.csv", "a\n.jpg", "a.tmp\n", "\udcff",
    ],
)  # fmt: skip
def test_ordinary_names_are_not_ignored(name: str) -> None:
    assert not is_ignored(name)


def test_litter_is_no_entry_and_no_match(tmp_path: Path) -> None:
    for name in (".a/b.jpg", ".a/~b.jpg", "c/@eaDir/b.jpg", "c/d.jpg", "c/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert entries_of(tmp_path).paths == [tmp_path / "c"]
    assert entries_of(tmp_path / ".a").paths == [tmp_path / ".a" / "b.jpg"], (
        "a folder that is named explicitly may have any name"
    )
    assert matches_of(".a/*", tmp_path).paths == [tmp_path / ".a" / "b.jpg"]
    assert matches_of("**/*.*", tmp_path).paths == [tmp_path / "c" / "d.jpg"]
    assert matches_of("*/../c/*.jpg", tmp_path).paths == [tmp_path / "c" / "d.jpg"]
    assert matches_of("*/@eaDir/*", tmp_path).paths == [tmp_path / "c/@eaDir/b.jpg"], (
        "a pattern that spells out a folder of litter matches its pictures"
    )
    assert matches_of(f"{tmp_path}/c/**", tmp_path).paths == [tmp_path / "c", tmp_path / "c" / "d.jpg"]


def test_pictures_that_look_like_unfinished_copies_are_told_apart_from_other_litter(tmp_path: Path) -> None:
    for name in (".b.jpg", "~a.jpg", "~a.txt", "c.part/d.jpg", "@eaDir/e.jpg", "f.jpg", ".g/~h.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert entries_of(tmp_path).unfinished == [tmp_path / "~a.jpg"]
    assert matches_of("**/*", tmp_path).unfinished == [tmp_path / "c.part/d.jpg", tmp_path / "~a.jpg"]
