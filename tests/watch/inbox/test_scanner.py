from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import UnreadableError
from pipeline.outbox.metadata import JobFailure
from tests.faults.disk import FaultyDisk
from tests.faults.world import World, photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.disk import Operation
    from tests.faults.world import Worker


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world", {"watch": {"ticket_seconds": 100.0}})


def work(world: World, seconds: float = 12) -> Worker:
    worker = world.worker().start()
    worker.work(seconds)
    return worker


def left(worker: Worker) -> dict[str, str]:
    return worker.scanner.left


def reason(world: World) -> JobFailure:
    (path,) = (world.inbox / ".impasto/failed").glob("*/reason.json")
    return JobFailure.model_validate_json(path.read_bytes())


def ticket(world: World, text: str = "content,style\nb.png,sea\nc.png,sea\n", name: str = "job.csv") -> None:
    world.drop(name, text.encode())


def failing_at(name: str, number: int, operation: str = "rename") -> FaultyDisk:
    """A disk on which an operation never succeeds with a file or folder of the inbox."""

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
    assert (world.root / style).exists(), "it stays"


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


@pytest.mark.parametrize(("default", "taken"), [("sea", True), ("sky", False), ("", False)])
def test_photographs_at_the_top_have_the_default_style(world: World, default: str, *, taken: bool) -> None:
    world.settings["styles"] = {"default": default}
    world.drop("a.jpg")
    worker = work(world)
    assert world.results().keys() == ({"a__sea.png"} if taken else set())
    assert left(worker).keys() == (set() if taken else {"a.jpg"})
    worker.end()


# Things that are no photographs


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
        ("sea/notes.txt", "no picture that can be read"),
        ("sea/job.csv", "no manifest at the top"),
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
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png", "b__sea.png"}


@pytest.mark.parametrize(("name", "operation"), [("sky", "entries"), ("a.jpg", "lstat")])
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
    assert why == f"cannot be read: {os.strerror(number)}"
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
    assert left(worker) == {"sky/": "cannot be read: Permission denied"}
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


# Tickets


def test_a_ticket_waits_for_its_files_which_are_not_taken_as_photographs(world: World) -> None:
    world.settings["styles"] = {"default": "sea"}
    world.drop("sub/c.png")
    ticket(world, "content,style,output\nb.png,sea,one\nsub/c.png,sea,two\n")
    worker = work(world)
    assert worker.watcher.status_file.status()["waiting_tickets"] == {"job.csv": ["b.png"]}
    assert world.spooled("work") == {"job.csv"}
    world.drop("b.png", photo("b")[:-4])
    worker.work(1)
    with (world.inbox / "b.png").open("ab") as file:
        file.write(photo("b")[-4:])
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"one.png", "two.png"}
    assert worker.stage.premature == 0


def test_files_that_were_there_before_their_ticket_wait_for_it_once_it_is_known(world: World) -> None:
    """Other photographs at the top go on meanwhile."""
    world.settings["styles"] = {"default": "sea"}
    for name in ("b.png", "c.png", "other.png"):
        world.drop(name)
    ticket(world)
    work(world).end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png", "other__sea.png"}
    (folder,) = (world.inbox / ".impasto/done").glob("*/*/in/job.csv")
    assert {path.name for path in folder.parent.iterdir()} == {"job.csv", "b.png", "c.png"}


@pytest.mark.parametrize(
    ("style", "file"),
    [("sky", "styles/sky.png"), ("sky", "inbox/sky/_style.jpg"), ("painting.png", "inbox/painting.png")],
)
def test_a_ticket_waits_for_its_style(world: World, style: str, file: str) -> None:
    world.drop("b.png")
    ticket(world, f"content,style\nb.png,{style}\n")
    worker = work(world)
    assert worker.outcomes == []
    path = world.root / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(photo("the sky"))
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 1


@pytest.mark.parametrize(("rows", "words"), [("b.png,sea\nc.png,sea\n", "c.png"), ("b.png,sky\n", "the style sky")])
def test_a_ticket_that_waits_in_vain_fails_alone(world: World, rows: str, words: str) -> None:
    world.drop("b.png")
    ticket(world, f"content,style\n{rows}")
    worker = work(world, 95)
    assert world.spooled("failed") == set()
    worker.work(20)
    worker.end()
    assert world.spooled("failed") == {"job.csv"}
    assert world.waiting() == {"b.png"}
    assert f"waited 100 s in vain for {words}" in reason(world).reason
    assert "Put what is missing" in reason(world).remedy


