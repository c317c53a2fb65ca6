"""Tests of patterns: which files of a folder they match."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import pytest

from pipeline.run.patterns import matches_of
from pipeline.run.picture_files import entries_of

if TYPE_CHECKING:
    from pathlib import Path


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


def matched(pattern: str, folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in matches_of(pattern, folder).paths]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with photographs as cameras, phones and computers name them."""
    names = ("p/a.jpg", "p/B.JPG", "p/c.jpeg", "p/d.JPE", "p/e.png", "p/Trip [2020]/x.jpg", "p/trip 2/y.jpg", "Q/z.Jpg")
    for name in (*names, unicodedata.normalize("NFD", "p/münchen.jpg")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("p/?.jpg", ["p/B.JPG", "p/a.jpg"]),
        ("p/[a-c].JPG", ["p/B.JPG", "p/a.jpg"]),
        ("p\\?.jpg", ["p/B.JPG", "p/a.jpg"]),
        ("P/?.jpg", ["p/B.JPG", "p/a.jpg"]),
        ("q/*.jpg", ["Q/z.Jpg"]),
        ("p/mü*.jpg", [unicodedata.normalize("NFD", "p/münchen.jpg")]),
        ("p/Trip [2020]/*.jpg", ["p/Trip [2020]/x.jpg", "p/trip 2/y.jpg"]),
        ("p/trip [[]2020]/*.jpg", ["p/Trip [2020]/x.jpg"]),
        ("*/*/x.jpg", ["p/Trip [2020]/x.jpg"]),
        ("**/*.jpg", None),
    ],
)
def test_case_unicode_form_and_backslashes_do_not_matter(photos: Path, pattern: str, names: list[str] | None) -> None:
    if names is None:
        names = sorted(
            path.relative_to(photos).as_posix() for path in photos.rglob("*") if path.suffix.lower() == ".jpg"
        )
    assert matched(pattern, photos) == names


def test_other_endings_of_a_format_are_told(photos: Path) -> None:
    found = matches_of("p/*.jpg", photos)
    assert [path.name for path in found.of_other_endings] == ["c.jpeg", "d.JPE"]
    assert matches_of("p/*", photos).of_other_endings == []
    assert matches_of("p/x*.jpg", photos).of_other_endings == []


@pytest.mark.parametrize("litter", [".a", "z.part"])
def test_of_several_ways_to_a_file_one_without_litter_counts(tmp_path: Path, litter: str) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / litter).mkdir()
    (tmp_path / "c/d.jpg").touch()
    found = matches_of("*/../c/*.jpg", tmp_path)
    assert (found.paths, found.unfinished) == ([tmp_path / "c/d.jpg"], [])


def test_folders_that_all_link_to_each_other_are_searched_once(tmp_path: Path) -> None:
    folders = [tmp_path / f"f{number}" for number in range(15)]
    for folder in folders:
        folder.mkdir()
        (folder / "x.jpg").touch()
        for other in folders:
            (folder / f"to {other.name}").symlink_to(other)
    found = matches_of("**/x.jpg", tmp_path).paths
    assert {folder / "x.jpg" for folder in folders} <= set(found)
    assert len(found) == 2 * len(folders)


def test_of_several_links_to_a_folder_the_first_is_followed_that_is_no_litter(tmp_path: Path) -> None:
    tree, album = tmp_path / "tree", tmp_path / "album"
    for name in ("a.part", "b", "c"):
        (tree / name).mkdir(parents=True)
        (tree / name / "to").symlink_to(album)
    album.mkdir()
    (album / "x.jpg").touch()
    found = matches_of("**/*.jpg", tree)
    assert found.paths == [tree / "b/to/x.jpg"]
    assert found.unfinished == [tree / "a.part/to/x.jpg"]


def test_links_in_a_circle_end(photos: Path) -> None:
    (photos / "p/up").symlink_to(photos / "p")
    (photos / "p/trip 2/over").symlink_to(photos / "Q")
    (photos / "Q/back").symlink_to(photos / "p/trip 2")
    found = matched("**/z.jpg", photos)
    assert "Q/z.Jpg" in found
    assert "p/trip 2/over/z.Jpg" in found
    assert len(found) <= 4


def test_folders_may_be_nested_deeply(tmp_path: Path) -> None:
    at = tmp_path
    for _ in range(600):
        at /= "d"
    at.mkdir(parents=True)
    (at / "a.jpg").touch()
    assert len(matched("**/*.jpg", tmp_path)) == 1


@pytest.mark.parametrize("pattern", ["none/*.jpg", "p/none/*/x.jpg", "p/a.jpg/*.jpg"])
def test_a_missing_folder_before_the_first_wildcard_is_an_error(photos: Path, pattern: str) -> None:
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        matches_of(pattern, photos)
    assert matched(f"*/none/{pattern}", photos) == []


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def fail(path: Path) -> object:
        if str(path).endswith("trip 2"):
            raise OSError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    found = matches_of("p/**/*.jpg", photos)
    assert found.unreadable == {photos / "p/trip 2": "Permission denied"}
    assert photos / "p/Trip [2020]/x.jpg" in found.paths
    with pytest.raises(OSError, match="Permission denied"):
        matches_of("p/trip 2/*.jpg", photos)
