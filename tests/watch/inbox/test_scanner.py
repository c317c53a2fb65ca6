"""Tests of the scanner of the inbox: styles, files that are no photographs, errors of the disk, and events."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.inbox.walk import MAX_DEPTH
from tests.faults.disk import FaultyDisk
from tests.faults.world import photo
from tests.watch.inbox.conftest import work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.disk import Operation
    from tests.faults.world import Worker, World


def left(worker: Worker) -> dict[str, str]:
    """Return the reasons for which files are left in the inbox, by name."""
    return worker.scanner.left


def failing_at(name: str, number: int, operation: str = "rename") -> FaultyDisk:
    """Return a disk on which an operation always fails on a file or folder of the inbox."""

    def fault(each: Operation, _: int) -> OSError | None:
        fails = each.path.name == name and ".impasto" not in each.path.parts
        return OSError(number, os.strerror(number), str(each.path)) if fails else None

    return FaultyDisk(fault, watched=(operation,))


# Styles


def test_an_unknown_style_is_reported_once_and_left(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.drop("sky/a.jpg")
    worker = work(world, 60)
    assert world.waiting() == {"sky/a.jpg"}
    assert "asks for the style 'sky'" in left(worker)["sky/a.jpg"]
    assert worker.watcher.status_file.status()["left"] == left(worker)
    assert len([line for line in caplog.messages if line.startswith("sky/a.jpg")]) == 1
    worker.end()


@pytest.mark.parametrize("style", ["styles/sky.png", "styles/SKY.webp", "inbox/sky/_style.jpg", "inbox/sky/_style.png"])
def test_a_photograph_is_taken_when_its_style_comes(world: World, style: str) -> None:
    world.drop("sky/a.jpg")
    worker = work(world)
    (world.root / style).write_bytes(b"the sky")
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"a__sky.png"}
    assert left(worker) == {}
    assert (world.root / style).exists(), "the style stays where it is"


def test_photographs_whose_style_has_come_are_not_left_while_they_wait_for_room(world: World) -> None:
    world.settings["watch"] = {"prefetch": 1}
    for number in range(3):
        world.drop(f"sky/{number}.jpg")
    worker = work(world)
    assert len(left(worker)) == 3
    (world.styles / "sky.png").write_bytes(b"the sky")
    worker.watcher.scan_thread.scan()
    world.clock.seconds += 12  # type: ignore[attr-defined]
    worker.watcher.scan_thread.scan()
    assert (world.spooled("work"), left(worker)) == ({"sky/0.jpg"}, {})
    assert worker.watcher.status_file.status()["unclaimed"] == 2
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 3


def test_a_style_in_the_inbox_comes_before_the_one_in_the_library(world: World) -> None:
    world.drop("sea/_style.png", b"another sea")
    world.drop("sea/a.jpg")
    work(world).end()
    assert world.results()["a__sea.png"].pair.style.path == "_style.png"


def test_a_style_in_the_inbox_serves_only_while_it_is_there(world: World) -> None:
    style = world.drop("sky/_style.png", b"the sky")
    worker = work(world)
    style.unlink()
    worker.step(1.0)
    world.drop("sky/a.jpg")
    worker.work(12)
    assert left(worker).keys() == {"sky/a.jpg"}
    worker.end()


@pytest.mark.parametrize("first", ["_style.jpg", "_style.png"])
def test_a_style_in_the_inbox_may_be_replaced_by_one_of_another_format(world: World, first: str) -> None:
    second = {"_style.jpg": "_style.png", "_style.png": "_Style.jpg"}[first]
    old = world.drop(f"sky/{first}", b"old")
    worker = work(world, 5)
    world.drop(f"sky/{second}", b"new")
    worker.work(5)
    old.unlink()
    world.drop("sky/a.jpg")
    worker.work(12)
    worker.end()
    assert world.check_settled()["a__sky.png"].pair.style.sha256 == hashlib.sha256(b"new").hexdigest()


def test_a_style_in_the_inbox_that_a_ticket_takes_is_a_style_no_longer(world: World) -> None:
    world.drop("sea/_style.jpg", b"another sea")
    worker = work(world, 5)
    world.drop("t.csv", b"content,style\nx.jpg,sea/_style.jpg\n")
    world.drop("x.jpg")
    worker.work(12)
    world.drop("sea/a.jpg")
    worker.work(12)
    worker.end()
    results = world.check_settled()
    assert results["a__sea.png"].pair.style.sha256 == hashlib.sha256(b"the sea").hexdigest()
    assert len(results) == 2


@pytest.mark.parametrize(("default", "taken"), [("sea", True), ("sky", False), ("", False)])
def test_photographs_at_the_top_have_the_default_style(world: World, default: str, *, taken: bool) -> None:
    world.settings["styles"] = {"default": default}
    world.drop("a.jpg")
    worker = work(world)
    assert world.results().keys() == ({"a__sea.png"} if taken else set())
    assert left(worker).keys() == (set() if taken else {"a.jpg"})
    worker.end()


def test_a_style_that_becomes_a_link_and_goes_is_used_no_more(world: World) -> None:
    style = world.drop("sea/_style.png", b"another sea")
    worker = work(world)
    style.unlink()
    style.symlink_to(world.styles / "sea.png")
    worker.work(5)
    style.unlink()
    world.drop("sea/a.jpg")
    worker.work(12)
    assert world.results()["a__sea.png"].pair.style.path == "sea.png"
    worker.end()


# Folders one in another


@pytest.mark.parametrize("hinted", [False, True])
def test_folders_are_read_only_to_a_depth_and_deeper_ones_reported_once(
    world: World, caplog: pytest.LogCaptureFixture, *, hinted: bool
) -> None:
    deepest = "/".join(["sea", *["d"] * (MAX_DEPTH - 1)])
    world.drop(f"{deepest}/a.jpg")
    too_deep = world.drop(f"{deepest}/d/b.jpg")
    worker = world.worker()
    hints = worker.with_hints() if hinted else None
    worker.start()
    for _ in range(30):
        if hints:
            hints.hint.paths.add(too_deep)
        worker.step(1.0)
    assert world.results().keys() == {f"{deepest.removeprefix('sea/')}/a__sea.png"}
    assert left(worker) == {f"{deepest}/d/": f"cannot be read: folders are read only {MAX_DEPTH} deep"}
    assert len([line for line in caplog.messages if f"{MAX_DEPTH} deep" in line]) == 1
    worker.end()
    assert too_deep.exists()


def test_a_thousand_folders_end_no_watcher(world: World, nest_folders: Callable[[Path, int], None]) -> None:
    world.drop("sea/a.jpg")
    nest_folders(world.inbox / "sea", 3000)
    worker = work(world)
    assert world.results().keys() == {"a__sea.png"}
    worker.end()


# Entries that are no photographs


@pytest.mark.parametrize(
    "name",
    [
        "sea/a.jpg.part", "sea/.a.jpg", "sea/~a.jpg", "sea/a.jpg~", "sea/a.crdownload", "sea/Thumbs.db", "sea/._a.jpg",
        ".stfolder/sea/a.jpg", "sea/@eaDir/a.jpg", "__MACOSX/sea/a.jpg", ".nfs000001", ".job.csv", "job.csv.tmp",
    ],
)  # fmt: skip
def test_ignored_names_are_never_touched(world: World, name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = world.drop(name)
    before = path.stat()
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    hints.hint.paths.add(path)
    worker.work(70)
    balance = worker.end()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (left(worker), balance.seen, world.spooled("done")) == ({}, 0, set())
    assert not [line for line in caplog.messages if os.path.basename(name) in line]  # noqa: PTH119


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sea/notes.txt", "no picture of image.formats"),
        ("sea/job.csv", "no manifest (.csv, .jsonl, .ndjson) at the top"),
        ("IMG_1.jpg.json", "no manifest (.csv, .jsonl, .ndjson) at the top"),
        ("sea/empty.jpg", "empty"),
    ],
)
def test_what_is_left_is_explained(world: World, name: str, words: str) -> None:
    world.drop(name, b"" if "empty" in name else b"text")
    worker = work(world)
    assert words in left(worker)[name]
    (world.inbox / name).unlink()
    worker.step(1.0)
    assert left(worker) == {}
    worker.end()


def test_thousands_of_files_that_are_left_for_one_reason_are_a_few_lines_of_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        world.drop(f"IMG_{number}.jpg.json", b"{}")
    world.drop("sky/a.jpg")
    worker = work(world)
    worker.end()
    assert len(left(worker)) == 51
    assert len([message for message in caplog.messages if "IMG_" in message]) == 10
    assert len([message for message in caplog.messages if "counted in status.json" in message]) == 1
    assert any("sky" in message for message in caplog.messages), "another reason is logged"


def make_socket(path: Path) -> None:
    os.mknod(path, 0o600 | stat.S_IFSOCK)


def make_link(path: Path) -> None:
    target = path.parents[2] / "outside.jpg"
    target.write_bytes(photo("outside"))
    path.symlink_to(target)


def make_link_to_folder(path: Path) -> None:
    outside = path.parents[2] / "outside"
    outside.mkdir()
    (outside / "b.jpg").write_bytes(photo("outside"))
    path.symlink_to(outside)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, make_link, make_link_to_folder])
@pytest.mark.parametrize("hinted", [False, True])
def test_only_regular_files_are_taken(world: World, make: Callable[[Path], None], *, hinted: bool) -> None:
    world.drop("sea/a.jpg")
    path = world.inbox / "sea/x.jpg"
    make(path)
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    if hinted:
        hints.hint.paths.add(path)
    worker.work(12)
    worker.end()
    assert left(worker) == {"sea/x.jpg": "is no regular file"}
    assert world.check_settled().keys() == {"a__sea.png"}


@pytest.mark.parametrize("hinted", [False, True])
def test_a_folder_with_a_pictures_name_is_looked_into(world: World, *, hinted: bool) -> None:
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    world.drop("sea/x.jpg/a.jpg")
    hints.hint.paths = {world.inbox / "sea/x.jpg"} if hinted else set()
    hints.hint.look_everywhere = not hinted
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"x.jpg/a__sea.png"}


# Errors of the disk


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENAMETOOLONG, errno.EIO, errno.EBUSY, errno.EACCES, errno.EPERM])
def test_a_file_that_cannot_be_claimed_is_left_and_others_are_taken(world: World, number: int) -> None:
    world.drop("sea/a.jpg")
    world.drop("sea/b.jpg")
    disk = failing_at("a.jpg", number)
    worker = world.worker(disk).start()
    worker.work(30)
    assert world.results().keys() == {"b__sea.png"}
    assert os.strerror(number) in left(worker)["sea/a.jpg"]
    assert "paused" not in worker.watcher.status_file.status()["state"]
    disk.fault = FaultyDisk.fault
    worker.work(40)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png", "b__sea.png"}


@pytest.mark.parametrize(("name", "operation"), [("sky", "statuses"), ("a.jpg", "lstat")])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_what_cannot_be_looked_at_does_not_stop_others(
    world: World, name: str, operation: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    (world.styles / "sky.png").write_bytes(b"the sky")
    world.drop("sky/a.jpg")
    world.drop("sea/b.jpg")
    disk = failing_at(name, number, operation)
    worker = world.worker(disk).start()
    worker.work(30)
    assert world.results().keys() == {"b__sea.png"}
    (why,) = left(worker).values()
    assert why.startswith(f"cannot be read: {os.strerror(number)}; ")
    assert len([line for line in caplog.messages if line.startswith("sky/")]) == 1
    disk.fault = FaultyDisk.fault
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"a__sky.png", "b__sea.png"}
    assert left(worker) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_without_permission_does_not_stop_others(world: World) -> None:
    world.drop("sky/a.jpg")
    world.drop("sea/b.jpg")
    (world.inbox / "sky").chmod(0)
    worker = work(world)
    (world.inbox / "sky").chmod(0o700)
    assert world.results().keys() == {"b__sea.png"}
    assert left(worker)["sky/"].startswith("cannot be read: Permission denied; correct")
    worker.end()


def test_an_inbox_that_is_gone_pauses_until_it_is_back(world: World) -> None:
    world.settings["watch"]["spool"] = str(world.root / "spool")
    worker = work(world, 3)
    away = world.root / "away"
    world.inbox.rename(away)
    worker.work(30)
    assert worker.watcher.status_file.status()["state"] == "paused"
    away.rename(world.inbox)
    world.drop("sea/a.jpg")
    worker.work(70)
    worker.end()
    assert world.results().keys() == {"a__sea.png"}


# Events


@pytest.mark.parametrize("how", ["hint", "signal", "rescan"])
def test_files_whose_events_were_lost_are_found_by_a_look_at_everything(world: World, how: str) -> None:
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    world.drop("sea/a.jpg")
    worker.work(20)
    assert worker.accounting.seen == 0, "no event has announced the file yet"
    if how == "hint":
        hints.hint.look_everywhere = True
    elif how == "signal":
        worker.stop.rescan = True
    worker.work(60 if how == "rescan" else 5)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}
    assert worker.watcher.status_file.status()["mode"] == "events"


def test_a_hint_is_enough(world: World) -> None:
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    hints.hint.paths = {world.drop("sea/a.jpg"), world.inbox / "gone.jpg", world.root / "elsewhere.jpg"}
    worker.work(5)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_closed_file_that_ends_well_settles_sooner(world: World) -> None:
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    whole = b"\xff\xd8\xff\xda\0\2" + b"." * 50 + b"\xff\xd9"
    hints.hint.paths = {world.drop("sea/a.jpg", whole), world.drop("sea/b.jpg", whole[:-2])}
    worker.step()
    worker.step(0.6)
    assert world.spooled("done") == {"sea/a.jpg"}
    assert world.waiting() == {"sea/b.jpg"}
    worker.end()


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("is_alive", lambda: False, "threads that deliver events have ended"),
        ("take", None, "events no longer arrive"),
        ("start", None, "No space left on device"),
        ("watch", None, "No space left on device"),
    ],
)
def test_without_events_the_inbox_is_polled(
    world: World, monkeypatch: pytest.MonkeyPatch, attribute: str, value: Callable[[], bool] | None, words: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    worker = world.worker()
    hints = worker.with_hints()
    if attribute == "take":
        hints.is_deaf = True
    else:
        monkeypatch.setattr(hints, attribute, value or fail)
    worker.start()
    worker.work(36)
    status = worker.watcher.status_file.status()
    assert status["mode"] == "polling"
    assert words in str(status["degraded"])
    world.drop("sea/a.jpg")
    worker.work(5)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}
    assert list(world.inbox.glob(".impasto-*")) == [], "no probe file is left"


def test_events_are_tried_again_and_relied_on_when_they_come(world: World, caplog: pytest.LogCaptureFixture) -> None:
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    hints.is_deaf = True
    worker.work(120)
    hints.is_deaf = False
    worker.work(300)
    status = worker.watcher.status_file.status()
    assert (status["mode"], status["degraded"]) == ("events", "")
    world.drop("sea/a.jpg")
    hints.hint.paths.add(world.inbox / "sea/a.jpg")
    worker.work(5)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}
    assert len([message for message in caplog.messages if "events no longer arrive" in message]) == 1


def test_events_that_never_come_are_tried_ever_more_rarely(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[float] = []

    def start() -> None:
        starts.append(world.clock())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    worker = world.worker()
    monkeypatch.setattr(worker.with_hints(), "start", start)
    worker.start()
    for _ in range(4 * 360):
        worker.step(10)
    worker.end()
    waits = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_events_that_come_are_relied_on(world: World) -> None:
    worker = world.worker()
    worker.with_hints()
    worker.start()
    worker.work(300)
    assert worker.watcher.status_file.status()["mode"] == "events"
    worker.end()
    assert list(world.inbox.glob(".impasto-*")) == []


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_library_without_paintings_is_told_at_once(
    world: World, caplog: pytest.LogCaptureFixture, *, is_empty: bool
) -> None:
    for path in world.styles.iterdir() if is_empty else ():
        path.unlink()
    worker = world.worker().start()
    worker.end()
    assert any("styles.folder has no paintings" in message for message in caplog.messages) is is_empty


@pytest.mark.parametrize(("default", "told"), [("sae", 1), ("sea", 0), ("", 0)])
def test_a_default_style_that_is_not_there_is_told_at_once(
    world: World, caplog: pytest.LogCaptureFixture, default: str, told: int
) -> None:
    world.settings["styles"] = {"default": default}
    worker = world.worker().start()
    worker.end()
    assert len([message for message in caplog.messages if message.startswith("styles.default = sae")]) == told
