"""Tests of the place of a spool: whose it is, which inbox it serves, and trial files that nobody removed."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.disk import Disk
from pipeline.errors import UsageError
from pipeline.watch.spool.place import RECORD
from pipeline.watch.spool.spool import Spool
from pipeline.watch.spool.workers import LEASE_SECONDS
from tests.faults.disk import Crash, FaultyDisk, HastyDisk, crashing
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STRANGER = 12345
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def enter(inbox: Path, root: Path | None = None) -> Spool:
    spool = Spool(root or inbox / ".impasto", inbox, HastyDisk())
    spool.worker.enter()
    return spool


# Owners


def make_link(state: Path) -> None:
    (state.parent.parent / "victim").mkdir()
    state.symlink_to(state.parent.parent / "victim")


@pytest.mark.parametrize("make", [make_link, lambda state: state.write_bytes(b"")], ids=["link", "file"])
@pytest.mark.parametrize("drain", [False, True])
def test_what_somebody_put_in_place_of_a_spool_is_refused_and_untouched(
    tmp_path: Path, make: Callable[[Path], None], *, drain: bool
) -> None:
    world = World(tmp_path / "world")
    make(world.inbox / ".impasto")
    service = world.worker(drain=drain)
    with pytest.raises(UsageError, match="is a link or a file") as error:
        service.start()
    assert "watch.spool" in error.value.remedy
    assert list(world.root.rglob("victim/*")) == []


@only_root
@pytest.mark.parametrize(("owner", "inbox_owner", "is_trusted"), [(1, 0, False), (1, 1, True), (0, 1, True)])
def test_a_spool_is_trusted_if_its_owner_could_replace_it_anyway(
    inbox: Path, owner: int, inbox_owner: int, *, is_trusted: bool
) -> None:
    state = inbox / ".impasto"
    state.mkdir()
    os.chown(state, owner * STRANGER, 0)
    os.chown(inbox, inbox_owner * STRANGER, 0)
    if is_trusted:
        enter(inbox)
        return
    with pytest.raises(UsageError, match="belongs to another user") as error:
        enter(inbox)
    assert "chown" in error.value.remedy
    assert list(state.iterdir()) == []
    assert [path.name for path in inbox.iterdir()] == [".impasto"]


@only_root
def test_a_spool_is_trusted_if_the_server_gives_new_files_to_its_owner(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = inbox / ".impasto"
    state.mkdir()
    os.chown(state, STRANGER, 0)
    create = Disk.create

    def squash(disk: Disk, path: Path) -> None:
        create(disk, path)
        os.chown(path, STRANGER, 0)

    monkeypatch.setattr(Disk, "create", squash)
    spool = enter(inbox)
    assert (spool.folder / "beat").exists()


@pytest.mark.usefixtures("open_umask")
def test_only_its_user_may_write_in_a_spool(inbox: Path) -> None:
    (inbox / "sea").mkdir()
    (inbox / "sea/a.jpg").write_bytes(b"a")
    spool = enter(inbox)
    spool.archive(spool.claim("sea/a.jpg"), "2026-03-01")
    folders = [path for path in [spool.root, *spool.root.rglob("*")] if path.is_dir()]
    assert len(folders) > 7
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o755}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_spool_that_becomes_a_link_while_it_is_used_leads_nowhere(tmp_path: Path) -> None:
    """Exchange the spool for a link to a folder in which every file that a worker writes is a link to a victim."""
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    victim, fake = tmp_path / "victim", tmp_path / "fake"
    victim.write_bytes(b"victim")
    for name in (worker.spool.worker.name, "dead-1-abc", ".new-1-abc"):
        folder = fake / "work" / name
        folder.mkdir(parents=True)
        for file in ("lock", "beat", "status.json", "status.tmp"):
            (folder / file).symlink_to(victim)
    before = victim.stat()
    worker.spool.root.rename(world.inbox / "before")
    worker.spool.root.symlink_to(fake)
    worker.work(60)
    assert worker.watcher.status_file.status()["state"] == "paused"
    assert victim.stat() == before
    assert {path.name for path in fake.iterdir()} == {"work"}
    worker.spool.root.unlink()
    (world.inbox / "before").rename(worker.spool.root)
    worker.work(90)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_lock_that_is_a_link_is_not_opened(inbox: Path, tmp_path: Path) -> None:
    dead, living = enter(inbox), enter(inbox)
    victim = tmp_path / "victim"
    victim.write_bytes(b"victim")
    (dead.folder / "lock").unlink()
    (dead.folder / "lock").symlink_to(victim)
    living.worker.take_over(lambda _: None)
    assert victim.read_bytes() == b"victim"


# Inboxes


def test_a_spool_serves_one_inbox(inbox: Path, tmp_path: Path) -> None:
    root, other = tmp_path / "spool", tmp_path / "other"
    other.mkdir()
    enter(inbox, root)
    enter(inbox, root)
    before = (root / RECORD).read_bytes()
    with pytest.raises(UsageError, match=r"is the spool of another inbox, .*/inbox") as error:
        enter(other, root)
    assert str(root / RECORD) in error.value.remedy
    assert (root / RECORD).read_bytes() == before
    assert list(other.iterdir()) == []
    (root / RECORD).unlink()
    enter(other, root)


def test_two_watchers_with_different_inboxes_do_not_share_a_spool(tmp_path: Path) -> None:
    settings = {"watch": {"spool": str(tmp_path / "spool")}}
    one, two = World(tmp_path / "one", settings), World(tmp_path / "two", settings)
    one.drop("sea/a.jpg")
    killed = one.worker().start()
    killed.spool.claim("sea/a.jpg")
    killed.die()
    with pytest.raises(UsageError, match="is the spool of another inbox"):
        two.worker(drain=True).start()
    worker = one.worker().start()
    worker.work(12)
    worker.end()
    assert one.check_settled().keys() == {"a__sea.png"}
    assert not two.outbox.exists()


@pytest.mark.parametrize("change", ["moved", "made again"])
def test_an_inbox_that_was_moved_or_made_again_keeps_its_spool(inbox: Path, tmp_path: Path, change: str) -> None:
    root = tmp_path / "spool"
    enter(inbox, root)
    before = inbox.stat().st_ino
    there = inbox.rename(tmp_path / "there")
    if change == "made again":
        inbox.mkdir()
        assert inbox.stat().st_ino != before
    now = there if change == "moved" else inbox
    enter(now, root)
    assert f'"{now}"' in (root / RECORD).read_text()
    assert f'"inode": {now.stat().st_ino}' in (root / RECORD).read_text()
    enter(now, root)


def test_an_inbox_that_was_copied_with_its_spool_needs_no_help(inbox: Path, tmp_path: Path) -> None:
    enter(inbox)
    copy = tmp_path / "copy"
    (copy / ".impasto").mkdir(parents=True)
    (copy / ".impasto" / RECORD).write_bytes((inbox / ".impasto" / RECORD).read_bytes())
    enter(copy)
    assert f'"inode": {copy.stat().st_ino}' in (copy / ".impasto" / RECORD).read_text()


def test_a_record_that_cannot_be_understood_is_replaced(inbox: Path, tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.mkdir()
    (root / RECORD).write_bytes(b"?")
    enter(inbox, root)
    assert b'"inode"' in (root / RECORD).read_bytes()


# Trial files


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


@pytest.mark.parametrize("after", [False, True])
def test_trial_files_of_killed_processes_go_when_they_are_old(inbox: Path, *, after: bool) -> None:
    enter(inbox).worker.leave()
    for step in range(60):  # kills a process at each of its first steps
        fault = crashing(step)
        disk = FaultyDisk(fault_after=fault) if after else FaultyDisk(fault)
        spool = Spool(inbox / ".impasto", inbox, disk)
        try:
            spool.worker.enter()
        except Crash:
            continue
        break
    left = [*inbox.glob(".impasto-*"), *(inbox / ".impasto").glob("probe-*")]
    assert left
    enter(inbox)
    assert all(path.exists() for path in left), "their processes may live"
    for path in left:
        age(path, LEASE_SECONDS + 10)
    enter(inbox)
    assert [*inbox.glob(".impasto-*"), *(inbox / ".impasto").glob("probe-*")] == []


def test_trial_files_of_workers_and_files_of_others_stay(inbox: Path, tmp_path: Path) -> None:
    one = enter(inbox)
    own, folder = inbox / f".impasto-alive-{one.worker.name}", inbox / ".impasto-probe-folder"
    link, victim = inbox / ".impasto-probe-link", tmp_path / "victim"
    victim.write_bytes(b"victim")
    own.touch()
    folder.mkdir()
    link.symlink_to(victim)
    for path in (own, folder, link):
        age(path, 10 * LEASE_SECONDS)
    enter(inbox)
    assert own.exists()
    assert folder.is_dir()
    assert not link.is_symlink()
    assert victim.read_bytes() == b"victim"


def test_a_folder_of_the_name_of_a_trial_file_keeps_nobody_from_taking_over(inbox: Path) -> None:
    (inbox / "a.jpg").write_bytes(b"a")
    dead, living = enter(inbox), enter(inbox)
    job = dead.claim("a.jpg")
    (inbox / f".impasto-alive-{dead.worker.name}").mkdir()
    assert dead.worker._lock is not None
    dead.worker._lock.release()
    living.worker.take_over(lambda _: None)
    assert [each.id for each in living.jobs()] == [job.id]
