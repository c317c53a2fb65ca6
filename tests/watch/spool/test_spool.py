"""Tests of the spool: claims, returns, and the takeover of jobs of dead workers."""

from __future__ import annotations

import errno
import os
import shutil
import time
import unicodedata
from typing import TYPE_CHECKING

import pytest

from pipeline.disk import move
from pipeline.errors import EvictedError, UsageError
from pipeline.watch.spool.records import NotClaimedError
from pipeline.watch.spool.spool import Spool
from pipeline.watch.spool.workers import LEASE_SECONDS
from tests.faults.disk import FaultyDisk, HastyDisk
from tests.faults.world import World, photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.disk import Disk
    from tests.faults.disk import Operation


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    (folder / "sea").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        (folder / "sea" / name).write_bytes(name.encode())
    return folder


def spool(inbox: Path, disk: Disk | None = None, *, shared: bool = False) -> Spool:
    made = Spool(inbox / ".impasto", inbox, disk or HastyDisk(), shared=shared)
    made.worker.enter()
    return made


def die(dead: Spool) -> None:
    """Free the lock of a worker, as the system does when its process dies."""
    assert dead.worker._lock is not None
    dead.worker._lock.release()


def age(folder: Path, seconds: float) -> None:
    """Set the age of a worker's heartbeat, in seconds."""
    then = time.time() - seconds
    os.utime(folder, (then, then))


def files(inbox: Path) -> set[str]:
    return {path.name for path in inbox.rglob("*.jpg")}


# Claims


def test_a_file_is_claimed_by_one_worker_only(inbox: Path) -> None:
    one, two = spool(inbox), spool(inbox)
    job = one.claim("sea/a.jpg")
    with pytest.raises(NotClaimedError) as error:
        two.claim("sea/a.jpg")
    assert not error.value.held
    assert (one.files(job), one.jobs(), two.jobs()) == (("sea/a.jpg",), [job], [])
    assert job.path("sea/a.jpg").read_bytes() == b"a.jpg"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES, errno.EXDEV, errno.ENAMETOOLONG, errno.EIO])
def test_a_file_that_cannot_be_moved_is_held_and_no_job_is_left(inbox: Path, number: int) -> None:
    disk = FaultyDisk()
    worker = spool(inbox, disk)
    disk.fault = lambda each, _: OSError(number, os.strerror(number)) if each.name == "rename" else None
    with pytest.raises(NotClaimedError, match=os.strerror(number)) as error:
        worker.claim("sea/a.jpg")
    assert error.value.held
    assert (worker.jobs(), files(inbox)) == ([], {"a.jpg", "b.jpg"})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_on_which_nothing_can_be_claimed_is_no_files_fault(inbox: Path, number: int) -> None:
    disk = FaultyDisk()
    worker = spool(inbox, disk)
    disk.fault = lambda each, _: OSError(number, os.strerror(number)) if each.name == "rename" else None
    with pytest.raises(OSError, match=os.strerror(number)):
        worker.claim("sea/a.jpg")
    assert files(inbox) == {"a.jpg", "b.jpg"}


def test_an_answer_to_a_claim_that_was_lost_on_the_network_is_no_loss(inbox: Path) -> None:
    disk = FaultyDisk()
    worker = spool(inbox, disk)
    disk.fault_after = lambda each, _: FileNotFoundError(errno.ENOENT, "") if each.name == "rename" else None
    job = worker.claim("sea/a.jpg")
    assert worker.files(job) == ("sea/a.jpg",)


def test_a_spool_on_another_file_system_is_refused(inbox: Path) -> None:
    disk = FaultyDisk(lambda each, _: OSError(errno.EXDEV, "cross-device") if each.name == "rename" else None)
    with pytest.raises(UsageError, match=r"watch\.spool = .*another file system") as error:
        spool(inbox, disk)
    assert "watch.spool" in error.value.remedy
    assert list(inbox.glob(".impasto-*")) == []


def test_a_worker_leaves_nothing_behind(inbox: Path) -> None:
    one = spool(inbox)
    assert {path.name for path in one.folder.iterdir()} == {"lock", "beat"}
    assert list(inbox.glob(".impasto-*")) == []
    one.worker.leave()
    assert list((one.root / "work").iterdir()) == []


