"""Tests of opening files and folders without following links."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.system.no_links import open_file, open_folder, open_passage

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a file `a/b/c`, a link `link` to `a`, and a link `a/leaf` to the file."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"c")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a/leaf").symlink_to("b/c")
    return tmp_path


@pytest.mark.parametrize("opened", [open_folder, open_passage])
def test_a_folder_is_opened_unless_a_link_or_a_file_is_on_the_way(
    root: Path, opened: Callable[[Path, Path], int]
) -> None:
    for folder in ("a/b", "a", "."):
        descriptor = opened(root, Path(folder))
        assert os.fstat(descriptor).st_ino == (root / folder).stat().st_ino
        os.close(descriptor)
    for folder in ("link", "link/b", "a/leaf", "a/b/c"):
        with pytest.raises(NotADirectoryError):
            opened(root, Path(folder))
    with pytest.raises(FileNotFoundError):
        opened(root, Path("none"))


def test_the_root_itself_may_be_reached_through_links(root: Path) -> None:
    descriptor = open_folder(root / "link", Path("b"))
    with os.scandir(descriptor) as entries:
        assert [entry.name for entry in entries] == ["c"]
    os.close(descriptor)


def test_no_descriptor_is_left_open(root: Path) -> None:
    first = os.open(root, os.O_RDONLY)
    os.close(first)
    for folder in ("link/b", "a/b/c", "none", "a/b"):
        with contextlib.suppress(OSError):
            os.close(open_folder(root, Path(folder)))
    again = os.open(root, os.O_RDONLY)
    os.close(again)
    assert again == first, "the system gives out the lowest number that is free"


@pytest.mark.parametrize("relative", [False, True])
def test_a_file_is_opened_unless_there_is_a_link_in_its_path(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, relative: bool
) -> None:
    monkeypatch.chdir(root)
    start = Path() if relative else root
    with open(start / "a/b/c", "rb", opener=open_file) as file:
        assert file.read() == b"c"
    for path in ("link/b/c", "a/leaf"):
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            open(start / path, "rb", opener=open_file)  # noqa: SIM115 - it is not opened
