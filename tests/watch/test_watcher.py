"""Tests of the watcher: errors of the machine, claiming ahead, stopping, draining, and status."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import DeviceError, ExitCode, ImpastoError, IncompleteError, StorageError, UnreadableError
from pipeline.stage.task import Outcome
from pipeline.watch import scan_thread
from pipeline.watch import watcher as watcher_module
from pipeline.watch.backoff import Backoff
from tests.faults.disk import Crash, FaultyDisk, HastyDisk, changed
from tests.faults.world import Clock, World, balance_of, die_over, load_ahead, photo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Task
    from tests.faults.disk import Operation
    from tests.faults.world import Worker

FAST = {"settle_seconds": 0.05, "poll_seconds": 0.1}
STRANGE = os.fsdecode(b"\xff\n")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world with a clock that tests set."""
    return World(tmp_path / "world", {"watch": {"prefetch": 2}})


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world for whole runs with their threads: with a real clock, and with short waits."""
    for module in (scan_thread, watcher_module):
        monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.02)
    return World(tmp_path / "world", {"watch": dict(FAST)}, clock=time.monotonic)


def error(number: int, path: Path) -> OSError:
    """Return the OSError of an errno at a path."""
    return OSError(number, os.strerror(number), str(path))


def drain(world: World, disk: FaultyDisk | None = None, on_render: Callable[[Task], None] = lambda _: None) -> Any:
    """Drain an inbox; return the summary, and check that every file is accounted for."""
    worker = world.worker(disk, drain=True)
    worker.stage.on_render = on_render
    prepare_all(worker)
    summary: Summary = worker.watcher.run(lambda: worker.stage)
    assert balance_of(summary).is_even
    return summary


def prepare_all(worker: Worker) -> None:
    """Let the stage load all tasks that are ready before the device begins."""
    process = worker.stage.process

    def batches(tasks: Iterable[Task | None]) -> Generator[Outcome]:
        batch: list[Task] = []
        for task in tasks:
            if task is not None:
                batch.append(task)
                continue
            yield from process(batch)
            batch = []
        yield from process(batch)

    worker.stage.process = batches


def claim(world: World, worker: Worker) -> None:
    """Let files settle, and let the worker claim them without beginning them."""
    worker.watcher.scan_thread.scan()
    world.clock.seconds += 2.5
    worker.watcher.scan_thread.scan()


def evaluating(worker: Worker, on_evaluation: Callable[[], None]) -> None:
    """Let the stage show the watcher three evaluations of each pair, at which a stop can end it."""

    def process(tasks: Iterable[Task | None]) -> Generator[Outcome]:
        for task in filter(None, tasks):
            worker.watcher.listener.pair_started(task.pair)
            for _ in range(3):
                on_evaluation()
                worker.watcher.listener.evaluated(task.pair, None)
            yield Outcome(task, worker.stage._render(task))

    worker.stage.process = process


# Errors of the machine


def test_a_photograph_that_cannot_be_read_is_tried_again_and_does_not_block_others(world: World) -> None:
    for number in range(2):
        world.drop(f"sea/bad{number}.jpg")
    worker = world.worker().start()

    def render(task: Task) -> None:
        if task.pair.content.name.startswith("bad"):
            raise UnreadableError("bad.jpg: cannot be read: Input/output error.")

    worker.stage.on_render = render
    worker.work(10)
    status = worker.watcher.status_file.status()
    assert (status["state"], status["reason"]) == ("paused", "bad.jpg: cannot be read: Input/output error.")
    world.drop("sea/good.jpg")
    worker.work(600)
    assert world.results().keys() == {"good__sea.png"}
    assert world.spooled("failed") == set()
    worker.stage.on_render = lambda _: None
    worker.work(300)
    assert worker.watcher.status_file.status()["state"] == "running"
    worker.end()
    assert len(world.check_settled()) == 3


def test_an_error_while_a_photograph_is_hashed_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        raise UnreadableError(f"{path.name}: cannot be read: Input/output error.")

    world.drop("sea/a.jpg")
    worker = world.worker().start()
    monkeypatch.setattr("pipeline.watch.jobs.job_pairs.read_file", read)

    def render(task: Task) -> None:
        read(task.pair.content)

    worker.stage.on_render = render
    worker.work(30)
    assert "a.jpg: cannot be read" in worker.watcher.status_file.status()["reason"]
    monkeypatch.undo()
    worker.stage.on_render = lambda _: None
    worker.work(130)
    worker.end()
    assert world.check_settled()["a__sea.png"].attempt == 1


@pytest.mark.parametrize("where", ["outbox", "inbox"])
def test_a_full_disk_pauses_and_work_goes_on_when_there_is_room(world: World, where: str) -> None:
    def full(operation: Operation, _: int) -> OSError | None:
        return error(errno.ENOSPC, operation.path) if operation.path.is_relative_to(world.root / where) else None

    world.drop("sea/a.jpg")
    disk = FaultyDisk(watched=("mkdir", "write", "rename"))
    worker = world.worker(disk).start()
    disk.fault = full
    worker.work(300)
    status = worker.watcher.status_file.status()
    assert status["state"] == "paused"
    assert "No space left on device" in status["reason"]
    tried = len(disk.log)
    worker.work(60)
    attempts = [each for each in disk.log[tried:] if each.path.stem != "status"]
    assert len(attempts) <= 12, "the waits between attempts have grown to a minute"
    disk.fault = FaultyDisk.fault
    worker.work(75)
    assert worker.watcher.status_file.status()["state"] == "running"
    worker.end()
    assert world.check_settled()["a__sea.png"].attempt == 1


def test_a_device_that_fails_ends_the_process_and_loses_nothing(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()

    def render(_: Task) -> None:
        raise DeviceError("cuda:0 failed.")

    worker.stage.on_render = render
    with pytest.raises(DeviceError):
        worker.work(5)
    worker.end()
    assert world.waiting() == {"sea/a.jpg"}


def test_a_defect_of_ours_fails_one_photograph(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("sea/a.jpg")
    world.drop("sea/b.jpg")
    worker = world.worker().start()
    jobs = worker.watcher._jobs
    find = jobs._find_pairs

    def find_pairs(opened: Any, files: tuple[str, ...]) -> Any:
        if files == ("sea/a.jpg",):
            raise ZeroDivisionError
        return find(opened, files)

    monkeypatch.setattr(jobs, "_find_pairs", find_pairs)
    worker.work(10)
    worker.end()
    assert world.spooled("failed") == {"sea/a.jpg"}
    assert world.check_settled().keys() == {"b__sea.png"}


def test_pauses_grow_and_end_with_the_first_success(caplog: pytest.LogCaptureFixture) -> None:
    pause = Backoff()
    assert [pause.begin("disk full", 0.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert (pause.lasts(59.9), pause.lasts(60.0)) == (True, False)
    assert caplog.messages == ["Paused: disk full"]
    pause.end()
    assert (pause.reason, pause.lasts(0.0), pause.begin("again", 0.0)) == ("", False, 0.5)


# Claiming ahead


def test_not_more_than_prefetch_photographs_are_claimed_ahead(world: World) -> None:
    for number in range(5):
        world.drop(f"sea/{number}.jpg")
    worker = world.worker().start()
    claim(world, worker)
    worker.watcher.scan_thread.scan()
    assert world.spooled("work") == {"sea/0.jpg", "sea/1.jpg"}
    assert worker.watcher.status_file.status()["claimed"] == 2
    worker.watcher.feeder.render(worker.stage)
    assert len(world.results()) == 2
    worker.watcher.scan_thread.scan()
    assert world.spooled("work") == {"sea/2.jpg", "sea/3.jpg"}
    worker.end()


def test_photographs_that_wait_do_not_use_up_what_may_be_claimed(world: World) -> None:
    world.settings["watch"]["incomplete_seconds"] = 3600.0
    for number in range(4):
        world.drop(f"sea/half{number}.jpg", b"half")
    worker = world.worker().start()
    worker.work(10)
    assert len(world.spooled("work")) == 4
    world.drop("sea/good.jpg")
    worker.work(4)
    assert world.results().keys() == {"good__sea.png"}
    worker.end()


def test_photographs_that_wait_are_claimed_within_limits(world: World) -> None:
    world.settings["watch"]["incomplete_seconds"] = 3600.0
    for number in range(50):
        world.drop(f"sea/half{number}.jpg", b"half")
    worker = world.worker().start()
    worker.work(100)
    assert len(world.spooled("work")) == 32
    worker.end()
    assert len(world.waiting()) == 50


def test_photographs_that_cannot_be_read_do_not_use_up_the_limit(world: World) -> None:
    world.settings["watch"]["prefetch"] = 1
    for number in range(20):
        world.drop(f"sea/bad{number:02}.jpg")
    worker = world.worker().start()

    def render(task: Task) -> None:
        if task.pair.content.name.startswith("bad"):
            raise UnreadableError("cannot be read: Input/output error.")

    worker.stage.on_render = render
    worker.work(20)
    world.drop("sea/good.jpg")
    for _ in range(150):
        worker.step(20)
    worker.end()
    assert world.results().keys() == {"good__sea.png"}


def test_nothing_is_claimed_while_the_stage_pauses(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()

    def render(_: Task) -> None:
        raise UnreadableError("a.jpg: cannot be read.")

    worker.stage.on_render = render
    worker.work(40)
    world.drop("sea/b.jpg")
    worker.work(2)
    worker.watcher._backoff.begin("the disk", world.clock())
    worker.work(10)
    assert world.waiting() == {"sea/b.jpg"}
    worker.end()


# Stopping


def test_after_a_stop_nothing_is_claimed_and_what_was_not_begun_goes_back(world: World) -> None:
    for number in range(5):
        world.drop(f"sea/{number}.jpg")
    world.drop("job.csv", b"content,style\nb.png,sea\nc.png,sea\n")
    world.drop("b.png")
    worker = world.worker().start()
    claim(world, worker)
    worker.watcher.scan_thread.scan()
    assert world.spooled("work") == {"sea/0.jpg", "sea/1.jpg", "job.csv"}
    worker.stop.request(ExitCode.TERMINATED)
    worker.watcher.feeder.render(worker.stage)
    worker.watcher.scan_thread.scan()
    assert worker.watcher.status_file.status()["state"] == "stopping"
    balance = worker.end()
    assert world.waiting() == {*(f"sea/{number}.jpg" for number in range(5)), "job.csv", "b.png"}
    assert (balance.in_inbox, balance.waiting) == (7, 0)
    assert world.results() == {}


@pytest.mark.parametrize(("seconds", "finished"), [(4.0, True), (20.0, False)])
def test_the_pair_on_the_device_has_its_time_of_grace(world: World, seconds: float, *, finished: bool) -> None:
    world.settings["run"] = {"grace_seconds": 30.0}
    world.drop("sea/a.jpg")
    world.drop("sea/b.jpg")
    worker = world.worker().start()
    claim(world, worker)

    def evaluate() -> None:
        if worker.stop.requested is None:
            worker.stop.request(ExitCode.TERMINATED)
        world.clock.seconds += seconds

    evaluating(worker, evaluate)
    worker.watcher.feeder.render(worker.stage)
    worker.end()
    done = {"a__sea.png"} if finished else set()
    assert world.check_settled().keys() == done
    assert world.waiting() == ({"sea/b.jpg"} if finished else {"sea/a.jpg", "sea/b.jpg"})
    assert world.outbox.is_dir()


@pytest.mark.parametrize("code", [ExitCode.TERMINATED, ExitCode.INTERRUPTED])
@pytest.mark.parametrize("draining", [False, True])
def test_a_stop_ends_the_run_with_its_exit_code(live: World, code: ExitCode, *, draining: bool) -> None:
    for number in range(6):
        live.drop(f"sea/{number}.jpg")
    worker = live.worker(drain=draining)
    worker.stage.on_render = lambda _: worker.stop.request(code)
    summary = worker.watcher.run(lambda: worker.stage)
    assert summary.exit_code == code
    assert balance_of(summary).is_even
    assert len(live.check_settled()) == 1
    assert len(live.waiting()) == 5
    assert list((live.inbox / ".impasto/work").iterdir()) == []


# Draining


def test_a_drain_does_what_is_there_and_ends(live: World) -> None:
    for number in range(10):
        live.drop(f"sea/{number}.jpg")
    live.drop("job.csv", b"content,style\nb.png,sea\n")
    live.drop("b.png")
    summary = drain(live)
    assert (summary.exit_code, balance_of(summary).done) == (ExitCode.OK, 12)
    assert len(live.check_settled()) == 11


def test_a_drain_with_nothing_to_do_needs_no_device(live: World) -> None:
    def make_stage() -> None:
        raise AssertionError

    live.inbox.joinpath("sea").mkdir()
    assert live.worker(drain=True).watcher.run(make_stage).exit_code == ExitCode.OK


def test_a_drain_leaves_unknown_styles_and_waiting_tickets_and_ends_well(live: World) -> None:
    live.drop("sky/a.jpg")
    live.drop("notes.txt")
    live.drop("sea/empty.jpg", b"")
    live.drop("job.csv", b"content,style\nb.png,sea\n")
    live.drop("sea/b.jpg")
    summary = drain(live)
    assert (summary.exit_code, balance_of(summary).in_inbox) == (ExitCode.OK, 4)
    assert live.waiting() == {"sky/a.jpg", "notes.txt", "sea/empty.jpg", "job.csv"}
    assert live.check_settled().keys() == {"b__sea.png"}


@pytest.mark.parametrize("retire", ["archive", "delete"])
def test_a_drain_does_all_names_of_one_file(live: World, retire: str) -> None:
    live.settings["watch"]["retire"] = retire
    first = live.drop("sea/0.jpg")
    for number in range(1, 10):
        (live.inbox / f"sea/{number}.jpg").hardlink_to(first)
    summary = drain(live)
    assert (summary.exit_code, balance_of(summary).done, balance_of(summary).in_inbox) == (ExitCode.OK, 10, 0)


def test_returned_photographs_are_counted_once(live: World) -> None:
    live.settings["watch"]["retire"] = "return"
    for number in range(4):
        live.drop(f"sea/{number}.jpg")
    for done in (4, 0):
        balance = balance_of(drain(live))
        assert (balance.seen, balance.done, balance.in_inbox) == (done, done, 0)
    assert len(live.waiting()) == 4


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_records_of_returned_photographs_that_cannot_be_read_stop_nothing(
    live: World, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    live.settings["watch"]["retire"] = "return"
    live.drop("sea/a.jpg")
    live.drop("sea/b.jpg")
    drain(live)
    live.drop("sea/c.jpg")

    bad = {path: path.stat().st_ino for path in (live.inbox / ".impasto/returned").iterdir()}

    def refuse(operation: Operation, _: int) -> OSError | None:
        is_bad = operation.path in bad and operation.path.stat().st_ino == bad[operation.path]
        return error(number, operation.path) if is_bad else None

    summary = drain(live, FaultyDisk(refuse, watched=("read",)))
    assert (summary.exit_code, summary.counts["duplicate"], summary.counts["done"]) == (ExitCode.OK, 2, 1)
    assert len([message for message in caplog.messages if "returned" in message]) == 1
    assert len(live.check_settled()) == 3
    assert live.waiting() == {"sea/a.jpg", "sea/b.jpg", "sea/c.jpg"}
    assert drain(live).counts["seen"] == 0


def test_a_drain_leaves_a_file_that_is_being_written(live: World) -> None:
    growing = live.drop("sea/growing.jpg")
    live.drop("sea/a.jpg")

    def write(operation: Operation, _: int) -> None:
        if operation.path == growing and growing.exists():
            with growing.open("ab") as file:
                file.write(b"more")

    summary = drain(live, FaultyDisk(write, watched=("lstat",)))
    assert (summary.exit_code, balance_of(summary).done) == (ExitCode.OK, 1)
    assert live.waiting() == {"sea/growing.jpg"}


def test_a_drain_leaves_what_comes_when_it_has_seen_everything(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker(drain=True).start()
    worker.work(3)
    assert not worker.watcher.is_drained()
    worker.step(1.0)
    world.drop("sea/later.jpg")
    worker.work(20)
    assert worker.watcher.is_drained()
    worker.end()
    assert world.waiting() == {"sea/later.jpg"}
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_drain_puts_back_what_it_cannot_read(live: World) -> None:
    live.drop("sea/bad.jpg")
    live.drop("sea/good.jpg")

    def render(task: Task) -> None:
        if task.pair.content.name == "bad.jpg":
            raise UnreadableError("bad.jpg: cannot be read: Input/output error.")

    assert drain(live, on_render=render).exit_code == ExitCode.ENVIRONMENT
    assert live.waiting() == {"sea/bad.jpg"}
    assert drain(live).exit_code == ExitCode.OK
    assert live.check_settled()["bad__sea.png"].attempt == 1


def test_a_drain_puts_back_the_photographs_of_a_damaged_painting_and_says_so(live: World) -> None:
    painting = live.styles / "sea.png"
    painting.write_bytes(b"half")
    live.drop("sea/a.jpg")

    def render(task: Task) -> None:
        if painting.read_bytes() == b"half":
            raise IncompleteError("sea.png: is truncated.", path=task.pair.styles[0])

    assert drain(live, on_render=render).exit_code == ExitCode.PARTIAL
    assert live.waiting() == {"sea/a.jpg"}
    painting.write_bytes(b"the sea")
    assert drain(live, on_render=render).exit_code == ExitCode.OK


def test_a_drain_puts_back_the_photographs_of_a_painting_that_it_cannot_read(live: World) -> None:
    live.drop("sea/a.jpg")

    def render(task: Task) -> None:
        raise UnreadableError("sea.png: cannot be read: Input/output error.", path=task.pair.styles[0])

    assert drain(live, on_render=render).exit_code == ExitCode.ENVIRONMENT
    assert live.waiting() == {"sea/a.jpg"}
    assert drain(live).exit_code == ExitCode.OK


def test_a_drain_puts_back_a_ticket_that_it_cannot_read_and_says_so(
    live: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live.drop("t.csv", b"content,style\na.jpg,sea\n")
    live.drop("a.jpg")

    def read(*_: object) -> None:
        raise UnreadableError("t.csv: cannot be read: Input/output error.")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.watch.jobs.job_pairs.requirements_of_ticket", read)
        assert drain(live).exit_code == ExitCode.ENVIRONMENT
    assert [message for message in caplog.messages if "t.csv" in message] == [
        "t.csv: cannot be read: Input/output error. It is tried again."
    ]
    assert live.waiting() == {"t.csv", "a.jpg"}
    assert drain(live).exit_code == ExitCode.OK
    assert live.check_settled().keys() == {"a__sea.png"}


@pytest.mark.parametrize("operation", ["statuses", "lstat"])
def test_a_drain_that_cannot_read_a_folder_or_a_file_says_so(live: World, operation: str) -> None:
    live.drop("sky/a.jpg")
    live.drop("sea/b.jpg")
    (live.styles / "sky.png").write_bytes(b"the sky")

    def refuse(what: Operation, _: int) -> OSError | None:
        is_it = what.path == live.inbox / ("sky" if operation == "statuses" else "sky/a.jpg")
        return error(errno.EACCES, what.path) if is_it else None

    assert drain(live, FaultyDisk(refuse, watched=(operation,))).exit_code == ExitCode.PARTIAL
    assert drain(live).exit_code == ExitCode.OK
    assert live.check_settled().keys() == {"a__sky.png", "b__sea.png"}


def test_a_drain_with_a_failure_says_so(live: World) -> None:
    live.drop("sea/bad.jpg", photo("poison"))
    live.drop("sea/good.jpg")
    summary = drain(live)
    assert (summary.exit_code, balance_of(summary).done, balance_of(summary).failed) == (ExitCode.PARTIAL, 1, 1)


@pytest.mark.parametrize(
    ("folder", "name"), [("inbox/sea", "rename"), ("inbox/.impasto/work", "mkdir"), ("outbox/.impasto/tmp", "write")]
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_drain_ends_when_the_disk_fails_and_the_next_one_goes_on(
    live: World, folder: str, name: str, number: int
) -> None:
    live.drop("sea/a.jpg")
    live.drop("sea/b.jpg")

    def fault(operation: Operation, _: int) -> OSError | None:
        fails = operation.name == name and operation.path.is_relative_to(live.root / folder)
        deep = len(operation.path.relative_to(live.root / folder).parts) > (name == "mkdir") if fails else False
        return error(number, operation.path) if deep else None

    with pytest.raises(StorageError, match=os.strerror(number)) as raised:
        drain(live, FaultyDisk(fault))
    assert raised.value.exit_code == ExitCode.ENVIRONMENT
    assert f"{live.root / folder}/" in str(raised.value), "the file is named"
    assert balance_of(drain(live)).done == 2
    assert live.check_settled().keys() == {"a__sea.png", "b__sea.png"}


def test_a_drain_ends_though_a_name_in_the_inbox_is_taken(live: World) -> None:
    """Test a job of a dead process that has lost its style and whose photograph cannot go back."""
    live.settings["watch"]["incomplete_seconds"] = 0.1
    (live.styles / "sky.png").write_bytes(b"the sky")
    live.drop("sky/a.jpg")
    dead = live.worker().start()
    job = dead.spool.claim("sky/a.jpg")
    dead.die()
    (live.styles / "sky.png").unlink()
    live.drop("sky/a.jpg", photo("another"))
    summary = drain(live)
    assert summary.exit_code == ExitCode.PARTIAL
    assert live.waiting() == {"sky/a.jpg"}
    assert live.spooled("failed") == {"sky/a.jpg"}
    assert not job.folder.exists(), "the worker has taken the job over from the dead process"


def test_an_error_of_the_thread_that_looks_ends_the_run(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise ImpastoError("taken for dead")

    worker = live.worker()
    monkeypatch.setattr(worker.scanner, "round", fail)
    with pytest.raises(ImpastoError, match="taken for dead"):
        worker.watcher.run(lambda: worker.stage)


# Status and systemd


def test_the_status_is_json_whatever_names_are(world: World) -> None:
    world.drop(f"{STRANGE}/a.jpg", photo("a"))
    world.drop(f"sea/{STRANGE}.jpg", photo("b"))
    world.drop(f"{STRANGE}.csv", b"content,style\nb.png,sea\n")
    worker = world.worker().start()
    seen: list[dict[str, Any]] = []

    def render(_: Task) -> None:
        seen.append(json.loads(json.dumps(worker.watcher.status_file.status())))

    worker.stage.on_render = render
    worker.work(30)
    assert seen[0]["on_device"]
    status = json.loads((worker.spool.folder / "status.json").read_bytes())
    again = json.loads(json.dumps(worker.watcher.status_file.status()))
    assert {**status, "written": None} == {**again, "written": None}
    assert (status["state"], status["mode"], status["finished"]["done"]) == ("running", "polling", 1)
    assert list(status["waiting_tickets"].values()) == [["b.png"]]
    assert len(status["left"]) == 1
    assert (status["seen"], status["in_inbox"], status["on_device"]) == (3, 1, "")
    worker.end()


def test_systemd_gets_a_sign_of_life_only_while_both_threads_give_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    worker = world.worker()
    notifier = worker.watcher._notifier
    monkeypatch.setattr(notifier, "send", told.append)
    monkeypatch.setattr(notifier, "watchdog_seconds", 30.0, raising=False)
    with contextlib.ExitStack() as stack:
        worker.watcher.enter(stack)
        assert told == ["READY=1"]
        worker.work(2)
        assert "WATCHDOG=1" in told
        told.clear()
        assert isinstance(world.clock, Clock)
        world.clock.seconds += 31
        worker.watcher.scan_thread.scan()
        assert "WATCHDOG=1" not in told, "the stage has given no sign of life"
    assert told[-1] == "STOPPING=1"


@pytest.mark.parametrize(("prefetch", "bad"), [(1, 2), (4, 4), (4, 8)])
def test_unreadable_photographs_do_not_keep_others_waiting_for_ever(tmp_path: Path, prefetch: int, bad: int) -> None:
    world = World(tmp_path / "world", {"watch": {"prefetch": prefetch}})
    for number in range(bad):
        world.drop(f"sea/bad{number}.jpg")
    worker = world.worker().start()

    def fail(task: Task) -> None:
        if b"bad" in task.pair.content.read_bytes():
            raise UnreadableError("Input/output error")

    worker.stage.on_render = fail
    worker.work(10)
    world.drop("sea/good.jpg")
    worker.work(600)
    assert "good__sea.png" in world.results()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("is_style", [False, True])
def test_a_drain_ends_though_a_suspect_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_style: bool
) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    assert die_over(world, "a.jpg")
    for module in (watcher_module, scan_thread):
        monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.02)
    world.settings = {"watch": {"settle_seconds": 0.05, "poll_seconds": 0.1}}
    world.clock = time.monotonic
    worker = world.worker(drain=True)
    load_ahead(worker)

    def fail(task: Task) -> None:
        style = task.pair.styles[0]
        raise IncompleteError("truncated", path=style) if is_style else UnreadableError("Input/output error")

    worker.stage.on_render = fail
    assert worker.watcher.run(lambda: worker.stage).exit_code == (3 if is_style else 4)


def test_a_lasting_error_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    disk = FaultyDisk(watched=("mkdir",))
    worker = world.worker(disk).start()
    disk.fault = lambda operation, _: OSError(errno.ENOSPC, "No space left", str(operation.path))
    worker.work(300)
    assert len([message for message in caplog.messages if message.startswith("Paused")]) == 1


def test_an_inbox_that_is_unmounted_is_waited_for(tmp_path: Path) -> None:
    class Mount(HastyDisk):
        device = 1

        def lstat(self, path: Path) -> os.stat_result:
            status = super().lstat(path)
            return changed(status, {stat.ST_DEV: self.device}) if path.name == "inbox" else status

    world = World(tmp_path / "world")
    disk = Mount()
    worker = world.worker(disk).start()
    worker.work(3)
    away = world.root / "away"
    world.inbox.rename(away)
    world.inbox.mkdir()
    disk.device = 2
    worker.work(30)
    status = worker.watcher.status_file.status()
    assert (status["state"], list(world.inbox.iterdir())) == ("paused", []), "nothing is written below the mount point"
    assert "another file system is mounted there" in status["reason"]
    disk.device = 1
    world.inbox.rmdir()
    away.rename(world.inbox)
    world.drop("sea/a.jpg")
    worker.work(90)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


@pytest.mark.parametrize("what", ["job", "temporary files"])
def test_what_a_worker_of_another_user_left_stops_no_others(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/foreign.jpg")
    dead = world.worker().start()
    claim(world, dead)
    temporary = world.outbox / ".impasto/tmp" / dead.spool.worker.name
    temporary.mkdir(parents=True, exist_ok=True)
    (temporary / "x").write_bytes(b"x")
    dead.die()
    guarded = dead.spool.folder if what == "job" else temporary

    def refuse(operation: Operation, _: int) -> OSError | None:
        return error(errno.EACCES, operation.path) if operation.path.is_relative_to(guarded) else None

    disk = FaultyDisk(refuse, watched=("rename", "unlink"))
    worker = world.worker(disk).start()
    world.drop("sea/a.jpg")
    worker.work(60)
    assert "a__sea.png" in world.results()
    assert len(world.results()) == (1 if what == "job" else 2)
    assert worker.watcher.status_file.status()["state"] == "running"
    assert len([message for message in caplog.messages if "worker" in message]) == 1
    disk.fault = FaultyDisk.fault
    worker.work(12)
    worker.end()
    assert world.results().keys() == {"a__sea.png", "foreign__sea.png"}


@pytest.mark.parametrize("looks", [(), ("lstat", "entries", "read")])
def test_a_drain_does_not_wait_for_what_a_worker_of_another_user_began(tmp_path: Path, looks: tuple[str, ...]) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    dying = FaultyDisk()
    dead = world.worker(dying).start()

    def die(_: Task) -> None:
        dying.dead = True
        raise Crash

    dead.stage.on_render = die
    with pytest.raises(Crash):
        dead.work(12)
    dead.die()

    def refuse(operation: Operation, _: int) -> OSError | None:
        return error(errno.EACCES, operation.path) if dead.spool.folder in operation.path.parents else None

    world.drop("sea/a.jpg")
    worker = world.worker(FaultyDisk(refuse, watched=("rename", "unlink", *looks)), drain=True).start()
    worker.work(30)
    assert worker.watcher.is_drained()
    worker.end()
    (name,) = world.results()
    assert name.startswith("a__sea-"), "the other worker's job has the name itself"
    last = world.worker().start()
    last.work(12)
    last.end()
    assert world.results().keys() == {"a__sea.png", name}


@pytest.mark.parametrize("drains", [False, True])
def test_a_job_whose_folder_cannot_be_read_stops_no_others(
    live: World, caplog: pytest.LogCaptureFixture, *, drains: bool
) -> None:
    live.clock = Clock()
    live.drop("sea/bad.jpg")
    dead = live.worker().start()
    claim(live, dead)
    dead.die()

    def refuse(operation: Operation, _: int) -> OSError | None:
        is_in_job = operation.path.name == "in" and "work" in operation.path.parts
        return error(errno.EIO, operation.path) if is_in_job and "bad" in str(list(operation.path.rglob("*"))) else None

    disk = FaultyDisk(refuse, watched=("entries",))
    live.drop("sea/a.jpg")
    if drains:
        live.clock = time.monotonic
        assert drain(live, disk).exit_code == ExitCode.ENVIRONMENT
    else:
        worker = live.worker(disk).start()
        worker.work(60)
        assert worker.watcher.status_file.status()["state"] == "running"
        worker.end()
    assert live.results().keys() == {"a__sea.png"}
    assert len([message for message in caplog.messages if "cannot be read and is tried again" in message]) == 1
    live.clock = Clock()
    last = live.worker().start()
    last.work(12)
    last.end()
    assert live.results().keys() == {"a__sea.png", "bad__sea.png"}


@pytest.mark.parametrize("removed", ["inbox", "inbox/.impasto", "inbox/.impasto/work"])
def test_a_spool_that_is_removed_is_made_again(tmp_path: Path, removed: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path / "world", {"watch": {"incomplete_seconds": 600.0}})
    world.drop("sea/half.jpg", b"half")
    world.drop("t.csv", b"content,style\nx.jpg,sea\n")
    worker = world.worker().start()
    worker.work(6)
    assert world.spooled("work") == {"sea/half.jpg", "t.csv"}
    shutil.rmtree(world.root / removed)
    world.inbox.mkdir(exist_ok=True)
    worker.work(90)
    world.drop("sea/a.jpg")
    world.drop("x.jpg")
    worker.work(600)
    assert worker.watcher.status_file.status()["state"] == "running"
    assert world.waiting() == {"x.jpg"}, "the ticket is gone with its spool"
    assert "asks for no style" in worker.scanner.left["x.jpg"], "no ticket waits for it any more"
    assert sum("was removed, and is made again" in message for message in caplog.messages) == 1
    balance = worker.end()
    assert (balance.done, balance.elsewhere) == (1, 2)
    assert world.results().keys() == {"a__sea.png"}
    assert list((world.inbox / ".impasto/work").iterdir()) == []


def test_a_drain_says_what_its_tickets_wait_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path / "world")
    world.drop("x.jpg")
    world.drop("t.csv", b"content,style\nx.jpg,sea\nnever.jpg,sea\n")
    worker = world.worker(drain=True).start()
    worker.work(10)
    worker.end()
    assert "t.csv is put back: it waits for never.jpg." in caplog.messages
    assert world.waiting() == {"t.csv", "x.jpg"}


def test_a_spool_without_done_is_no_reason_to_end_in_an_error(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    for _ in range(5):
        world.clock.seconds += 1
        worker.watcher.scan_thread.scan()
    world.drop("sea/a.jpg", photo("another"))
    (world.inbox / ".impasto/done").rmdir()
    assert worker.end().waiting == 1


def test_the_pause_ends_with_what_caused_it(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    errors = [OSError(errno.EIO, "Input/output error")]

    def fault(operation: Operation, _: int) -> OSError | None:
        is_retired = operation.name == "mkdir" and operation.path.parent.name == "done"
        return errors.pop() if errors and is_retired else None

    worker = world.worker(FaultyDisk(fault)).start()
    worker.work(60)
    assert errors == []
    assert worker.watcher.status_file.status()["state"] == "running"
    worker.end()


def test_a_sign_of_life_that_could_not_be_made_is_no_sign_of_death(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    disk = FaultyDisk(watched=("create",))
    worker = world.worker(disk)
    hints = worker.with_hints()
    worker.start()
    (sign,), hints.signs = hints.signs, set()
    for second in range(60):
        is_full = 28 <= second <= 31
        disk.fault = lambda operation, _, is_full=is_full: (
            OSError(errno.ENOSPC, "No space left") if is_full and operation.path == sign else None
        )
        worker.step(1)
        if is_full:
            sign.unlink(missing_ok=True)
        elif sign.exists():
            hints.hint.paths.add(sign)
    assert worker.scanner.mode == "events"


def test_the_status_counts_what_can_be_taken_and_tells_whoever_listens(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SimpleNamespace(time=lambda: time.time() + 60)  # a photograph that has just come may be 0.000 s old
    monkeypatch.setattr("pipeline.watch.status.time", later)
    world.drop("sea/_style.png", b"a painting")
    world.drop("unknown/left.jpg")
    worker = world.worker().start()
    worker.work(5)
    worker.statuses.clear()
    assert worker.watcher.status_file.status()["unclaimed"] == 0, (
        "neither the file of an unknown style nor the style itself counts"
    )
    assert worker.watcher.status_file.status()["oldest_unclaimed_seconds"] == 0
    world.drop("sea/a.jpg")
    worker.step(scan_thread.BEAT_SECONDS)  # the scan that finds the photograph comes after the heartbeat of this step
    worker.watcher.status_file.write()
    assert [status["unclaimed"] for status in worker.statuses] == [0, 1]
    assert 30 < worker.statuses[-1]["oldest_unclaimed_seconds"] < 600
    worker.end()