def test_who_leaves_with_jobs_leaves_them_to_the_next(inbox: Path) -> None:
    one = spool(inbox)
    job = one.claim("sea/a.jpg")
    one.worker.leave()
    two = spool(inbox)
    two.worker.take_over(lambda _: None)
    assert [each.id for each in two.jobs()] == [job.id]


# People who exchange what is in the inbox


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder outside of the inbox, with a file of the name that is claimed."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"of the victim")
    return folder


def test_a_folder_that_became_a_link_leads_to_no_claim(inbox: Path, victim: Path) -> None:
    worker = spool(inbox)
    (inbox / "sea").rename(inbox / "before")
    (inbox / "sea").symlink_to(victim)
    with pytest.raises(NotClaimedError) as error:
        worker.claim("sea/a.jpg")
    assert not error.value.held
    assert (victim / "a.jpg").read_bytes() == b"of the victim"
    assert worker.jobs() == []


KINDS: dict[str, Callable[[Path], object]] = {
    "link": lambda path: path.symlink_to(path.parent.parent.parent / "victim/a.jpg"),
    "fifo": os.mkfifo,
    "folder": lambda path: (path / "inner").mkdir(parents=True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_taken", [False, True])
def test_what_replaces_a_file_just_before_its_claim_goes_back(
    inbox: Path, victim: Path, kind: str, *, is_taken: bool
) -> None:
    path, made = inbox / "sea/a.jpg", KINDS[kind]

    def replace(operation: Operation, _: int) -> None:
        if operation.name == "rename" and operation.path == path and not path.is_symlink():
            path.unlink()
            made(path)
        if operation.name == "lstat" and operation.path.name == "a.jpg" and is_taken and not os.path.lexists(path):
            path.write_bytes(b"new")

    worker = spool(inbox, FaultyDisk(replace, watched=("rename", "lstat")))
    with pytest.raises(NotClaimedError) as error:
        worker.claim("sea/a.jpg")
    assert not error.value.held
    assert worker.jobs() == []
    (back,) = inbox.glob("replaced-*") if is_taken else [path]
    assert back.is_symlink() or back.is_fifo() or (back / "inner").is_dir()
    if is_taken:
        assert path.read_bytes() == b"new"
    assert (victim / "a.jpg").read_bytes() == b"of the victim"


def test_a_file_whose_move_failed_without_an_answer_is_not_deleted(inbox: Path) -> None:
    disk = FaultyDisk()
    worker = spool(inbox, disk)
    disk.fault_after = lambda each, _: OSError(errno.EIO, "lost answer") if each.name == "rename" else None
    with pytest.raises(NotClaimedError):
        worker.claim("sea/a.jpg")
    assert files(inbox) == {"a.jpg", "b.jpg"}
    (job,) = worker.jobs()
    assert worker.files(job) == ("sea/a.jpg",)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_no_job_is_put_back_through_a_link(inbox: Path, victim: Path, kind: str) -> None:
    worker = spool(inbox)
    job = worker.claim("sea/a.jpg")
    (victim / "a.jpg").unlink()
    (inbox / "sea").rename(inbox / "before")
    if kind == "link":
        (inbox / "sea").symlink_to(victim)
    else:
        (inbox / "sea").touch()
    assert not worker.put_back(job)
    assert not worker.return_files(job)
    assert list(victim.iterdir()) == []
    (inbox / "sea").unlink()
    assert worker.put_back(job)
    assert (inbox / "sea/a.jpg").read_bytes() == b"a.jpg"


# Putting back


def test_a_job_goes_back_under_its_name(inbox: Path) -> None:
    worker = spool(inbox)
    job = worker.claim("sea/a.jpg")
    (inbox / "sea/b.jpg").unlink()
    (inbox / "sea").rmdir()
    assert worker.put_back(job)
    assert (inbox / "sea/a.jpg").read_bytes() == b"a.jpg"
    assert not job.folder.exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_has_the_name_by_now_is_not_replaced(inbox: Path, *, links: bool) -> None:
    fault = FaultyDisk.fault if links else lambda each, _: OSError(errno.EPERM, "") if each.name == "link" else None
    worker = spool(inbox, FaultyDisk(fault))
    job = worker.claim("sea/a.jpg")
    (inbox / "sea/a.jpg").write_bytes(b"newer")
    assert not worker.put_back(job)
    assert not worker.return_files(job)
    assert (inbox / "sea/a.jpg").read_bytes() == b"newer"
    assert job.path("sea/a.jpg").read_bytes() == b"a.jpg"
    (inbox / "sea/a.jpg").unlink()
    assert worker.put_back(job)


def test_a_ticket_goes_back_last(inbox: Path) -> None:
    (inbox / "job.csv").write_bytes(b"ticket")
    worker = spool(inbox)
    job = worker.claim("job.csv")
    for name in ("sea/a.jpg", "sea/b.jpg"):
        worker.add(job, name)
    (inbox / "sea/b.jpg").write_bytes(b"newer")
    assert not worker.put_back(job)
    assert worker.files(job) == ("job.csv", "sea/b.jpg")


def test_a_file_that_was_given_back_is_known_until_it_changes(inbox: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", {"watch": {"retire": "return"}})
    path = world.drop("sea/a.jpg")
    worker = world.worker().start()
    worker.work(12)
    tracker = worker.scanner._files.tracker
    facts = tracker.files["sea/a.jpg"].facts
    assert worker.spool.was_returned("sea/a.jpg", facts)
    assert not worker.spool.was_returned("sea/b.jpg", facts)
    os.utime(path, (1, 1))
    worker.step(1.0)
    assert not worker.spool.was_returned("sea/a.jpg", tracker.files["sea/a.jpg"].facts)
    worker.end()


def test_a_file_whose_folder_became_a_link_is_no_returned_one(inbox: Path, victim: Path) -> None:
    worker = spool(inbox)
    assert worker.return_files(worker.claim("sea/a.jpg"))
    assert worker.is_returned("sea/a.jpg")
    (inbox / "sea").rename(inbox / "before")
    (inbox / "sea").symlink_to(victim)
    assert not worker.is_returned("sea/a.jpg")


# Dead workers, known by their lock


def test_the_jobs_of_a_dead_worker_are_taken_over_and_those_of_a_living_one_are_not(inbox: Path) -> None:
    dead, living, third = spool(inbox), spool(inbox), spool(inbox)
    job, other = dead.claim("sea/a.jpg"), living.claim("sea/b.jpg")
    age(living.folder / "beat", 10 * LEASE_SECONDS)
    buried: list[str] = []
    third.worker.take_over(buried.append)
    assert (third.jobs(), buried) == ([], [])
    die(dead)
    third.worker.take_over(buried.append)
    assert ([each.id for each in third.jobs()], buried) == ([job.id], [dead.worker.name])
    assert third.files(third.jobs()[0]) == ("sea/a.jpg",)
    assert not dead.folder.exists()
    assert living.jobs() == [other]


def test_what_a_worker_that_died_at_its_birth_left_is_removed_when_it_is_old(inbox: Path) -> None:
    one = spool(inbox)
    early = one.root / "work/.stillborn"
    early.mkdir()
    (early / "lock").touch()
    one.worker.take_over(lambda _: None)
    assert early.exists(), "a worker that has just started may not hold its lock yet"
    age(early, LEASE_SECONDS + 10)
    one.worker.take_over(lambda _: None)
    assert not early.exists()


def test_a_running_watcher_finishes_what_a_dead_one_began(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    dead, living = world.worker().start(), world.worker().start()
    dead.spool.claim("sea/a.jpg")
    living.work(25)
    assert world.results() == {}
    dead.die()
    living.work(12)
    living.end()
    assert world.check_settled().keys() == {"a__sea.png"}


# Dead workers, known by their heartbeat


def test_on_a_network_a_worker_is_dead_when_its_beat_is_old(inbox: Path) -> None:
    one, two = spool(inbox, shared=True), spool(inbox, shared=True)
    job = one.claim("sea/a.jpg")
    age(one.folder / "beat", LEASE_SECONDS - 10)
    two.worker.take_over(lambda _: None)
    assert two.jobs() == []
    age(one.folder / "beat", LEASE_SECONDS + 10)
    one.worker.beat()
    two.worker.take_over(lambda _: None)
    assert two.jobs() == [], "the first worker is alive, since its heartbeat was renewed"
    age(one.folder / "beat", LEASE_SECONDS + 10)
    two.worker.take_over(lambda _: None)
    assert [each.id for each in two.jobs()] == [job.id]
    assert not one.holds(job)


@pytest.mark.parametrize("is_shared", [True, False])
def test_of_two_that_take_over_a_dead_worker_the_slower_goes_on(inbox: Path, *, is_shared: bool) -> None:
    one, two, three = (spool(inbox, shared=is_shared) for _ in range(3))
    job = one.claim("sea/a.jpg")
    age(one.folder / "beat", LEASE_SECONDS + 10)
    assert one.worker._lock is not None
    one.worker._lock.release()

    def overtake(worker: str) -> None:
        if worker == one.worker.name:
            move(HastyDisk(), job.folder, two.folder / job.id)
            shutil.rmtree(one.folder)

    three.worker.take_over(overtake)
    assert [each.id for each in two.jobs()] == [job.id]
    assert three.jobs() == []


def test_who_was_taken_for_dead_is_told(inbox: Path) -> None:
    one, two = spool(inbox, shared=True), spool(inbox, shared=True)
    age(one.folder / "beat", LEASE_SECONDS + 10)
    two.worker.take_over(lambda _: None)
    with pytest.raises(EvictedError, match="took this one for dead"):
        one.worker.beat()
    with pytest.raises(EvictedError, match="took this one for dead"):
        one.claim("sea/a.jpg")
    assert files(inbox) == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize("step", ["entries", "rename", "unlink", "rmdir"])
def test_what_is_claimed_while_its_worker_is_taken_for_dead_is_never_deleted(inbox: Path, step: str) -> None:
    one = spool(inbox, shared=True)
    one.claim("sea/a.jpg")
    claimed: list[str] = []

    def claim(operation: Operation, _: int) -> None:
        if operation.name == step and operation.path.is_relative_to(one.folder) and not claimed:
            claimed.append(one.claim("sea/b.jpg").id)

    two = spool(inbox, FaultyDisk(claim, watched=(step,)), shared=True)
    age(one.folder / "beat", LEASE_SECONDS + 10)
    two.worker.take_over(lambda _: None)
    assert claimed
    assert files(inbox) == {"a.jpg", "b.jpg"}
    if one.folder.exists():
        age(one.folder, LEASE_SECONDS + 10)
    two.worker.take_over(lambda _: None)
    assert {name for job in two.jobs() for name in two.files(job)} == {"sea/a.jpg", "sea/b.jpg"}


def test_on_a_network_a_watcher_that_was_taken_for_dead_ends_and_its_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.watch.service.is_shared", lambda _: True)
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    one, two = world.worker().start(), world.worker().start()
    one.spool.claim("sea/a.jpg")
    age(one.spool.folder / "beat", LEASE_SECONDS + 10)
    two.work(30)
    with pytest.raises(EvictedError):
        one.work(12)
    one.die()
    two.end()
    assert world.check_settled().keys() == {"a__sea.png"}


# Names


@pytest.mark.parametrize("retire", ["archive", "return"])
@pytest.mark.parametrize(
    "names",
    [
        ("a" * 251 + ".jpg",),
        ("ü" * 125 + ".jpg",),
        ("new\nline.jpg",),
        ("🎨.jpg",),
        (os.fsdecode(b"\xff\xfe.jpg"), os.fsdecode(b"\xff\xfd.jpg")),
        (unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg")),
        ("Twin.jpg", "twin.jpg"),
        ("a.JPG", "a.jpg", "a.png"),
        (" .jpg", "-rf.jpg", "con.jpg", "a\\b.jpg", "x:y.jpg"),
    ],
    ids=lambda names: ascii(names[0])[:12],
)
def test_files_are_claimed_done_and_retired_under_their_own_names(
    tmp_path: Path, names: tuple[str, ...], retire: str
) -> None:
    world = World(tmp_path / "world", {"watch": {"retire": retire}})
    wanted = {f"sea/{name}": photo(str(number)) for number, name in enumerate(names)}
    for name, data in wanted.items():
        world.drop(name, data)
    worker = world.worker().start()
    worker.work(20)
    balance = worker.end()
    assert (balance.done, len(world.check_settled())) == (len(names), len(names))
    kept = world.spooled("done") if retire == "archive" else world.waiting()
    assert kept == wanted.keys()
    if retire == "return":
        assert {name: (world.inbox / name).read_bytes() for name in kept} == wanted
