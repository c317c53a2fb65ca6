"""Tests of operations on disk: moving without replacing, walking, and removing."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pipeline import disk as disk_module
from pipeline.disk import (
    CANNOT_SET_TIMES,
    Disk,
    exists,
    make_folders,
    move,
    move_without_replacing,
    put,
    put_new,
)
from pipeline.trees import remove_tree
from tests.faults.disk import Crash, FaultyDisk, crashing, failing

if TYPE_CHECKING:
    from collections.abc import Callable
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

    def mkdir(self, path: Path, mode: int = 0o777) -> None:
        super().mkdir(path, mode)
        super().mkdir(path, mode)

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


@pytest.mark.parametrize("again", [put, put_new])
def test_a_temporary_name_that_could_not_be_removed_is_no_way_into_the_file(
    tmp_path: Path, again: Callable[[Disk, Path, bytes, Path], None]
) -> None:
    target, temporary = tmp_path / "a", tmp_path / "tmp"
    stuck = FaultyDisk(lambda operation, _: OSError(errno.EIO, "") if operation.name == "unlink" else None)
    with pytest.raises(OSError, match="5"):
        put_new(stuck, target, b"first", temporary)
    assert temporary.samefile(target)  # a second name of the file, as after a crash at this point
    failing_write = FaultyDisk(lambda operation, _: OSError(errno.ENOSPC, "") if operation.name == "write" else None)
    with pytest.raises(OSError, match="28"):
        again(failing_write, target, b"second", temporary)
    assert target.read_bytes() == b"first"


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


# Guarded folders


def exchange(root: Path) -> tuple[Disk, Path]:
    """Return a disk that guards a folder in which `sea` was exchanged for a link, and the folder it leads to."""
    victim = fill(root / "victim", a__jpg=b"1", deep__b=b"2").resolve()
    (root / "inbox").mkdir()
    (root / "inbox/sea").symlink_to(victim)
    (root / "inbox/own").write_bytes(b"own")
    disk = Disk()
    disk.guard(root / "inbox")
    return disk, victim


@pytest.mark.parametrize(
    "step",
    [
        lambda disk, sea: disk.mkdir(sea / "new"),
        lambda disk, sea: disk.create(sea / "new"),
        lambda disk, sea: disk.write(sea / "new", b"3"),
        lambda disk, sea: disk.write_by(sea / "a/jpg", lambda file: file.write(b"3")),
        lambda disk, sea: disk.rename(sea / "a/jpg", sea.parent / "taken"),
        lambda disk, sea: disk.rename(sea.parent / "own", sea / "a/jpg"),
        lambda disk, sea: disk.link(sea / "a/jpg", sea.parent / "taken"),
        lambda disk, sea: disk.link(sea.parent / "own", sea / "new"),
        lambda disk, sea: disk.unlink(sea / "a/jpg"),
        lambda disk, sea: disk.rmdir(sea / "a"),
        lambda disk, sea: disk.touch(sea / "a/jpg"),
        lambda disk, sea: disk.sync_folder(sea),
        lambda disk, sea: disk.read(sea / "a/jpg"),
        lambda disk, sea: disk.lstat(sea / "a/jpg"),
        lambda disk, sea: disk.statuses(sea),
        lambda disk, sea: make_folders(disk, sea / "new/folder"),
    ],
)
def test_no_operation_follows_a_link_below_a_guarded_folder(
    tmp_path: Path, step: Callable[[Disk, Path], object]
) -> None:
    disk, victim = exchange(tmp_path)
    before = {path: path.lstat() for path in [victim, *victim.rglob("*")]}
    with pytest.raises(NotADirectoryError) as error:
        step(disk, tmp_path / "inbox/sea")
    assert str(tmp_path) in str(error.value.filename)
    assert {path: path.lstat() for path in [victim, *victim.rglob("*")]} == before
    assert {path.name for path in (tmp_path / "inbox").iterdir()} == {"sea", "own"}


def test_a_link_below_a_guarded_folder_is_no_folder_and_can_be_moved_itself(tmp_path: Path) -> None:
    disk, victim = exchange(tmp_path)
    sea = tmp_path / "inbox/sea"
    assert not disk.is_folder(sea)
    assert not disk.is_folder(sea / "a")
    assert Disk().is_folder(sea)
    assert move_without_replacing(disk, sea, sea.with_name("moved"))
    assert sea.with_name("moved").readlink() == victim
    with pytest.raises(OSError, match="symbolic link"):
        disk.write(sea.with_name("moved"), b"")
    remove_tree(disk, sea.with_name("moved"))
    assert (victim / "deep/b").read_bytes() == b"2"


def test_a_guarded_folder_is_worked_in_as_any_other(tmp_path: Path) -> None:
    for root in (tmp_path / "guarded", tmp_path / "other"):
        root.mkdir()
        disk = Disk()
        disk.guard(tmp_path / "guarded")
        make_folders(disk, root / "a/b")
        put(disk, root / "a/b/c", b"1", root / "temporary")
        disk.create(root / "empty")
        disk.link(root / "empty", root / "a/second")
        disk.touch(root / "empty")
        with pytest.raises(FileExistsError):
            disk.create(root / "empty")
        assert list(disk.statuses(root)) == ["a", "empty"]
        assert disk.read(root / "a/b/c") == b"1"
        assert contents(root) == {"a/b/c": b"1", "empty": b"", "a/second": b""}
        remove_tree(disk, root / "a")
        disk.unlink(root / "empty")
        disk.rmdir(root)
    assert contents(tmp_path) == {}


def test_a_status_that_cannot_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, a=b"", b=b"", c=b"")
    status_of = disk_module._status_of

    def fail(entry: os.DirEntry[str]) -> os.stat_result | OSError:
        number = {"a": errno.EIO, "b": errno.ENOENT}.get(entry.name)
        return OSError(number, "") if number else status_of(entry)

    monkeypatch.setattr(disk_module, "_status_of", fail)
    found = Disk().statuses(tmp_path)
    assert list(found) == ["a", "c"]
    assert isinstance(found["a"], OSError)


@pytest.mark.parametrize("number", sorted(CANNOT_SET_TIMES))
def test_a_file_is_written_where_its_times_cannot_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    beat = tmp_path / "beat"
    beat.touch()
    os.utime(beat, (0, 0))

    def utime(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "utime", utime)
    Disk().touch(beat)
    assert beat.stat().st_mtime > 0
