"""Tests of finding a style in the library by name."""

from __future__ import annotations

import errno
import os
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.disk import Disk
from pipeline.watch.inbox.styles import Styles

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = (".jpg", ".png")


def library(folder: Path, *names: str) -> Styles:
    """Return the styles of a folder with files of these names."""
    for name in names:
        (folder / name).touch()
    styles = Styles(folder, ENDINGS, Disk())
    styles.look()
    return styles


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("sea.jpg", "sea"),
        ("Sea.JPG", "sea"),
        ("sea.png", "SEA"),
        ("starry night.png", "Starry Night"),
        ("a.b.png", "a.b"),
        ("stra\u00dfe.png", "STRASSE"),
        ("\u00fcber.png", "u\u0308ber"),
        ("u\u0308ber.png", "\u00fcber"),
        ("u\u0308ber.png", "\u00dcBER"),
        ("\u00dcber.png", "u\u0308ber"),
        ("_style.png", "_style"),
    ],
)
def test_neither_case_nor_the_way_accents_are_written_matters(tmp_path: Path, file_name: str, name: str) -> None:
    assert library(tmp_path, file_name).find(name) == (tmp_path / file_name,)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_in_either_form(tmp_path: Path, form: str) -> None:
    name = "C\u00e9zanne \u00c5\u00f6\u1e69"
    styles = library(tmp_path, f"{unicodedata.normalize(form, name)}.jpg")
    assert styles.find(unicodedata.normalize("NFC", name)) == styles.find(unicodedata.normalize("NFD", name.lower()))
    assert styles.find(name) is not None


@pytest.mark.parametrize("name", ["ocean", "se", "sea.jpg", "sea.png", "", "sea ", "./sea", "uber"])
def test_another_name_is_not_found(tmp_path: Path, name: str) -> None:
    assert library(tmp_path, "sea.jpg", "\u00fcber.png").find(name) is None


@pytest.mark.parametrize("file_name", [".sea.jpg", "._sea.png", "sea.txt", "sea", "sea.jpg.part", "sea.webp"])
def test_hidden_files_and_other_endings_are_no_styles(tmp_path: Path, file_name: str) -> None:
    styles = library(tmp_path, file_name, "other.jpg")
    assert styles.find("other") == (tmp_path / "other.jpg",)
    for name in ("sea", ".sea", "._sea", "sea.jpg", file_name):
        assert styles.find(name) is None


def test_links_that_lead_nowhere_are_no_styles_but_links_to_files_are(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inner.png").touch()
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "sea.jpg")
    styles = library(tmp_path, "sea.jpg")
    assert [styles.find(name) for name in ("folder", "inner", "nowhere")] == [None, None, None]
    assert styles.find("folder.png") == (tmp_path / "folder.png" / "inner.png",), (
        "a folder of paintings is found by its whole name, since it has no ending"
    )
    assert styles.find("link") == (tmp_path / "sea.jpg",)


def test_of_files_of_one_name_the_first_is_taken(tmp_path: Path) -> None:
    styles = library(tmp_path, "sea.png", "sea.jpg", "Sky.png", "sky.jpg")
    assert styles.find("sea") == (tmp_path / "sea.jpg",)
    assert styles.find("sky") == (tmp_path / "Sky.png",)


def test_the_library_is_as_of_the_last_look(tmp_path: Path) -> None:
    styles = library(tmp_path, "sea.png")
    (tmp_path / "sea.png").rename(tmp_path / "sky.png")
    assert styles.find("sky") is None
    styles.look()
    assert styles.find("sky") == (tmp_path / "sky.png",)
    assert styles.find("sea") is None


def test_a_library_that_cannot_be_read_is_an_error_and_what_was_known_stays(tmp_path: Path) -> None:
    folder = tmp_path / "styles"
    folder.mkdir()
    styles = library(folder, "sea.png")
    folder.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        styles.look()
    assert styles.find("sea") == (folder / "sea.png",)


def test_a_dropped_style_comes_first_and_goes_away(tmp_path: Path) -> None:
    styles = library(tmp_path, "sea.png")
    dropped = tmp_path / "inbox" / "sea" / "_style.jpg"
    styles.use_dropped("sea", dropped, 1)
    assert styles.find("sea") == (dropped,)
    styles.look()
    assert styles.find("sea") == (dropped,)
    styles.stop_dropped("sea", dropped)
    assert styles.find("sea") == (tmp_path / "sea.png",)
    styles.stop_dropped("sea", dropped)


def test_of_several_dropped_styles_the_one_that_came_last_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    styles = library(tmp_path, "sea.png")
    old, new = (tmp_path / "inbox" / "sea" / f"_style{ending}" for ending in ENDINGS)
    for path, came in ((new, 2), (old, 1)):
        styles.use_dropped("sea", path, came)
        assert styles.find("sea") == (new,)
    assert any(f"{new.name} came last" in message for message in caplog.messages)
    styles.stop_dropped("sea", new)
    assert styles.find("sea") == (old,)
    styles.stop_dropped("sea", old)
    assert styles.find("sea") == (tmp_path / "sea.png",)


def test_a_dropped_style_is_for_its_own_folder_only(tmp_path: Path) -> None:
    styles = library(tmp_path, "sea.png")
    styles.use_dropped("Sea", tmp_path / "Sea" / "_style.jpg", 1)
    assert styles.find("sea") == (tmp_path / "sea.png",)
    assert styles.find("Sea") == (tmp_path / "Sea" / "_style.jpg",)


def test_without_a_folder_there_are_dropped_styles_only(tmp_path: Path) -> None:
    styles = Styles(None, ENDINGS, Disk())
    styles.look()
    assert styles.find("sea") is None
    styles.use_dropped("sea", tmp_path / "_style.jpg", 1)
    assert styles.find("sea") == (tmp_path / "_style.jpg",)
    styles.stop_dropped("sea", tmp_path / "_style.jpg")
    assert styles.find("sea") is None


def test_a_folder_of_the_library_is_a_blend_of_its_paintings(tmp_path: Path) -> None:
    for name in ("Harbour/b.png", "Harbour/a.jpg", "Harbour/.c.png", "Harbour/notes.txt", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    styles = library(tmp_path, "sea.png")
    assert styles.find("harbour") == (tmp_path / "Harbour" / "a.jpg", tmp_path / "Harbour" / "b.png")
    assert styles.find("empty") is None
    assert styles.find("sea") == (tmp_path / "sea.png",)


def test_what_cannot_be_read_hides_no_other_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "link.jpg").symlink_to("/elsewhere/x.jpg")
    stat = os.stat
    number = errno.EACCES

    def fail(path: object, *arguments: Any, **keywords: Any) -> os.stat_result:
        if str(path).endswith("link.jpg"):
            raise OSError(number, os.strerror(number))
        return stat(path, *arguments, **keywords)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "stat", fail)
    styles = library(tmp_path, "sea.jpg")
    styles.look()
    assert styles.names() == ["sea"]
    assert caplog.messages == [f"{tmp_path / 'link.jpg'}: cannot be read and is no style: Permission denied"]
    number = errno.EIO
    (tmp_path / "sea.jpg").unlink()
    with pytest.raises(OSError, match="Input/output error"):
        styles.look()
    assert styles.names() == ["sea"], "when the disk fails, what was known stays"
