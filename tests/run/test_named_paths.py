"""Tests of paths in manifests: which file or folder a text names, however it is spelled."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.run.named_paths import PathFinder, is_windows_path, path_errors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Fotos/Müller.JPG", "a/x.jpg", "a/X.JPG", "odd\\name.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Fotos/Müller.JPG", "Fotos/Müller.JPG"),
        (unicodedata.normalize("NFD", "Fotos/Müller.JPG"), "Fotos/Müller.JPG"),
        ("fotos/MÜLLER.jpg", "Fotos/Müller.JPG"),
        ("Fotos\\Müller.JPG", "Fotos/Müller.JPG"),
        (".\\a\\..\\fotos\\müller.jpg", "Fotos/Müller.JPG"),
        ("a/x.jpg", "a/x.jpg"),
        ("a/X.JPG", "a/X.JPG"),
        ("a/x.JPG", None),
        ("odd\\name.jpg", "odd\\name.jpg"),
        ("Fotos", "Fotos"),
        ("none/x.jpg", None),
        ("a/x.jpg/y.jpg", None),
        ("\ud800.jpg", None),
    ],
)
def test_a_file_is_found_however_its_name_is_spelled(folder: Path, text: str, found: str | None) -> None:
    assert PathFinder(folder).find(text) == (folder / found if found is not None else None)


def test_a_name_that_the_disk_has_in_nfd_is_found_by_nfc(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "é")).mkdir()
    (tmp_path / unicodedata.normalize("NFD", "é") / "ü.jpg").touch()
    found = PathFinder(tmp_path).find("é/Ü.jpg")
    assert found is not None
    assert found.exists()


def test_the_home_of_the_user_is_known_by_its_tilde(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert PathFinder(Path("/")).find("~/a/x.jpg") == folder / "a/x.jpg"
    (folder / "~").mkdir()
    assert PathFinder(folder).find("~") == folder / "~"


def test_a_folder_is_listed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[object] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    finder = PathFinder(folder)
    for number in range(100):
        assert finder.find(f"a/{number}.jpg") is None
    assert listed == [folder / "a"]


def test_a_path_of_windows_is_known_as_one() -> None:
    assert is_windows_path("C:\\photos\\a.jpg")
    assert is_windows_path("\\\\nas\\photos")
    assert not is_windows_path("photos\\a.jpg")
    assert not is_windows_path("/photos/a.jpg")


@pytest.mark.parametrize(
    ("number", "words"),
    [(5, "Check the disk"), (13, "Correct the owner or the permissions"), (36, "Shorten the name")],
)
def test_an_error_of_the_file_system_is_explained_with_its_remedy(number: int, words: str) -> None:
    with pytest.raises(UsageError, match=r"^-o x: cannot be read: ") as error, path_errors("-o x"):
        raise OSError(number, os.strerror(number))
    assert words in error.value.remedy