def test_a_ticket_that_failed_may_be_dropped_again(world: World) -> None:
    ticket(world)
    worker = work(world, 110)
    assert world.spooled("failed") == {"job.csv"}
    ticket(world)
    world.drop("b.png")
    world.drop("c.png")
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("job.csv", "content,style\n/etc/a.jpg,sea\n", "outside of the inbox"),
        ("job.csv", "content,style\n../a.jpg,sea\n", "outside of the inbox"),
        ("job.csv", "content,style\nx/../../a.jpg,sea\n", "outside of the inbox"),
        ("job.csv", "content,style\nb.png,../../a.jpg\n", "outside of the inbox"),
        ("job.csv", "content,style\n.hidden/a.jpg,sea\n", "is hidden"),
        ("job.csv", "content,style\n.impasto/a.jpg,sea\n", "is hidden"),
        ("job.csv", "content,style\n*.txt,sea\n", "named one by one"),
        ("job.csv", "content,style\nfolder,sea\n", "named one by one"),
        ("job.csv", "content,style\nnotes.txt,sea\n", "is no picture"),
        ("job.csv", "content,style,image.size\nb.png,sea,-1\n", "image.size"),
        ("job.csv", "content\nb.png\n", "no column 'style'"),
        ("job.csv", "content,style\n", "lists no pairs"),
        ("job.csv", "content,style\nb.png\0,sea\n", "NUL"),
        ("job.json", "[" * 100_000, "not JSON"),
        ("job.json", '{"content": ' + "1" * 5000 + ', "style": "sea"}', "not JSON"),
        ("job.ndjson", '{"content": "b.png"}', "no style"),
        ("job.jsonl", "[]", "not a JSON object"),
        ("job.jsonl", '{"content": ["b.png"], "style": "sea"}', "should be text"),
    ],
)  # fmt: skip
def test_an_invalid_ticket_fails_and_says_why(world: World, name: str, text: str, words: str) -> None:
    world.drop("sea/a.jpg")
    ticket(world, text, name)
    worker = work(world)
    worker.end()
    assert world.spooled("failed") == {name}
    assert words in reason(world).reason
    assert reason(world).error_class == "input"
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_ticket_that_names_what_cannot_come_only_times_out(world: World) -> None:
    ticket(world, '{"content": "\\ud800.jpg", "style": "sea"}', "job.json")
    work(world, 110).end()
    assert world.spooled("failed") == {"job.json"}
    assert "waited 100 s in vain" in reason(world).reason


def test_a_ticket_that_cannot_be_read_for_a_moment_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket(world)
    world.drop("b.png")
    world.drop("c.png")

    def read(*_: object) -> None:
        raise UnreadableError("job.csv: cannot be read: Input/output error.")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.watch.jobs.job_pairs.requirements_of_ticket", read)
        worker = work(world, 20)
    assert world.spooled("work") == {"job.csv"}
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 2


@pytest.mark.parametrize("dies", [True, False])
def test_a_ticket_that_was_interrupted_half_way_is_finished_by_the_next_process(world: World, *, dies: bool) -> None:
    ticket(world)
    world.drop("b.png")
    world.drop("c.png")

    def fault(operation: Operation) -> OSError | None:
        return OSError(errno.EBUSY, "Device busy") if operation.path == world.inbox / "c.png" else None

    worker = world.worker(FaultyDisk(lambda operation, _: fault(operation)))
    worker.start()
    worker.work(12)
    assert world.spooled("work") == {"job.csv", "b.png"}
    if dies:
        worker.die()
    else:
        worker.end()
        assert world.waiting() == {"job.csv", "b.png", "c.png"}
    work(world).end()
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png"}
    assert world.spooled("done") == {"job.csv", "b.png", "c.png"}


def test_two_tickets_may_not_share_a_file_and_the_second_waits_for_another(world: World) -> None:
    for name in ("one.csv", "two.csv"):
        ticket(world, "content,style\nb.png,sea\n", name)
    world.drop("b.png", photo("first"))
    worker = work(world)
    assert len(world.results()) == 1
    world.drop("b.png", photo("second"))
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == 2
    assert world.spooled("done") == {"one.csv", "two.csv", "b.png"}


# Hints


@pytest.mark.parametrize("how", ["hint", "signal", "rescan"])
def test_files_whose_events_were_lost_are_found_by_a_look_at_everything(world: World, how: str) -> None:
    worker = world.worker()
    hints = worker.with_hints()
    worker.start()
    world.drop("sea/a.jpg")
    worker.work(20)
    assert worker.accounting.seen == 0, "nothing told"
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
        ("is_alive", lambda: False, "threads that bring events have ended"),
        ("take", None, "events do not come any more"),
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
    assert list(world.inbox.glob(".impasto-*")) == [], "no sign of life is left"


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
