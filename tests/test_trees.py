"""Tests of removing and walking through whole folders."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk
from pipeline.trees import remove_empty_folders, remove_tree, walk
from tests.faults.disk import LOOKS, FaultyDisk, failing
from tests.test_disk import Rival, contents, fill

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("disk", [Disk(), Rival()], ids=["alone", "with a rival"])
def test_a_tree_is_removed_and_what_a_link_in_it_leads_to_stays(tmp_path: Path, disk: Disk) -> None:
    fill(tmp_path, keep__a=b"1", tree__b=b"2", tree__deep__er__c=b"3")
    (tmp_path / "tree" / "empty").mkdir()
    (tmp_path / "tree" / "folder").symlink_to(tmp_path / "keep")
    (tmp_path / "tree" / "nowhere").symlink_to(tmp_path / "missing")
    remove_tree(disk, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert contents(tmp_path) == {"keep/a": b"1"}


def test_a_file_is_removed_as_a_tree_is(tmp_path: Path) -> None:
    fill(tmp_path, a=b"1", b=b"2")
    remove_tree(Disk(), tmp_path / "a")
    assert contents(tmp_path) == {"b": b"2"}


def test_removing_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    disk = FaultyDisk()
    remove_tree(disk, tmp_path / "missing")
    remove_tree(disk, tmp_path / "missing" / "below")
    assert disk.log == []


def fill_folders(root: Path) -> None:
    (root / "b/c").mkdir(parents=True)
    for name in ("z", "b/a", "b/c/deep", "a"):
        (root / name).touch()
    (root / "link").symlink_to(root / "b")


def test_a_walk_finds_files_in_the_order_of_their_names_and_follows_no_links(tmp_path: Path) -> None:
    fill_folders(tmp_path)
    assert [name for name, _ in walk(Disk(), tmp_path)] == ["a", "b/a", "b/c/deep", "link", "z"]
    assert [name for name, _ in walk(Disk(), tmp_path, "b/")] == ["b/a", "b/c/deep"]
    excluded = tmp_path / "b/c"
    assert [name for name, _ in walk(Disk(), tmp_path, is_excluded=lambda path: path == excluded)] == [
        "a", "b/a", "link", "z",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "wanted"), [(errno.EACCES, ["a", "b/", "link", "z"]), (errno.ENOENT, ["a", "link", "z"])]
)
def test_a_walk_tells_which_folders_cannot_be_read(tmp_path: Path, number: int, wanted: list[str]) -> None:
    fill_folders(tmp_path)
    disk = FaultyDisk(failing(number, 1), watched=LOOKS)
    found = list(walk(disk, tmp_path))
    assert [name for name, _ in found] == wanted
    assert [error.errno for _, error in found if isinstance(error, OSError)] == [number] * wanted.count("b/")


def test_a_walk_of_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk(Disk(), tmp_path / "missing"))


def test_a_walk_goes_down_thousands_of_folders(tmp_path: Path) -> None:
    class Deep(Disk):
        """A disk on which every folder lists the first folder, so that the tree is thousands of levels deep."""

        def entries(self, path: Path) -> list[os.DirEntry[str]]:
            return super().entries(tmp_path if len(path.parts) < 3000 else tmp_path / "d")

    (tmp_path / "d").mkdir()
    (tmp_path / "d/end.jpg").touch()
    ((name, _),) = walk(Deep(), tmp_path)
    assert name.endswith("d/d/end.jpg")
    assert name.count("/") > 2000


def test_only_folders_without_files_are_removed(tmp_path: Path) -> None:
    fill(tmp_path, job__in__sea__a=b"1")
    (tmp_path / "job/in/sky/deep").mkdir(parents=True)
    remove_empty_folders(Disk(), tmp_path / "job")
    assert contents(tmp_path) == {"job/in/sea/a": b"1"}
    assert not (tmp_path / "job/in/sky").exists()
    (tmp_path / "job/in/sea/a").unlink()
    remove_empty_folders(Disk(), tmp_path / "job")
    remove_empty_folders(Disk(), tmp_path / "job")
    assert list(tmp_path.iterdir()) == []


def test_a_tree_of_a_thousand_folders_is_removed(tmp_path: Path, nest_folders: Callable[[Path, int], None]) -> None:
    nest_folders(tmp_path, 1500)
    remove_tree(Disk(), tmp_path / "d")
    assert list(tmp_path.iterdir()) == []
