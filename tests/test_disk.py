"""Tests of operations on disk: moving without replacing, walking, and removing."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pipeline import disk as disk_module
from pipeline.disk import CANNOT_SYNC, Disk, exists, make_folders, move, move_without_replacing, put, remove_tree, walk
from tests.faults.disk import LOOKS, Crash, FaultyDisk, crashing, failing

if TYPE_CHECKING:
    from pathlib import Path

HARD_LINKS_ARE_MISSING = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)


class Linkless(Disk):
    """A file system that has no hard links, or fails to make them."""

    def __init__(self, number: int) -> None:
        self._number = number

    def link(self, source: Path, target: Path) -> None:
        raise OSError(self._number, os.strerror(self._number), str(source), None, str(target))


class Rival(Disk):
    """A disk on which another process does every operation first."""

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        super().mkdir(path)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        super().unlink(path)

    def rmdir(self, path: Path) -> None:
        super().rmdir(path)
        super().rmdir(path)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, by their paths in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_a_file_is_moved_where_nothing_is(tmp_path: Path) -> None:
    fill(tmp_path, here__a=b"1", there__b=b"2")
    assert move_without_replacing(Disk(), tmp_path / "here" / "a", tmp_path / "there" / "a")
    assert contents(tmp_path) == {"there/a": b"1", "there/b": b"2"}


def test_a_taken_name_is_not_replaced(tmp_path: Path) -> None:
    fill(tmp_path, source=b"1", target=b"2")
    assert not move_without_replacing(Disk(), tmp_path / "source", tmp_path / "target")
    assert contents(tmp_path) == {"source": b"1", "target": b"2"}


def test_a_name_that_a_folder_or_a_link_has_is_taken(tmp_path: Path) -> None:
    fill(tmp_path, source=b"1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    assert not move_without_replacing(Disk(), tmp_path / "source", tmp_path / "folder")
    assert not move_without_replacing(Disk(), tmp_path / "source", tmp_path / "link")
    assert contents(tmp_path) == {"source": b"1"}
    assert (tmp_path / "link").is_symlink()


def test_a_move_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    fill(tmp_path, source=b"1")
    (tmp_path / "target").hardlink_to(tmp_path / "source")
    assert move_without_replacing(Disk(), tmp_path / "source", tmp_path / "target")
    assert contents(tmp_path) == {"target": b"1"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_a_move_stops_the_file_is_there_and_it_can_be_finished(tmp_path: Path, *, after: bool) -> None:
    undisturbed = FaultyDisk()
    fill(tmp_path / "undisturbed", a__source=b"1", b__other=b"2")
    assert move_without_replacing(undisturbed, *(tmp_path / "undisturbed" / name for name in ("a/source", "b/target")))
    assert [each.name for each in undisturbed.log] == ["link", "sync_folder", "unlink", "sync_folder"]
    for step in range(len(undisturbed.log)):
        folder = fill(tmp_path / str(step), a__source=b"1", b__other=b"2")
        never = FaultyDisk.fault
        disk = FaultyDisk(never if after else crashing(step), crashing(step) if after else never)
        with pytest.raises(Crash):
            move_without_replacing(disk, folder / "a" / "source", folder / "b" / "target")
        found = contents(folder)
        assert b"1" in found.values()
        if "a/source" in found:
            assert move_without_replacing(Disk(), folder / "a" / "source", folder / "b" / "target")
        assert contents(folder) == {"b/target": b"1", "b/other": b"2"}


@pytest.mark.parametrize("number", HARD_LINKS_ARE_MISSING)
def test_a_file_is_moved_without_hard_links(tmp_path: Path, number: int) -> None:
    fill(tmp_path, here__a=b"1", there__b=b"2")
    assert move_without_replacing(Linkless(number), tmp_path / "here" / "a", tmp_path / "there" / "a")
    assert not move_without_replacing(Linkless(number), tmp_path / "there" / "a", tmp_path / "there" / "b")
    assert contents(tmp_path) == {"there/a": b"1", "there/b": b"2"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EXDEV])
def test_other_errors_of_a_move_are_raised(tmp_path: Path, number: int) -> None:
    fill(tmp_path, source=b"1")
    with pytest.raises(OSError, match=os.strerror(number)):
        move_without_replacing(Linkless(number), tmp_path / "source", tmp_path / "target")
    assert contents(tmp_path) == {"source": b"1"}


def test_a_file_that_is_gone_cannot_be_moved(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_without_replacing(Disk(), tmp_path / "source", tmp_path / "target")


def test_a_rename_replaces_and_both_folders_reach_the_medium(tmp_path: Path) -> None:
    fill(tmp_path, here__a=b"1", there__a=b"2")
    disk = FaultyDisk()
    move(disk, tmp_path / "here" / "a", tmp_path / "there" / "a")
    assert contents(tmp_path) == {"there/a": b"1"}
    assert [each.path.name for each in disk.log] == ["a", "there", "here"]
    disk.log.clear()
    move(disk, tmp_path / "there" / "a", tmp_path / "there" / "b")
    assert [each.path.name for each in disk.log] == ["a", "there"]


def test_folders_are_made_from_the_top_and_each_reaches_the_medium(tmp_path: Path) -> None:
    disk = FaultyDisk()
    make_folders(disk, tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    steps = [(each.name, each.path.relative_to(tmp_path).as_posix()) for each in disk.log]
    assert steps == [
        ("mkdir", "a"), ("sync_folder", "."), ("mkdir", "a/b"), ("sync_folder", "a"), ("mkdir", "a/b/c"),
        ("sync_folder", "a/b"),
    ]  # fmt: skip


def test_folders_that_are_there_are_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, a__file=b"1")
    disk = FaultyDisk()
    make_folders(disk, tmp_path / "a")
    assert disk.log == []
    assert contents(tmp_path) == {"a/file": b"1"}


def test_another_process_may_be_quicker_to_make_folders(tmp_path: Path) -> None:
    make_folders(Rival(), tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_folders_cannot_be_made_below_a_file(tmp_path: Path) -> None:
    fill(tmp_path, a=b"1")
    with pytest.raises(NotADirectoryError):
        make_folders(Disk(), tmp_path / "a" / "b")


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


@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "replaced"])
def test_a_file_is_put_into_place_whole(tmp_path: Path, old: bytes | None) -> None:
    steps = 3
    for step in range(steps + 1):
        folder = fill(tmp_path / str(step), **({} if old is None else {"target": old}))
        folder.mkdir(exist_ok=True)
        disk = FaultyDisk(crashing(step))
        if step < steps:
            with pytest.raises(Crash):
                put(disk, folder / "target", b"new content", folder / "temporary")
            assert contents(folder).get("target") == (b"new content" if step == 2 else old)
        put(Disk(), folder / "target", b"new content", folder / "temporary")
        assert contents(folder) == {"target": b"new content"}


def test_what_is_put_reaches_the_medium_before_it_has_its_name(tmp_path: Path) -> None:
    disk = FaultyDisk()
    put(disk, tmp_path / "target", b"1", tmp_path / "temporary")
    steps = [(each.name, each.path.name) for each in disk.log]
    assert steps == [("write", "temporary"), ("rename", "temporary"), ("sync_folder", tmp_path.name)]


def test_a_failure_to_put_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path, target=b"old")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        put(FaultyDisk(failing(errno.ENOSPC, 0)), tmp_path / "target", b"new", tmp_path / "temporary")
    assert contents(tmp_path)["target"] == b"old"


def test_a_file_is_written_over_whole(tmp_path: Path) -> None:
    Disk().write(tmp_path / "b", b"long")
    Disk().write(tmp_path / "b", b"3")
    assert contents(tmp_path) == {"b": b"3"}
    assert Disk().read(tmp_path / "b") == b"3"


def test_whether_something_has_a_name(tmp_path: Path) -> None:
    fill(tmp_path, a=b"1")
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    found = {name: exists(Disk(), tmp_path / name) for name in ("a", "link", "missing", "missing/b", "a/b", ".")}
    assert found == {"a": True, "link": True, "missing": False, "missing/b": False, "a/b": False, ".": True}


def test_that_it_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    disk = FaultyDisk(failing(errno.EACCES, 0), watched=("lstat",))
    with pytest.raises(PermissionError):
        exists(disk, tmp_path)


def test_entries_come_by_name(tmp_path: Path) -> None:
    fill(tmp_path, c=b"", a=b"", b__d=b"")
    assert [entry.name for entry in Disk().entries(tmp_path)] == ["a", "b", "c"]


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


@pytest.fixture
def no_warnings_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "_warned_devices", set())


@pytest.mark.parametrize("number", sorted(CANNOT_SYNC))
@pytest.mark.usefixtures("no_warnings_yet")
def test_work_goes_on_where_nothing_can_be_synced_and_a_warning_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    make_folders(Disk(), tmp_path / "out")
    put(Disk(), tmp_path / "out" / "b", b"data", tmp_path / "temporary")
    assert contents(tmp_path) == {"out/b": b"data"}
    (message,) = caplog.messages
    assert f"cannot sync ({os.strerror(number)})" in message


@pytest.mark.usefixtures("no_warnings_yet")
def test_a_disk_that_fails_to_sync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    for sync in (Disk().sync_folder, lambda path: Disk().write(path / "a", b"data")):
        with pytest.raises(OSError, match="Input/output error"):
            sync(tmp_path)
