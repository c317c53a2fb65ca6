"""Tests of the files of checkpoints: atomic writing, reading, and removal."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO

import pytest

from pipeline.disk import Disk
from pipeline.outbox.working_files import KEPT_SECONDS, CheckpointFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY, OTHER = "a" * 64, "b" * 64


class Noting(Disk):
    """A disk that records the order in which its operations reach the medium."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def write_by(self, path: Path, fill: Callable[[BinaryIO], None]) -> None:
        super().write_by(path, fill)
        self.done.append("write")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.done.append("rename")

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.done.append(f"sync {path.name}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "checkpoints"


@pytest.fixture
def files(folder: Path, tmp_path: Path) -> CheckpointFiles:
    return CheckpointFiles(folder, tmp_path / "state" / "tmp", Disk())


def write(files: CheckpointFiles, key: str, data: bytes) -> None:
    def fill(file: BinaryIO) -> None:
        file.write(data)

    files.write(key, fill)


def read(files: CheckpointFiles, key: str) -> bytes | None:
    with files.opened(key) as file:
        return None if file is None else file.read()


def test_what_is_written_is_read_by_its_key(files: CheckpointFiles) -> None:
    write(files, KEY, b"1")
    write(files, OTHER, b"2")
    assert (read(files, KEY), read(files, OTHER)) == (b"1", b"2")
    write(files, KEY, b"3")
    assert (read(files, KEY), read(files, OTHER)) == (b"3", b"2")


def test_nothing_is_there_before_it_is_written_nor_after_looking(files: CheckpointFiles, folder: Path) -> None:
    assert read(files, KEY) is None
    files.remove(KEY)
    files.remove_old()
    assert not folder.parent.exists()


def test_writing_that_fails_half_way_leaves_the_old_one(files: CheckpointFiles, folder: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half of")
        file.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        files.write(KEY, fail)
    assert read(files, KEY) is None
    write(files, KEY, b"old")
    with pytest.raises(ZeroDivisionError):
        files.write(KEY, fail)
    assert read(files, KEY) == b"old"
    assert [path.name for path in folder.iterdir()] == [KEY]
    write(files, KEY, b"new")
    assert read(files, KEY) == b"new"


def test_a_file_gets_its_name_only_when_it_is_whole_and_the_name_is_durable(folder: Path, tmp_path: Path) -> None:
    disk = Noting()
    files = CheckpointFiles(folder, tmp_path / "tmp", disk)
    write(files, KEY, b"1")
    assert disk.done[-3:] == ["write", "rename", "sync checkpoints"]


def test_one_that_is_removed_is_gone_and_the_others_stay(files: CheckpointFiles) -> None:
    write(files, KEY, b"1")
    write(files, OTHER, b"2")
    files.remove(KEY)
    files.remove(KEY)
    assert (read(files, KEY), read(files, OTHER)) == (None, b"2")


def test_those_that_nobody_came_back_to_are_removed(files: CheckpointFiles) -> None:
    for key, seconds in ((KEY, KEPT_SECONDS + 60), (OTHER, KEPT_SECONDS - 60)):
        write(files, key, b"1")
        os.utime(files.path(key), (time.time() - seconds,) * 2)
    files.remove_old()
    assert (read(files, KEY), read(files, OTHER)) == (None, b"1")
