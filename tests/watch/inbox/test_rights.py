"""Tests of what permissions and mounts show before a claim."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk
from pipeline.watch.inbox import rights as rights_module
from pipeline.watch.inbox.rights import Rights
from tests.faults.disk import FaultyDisk, HastyDisk, changed
from tests.faults.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.disk import Operation

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="these are about the permissions of POSIX")
ME, OTHER = 1000, 1001


class Statuses(HastyDisk):
    """A disk on which tests set owners, modes and devices, by the last part of the path."""

    def __init__(self, **changes: dict[int, int]) -> None:
        self.changes = changes

    def lstat(self, path: Path) -> os.stat_result:
        return changed(super().lstat(path), self.changes.get(path.name, {}))


def rights(root: Path, disk: Disk) -> Rights:
    (root / "inbox/sea").mkdir(parents=True)
    (root / "inbox/sea/a").write_bytes(b"a")
    (root / "spool").mkdir()
    return Rights(disk, root / "inbox", root / "spool")


def test_nothing_prevents_a_claim_of_a_usual_file_or_of_one_that_is_gone(tmp_path: Path) -> None:
    checked = rights(tmp_path, Disk())
    assert (checked.why_not("sea/a"), checked.why_not("sea/gone"), checked.why_not("gone/a")) == ("", "", "")


def test_a_folder_that_is_a_mount_of_its_own(tmp_path: Path) -> None:
    checked = rights(tmp_path, Statuses(sea={stat.ST_DEV: 99}))
    assert "on another file system than the spool" in checked.why_not("sea/a")


@pytest.mark.parametrize(
    ("owners", "mode", "is_kept"),
    [
        ((OTHER, OTHER), 0o41777, True),
        ((OTHER, ME), 0o41777, False),
        ((ME, OTHER), 0o41777, False),
        ((OTHER, OTHER), 0o40777, False),
    ],
)
def test_a_sticky_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owners: tuple[int, int], mode: int, *, is_kept: bool
) -> None:
    disk = Statuses(sea={stat.ST_UID: owners[0], stat.ST_MODE: mode}, a={stat.ST_UID: owners[1]})
    checked = rights(tmp_path, disk)
    monkeypatch.setattr(os, "geteuid", lambda: ME)
    assert ("sticky" in checked.why_not("sea/a")) is is_kept


@pytest.mark.parametrize(("denied", "words"), [("sea", "may not write to its folder"), ("a", "may not be read by the")])
def test_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str, words: str) -> None:
    checked = rights(tmp_path, Disk())
    monkeypatch.setattr(rights_module.os, "access", lambda path, *_, **__: path.name != denied)
    assert words in checked.why_not("sea/a")


@pytest.mark.parametrize("by_signal", [False, True])
def test_what_cannot_be_claimed_costs_less_and_less_and_is_claimed_when_it_can_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, by_signal: bool
) -> None:
    world = World(tmp_path / "world")
    world.drop("sky/a.jpg")
    world.drop("sky/b.jpg")
    (world.styles / "sky.png").write_bytes(b"the sky")
    mounts = Statuses(sky={stat.ST_DEV: 99})
    disk = FaultyDisk(watched=("mkdir", "rename", "sync_folder"))
    disk.lstat = mounts.lstat  # type: ignore[method-assign]
    worker = world.worker(disk).start()
    before = len(disk.log)
    worker.work(1200)
    assert [str(operation) for operation in disk.log[before:] if "sky" in str(operation)] == []
    assert "another file system" in worker.scanner.left["sky/a.jpg"]
    assert [message.split(" ")[0] for message in caplog.messages if "another file system" in message] == ["sky/:"]
    mounts.changes = {}
    if by_signal:
        worker.stop.rescan = True
    worker.work(12 if by_signal else 330)
    worker.end()
    assert world.check_settled().keys() == {"a__sky.png", "b__sky.png"}


def test_a_folder_that_comes_later_is_reported_by_its_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path / "world")
    disk = FaultyDisk(watched=())
    disk.lstat = Statuses(sky={stat.ST_DEV: 99}).lstat  # type: ignore[method-assign]
    worker = world.worker(disk).start()
    (world.styles / "sky.png").write_bytes(b"the sky")
    world.drop("sky/a.jpg")
    worker.work(20)
    worker.end()
    assert [message.split(" ")[0] for message in caplog.messages if "another file system" in message] == ["sky/a.jpg"]


def test_a_folder_that_can_neither_be_read_nor_moved_from_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path / "world")
    world.drop("sky/a.jpg")

    def refuse(operation: Operation, _: int) -> OSError | None:
        return PermissionError(errno.EACCES, "Permission denied") if operation.path.name == "sky" else None

    disk = FaultyDisk(refuse, watched=("statuses",))
    disk.lstat = Statuses(sky={stat.ST_DEV: 99}).lstat  # type: ignore[method-assign]
    worker = world.worker(disk).start()
    worker.work(20)
    worker.end()
    (message,) = [message for message in caplog.messages if message.startswith("sky/")]
    assert message.startswith("sky/ cannot be read: Permission denied; correct the owner or the permissions")


def test_what_fails_to_be_claimed_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")

    def refuse(operation: object, _: int) -> OSError | None:
        return OSError(16, "Device or resource busy") if str(operation).endswith("sea/a.jpg") else None

    disk = FaultyDisk(refuse, watched=("rename",))
    worker = world.worker(disk).start()
    worker.work(3600)
    tries = [operation for operation in disk.log if operation.path.name == "a.jpg"]
    assert 10 < len(tries) < 22, "2, 4, 8 … 300 seconds lie between them"
    worker.end()


def test_a_ticket_does_not_claim_what_it_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "world")
    world.drop("x.jpg")
    world.drop("t.csv", b"content,style\nx.jpg,sea\n")
    worker = world.worker().start()
    access = os.access
    monkeypatch.setattr(
        rights_module.os, "access", lambda path, *a, **k: path.name != "x.jpg" and access(path, *a, **k)
    )
    worker.work(30)
    assert (world.waiting(), world.spooled("work")) == ({"x.jpg"}, {"t.csv"})
    monkeypatch.undo()
    worker.work(330)
    worker.end()
    assert world.check_settled().keys() == {"x__sea.png"}


def test_a_style_picture_that_may_not_be_read_is_left_and_the_library_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/_style.jpg", b"another sea")
    access = os.access
    monkeypatch.setattr(
        rights_module.os, "access", lambda path, *a, **k: path.name != "_style.jpg" and access(path, *a, **k)
    )
    worker = world.worker().start()
    worker.work(5)
    world.drop("sea/a.jpg")
    worker.work(12)
    assert "may not be read" in worker.scanner.left["sea/_style.jpg"]
    monkeypatch.undo()
    worker.work(60)
    assert worker.scanner.left == {}
    world.drop("sea/b.jpg")
    worker.work(12)
    worker.end()
    results = world.check_settled()
    assert results["a__sea.png"].pair.style.sha256 != results["b__sea.png"].pair.style.sha256
