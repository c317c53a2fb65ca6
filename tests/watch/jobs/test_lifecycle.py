"""Tests of the life of a job, from a dropped file to its results and its retirement."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.disk import Disk
from pipeline.errors import DeviceError, ExitCode, ImageError, IncompleteError, UnreadableError
from pipeline.images.files import read_file
from pipeline.outbox.mark_files import Mark
from pipeline.outbox.metadata import Failure, JobFailure
from pipeline.stage.attempts import Attempts
from pipeline.watch.jobs import job_pairs
from tests.faults.disk import Crash, FaultyDisk
from tests.faults.world import END, World, die_over, photo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from pipeline.images.decode import SourceFile
    from pipeline.stage.task import Outcome, Task
    from tests.faults.disk import Operation
    from tests.faults.world import Worker


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world", {"run": {"max_attempts": 3}})


def worked(world: World, seconds: float = 12) -> Worker:
    """Return a worker that has worked for a number of seconds and ended."""
    worker = world.worker().start()
    worker.work(seconds)
    worker.end()
    return worker


def claim(world: World, worker: Worker) -> None:
    """Let files settle, and let the worker claim them without beginning them."""
    worker.watcher.scan_thread.scan()
    world.clock.seconds += 2.5
    worker.watcher.scan_thread.scan()


def content(world: World, name: str) -> str:
    """Return the SHA-256 of the photograph of a result."""
    return world.results()[name].pair.content.sha256


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def reasons(world: World) -> list[JobFailure]:
    """Return the records of failed jobs."""
    paths = (world.inbox / ".impasto/failed").glob("*/reason.json")
    return [JobFailure.model_validate_json(path.read_bytes()) for path in paths]


def failures(world: World) -> dict[str, Failure]:
    """Return the records of failed pairs in the outbox, by path."""
    folder = world.outbox / "failed"
    paths = folder.rglob("*.json")
    return {path.relative_to(folder).as_posix(): Failure.model_validate_json(path.read_bytes()) for path in paths}


# Results and retirement


@pytest.mark.parametrize(
    ("retire", "waiting", "done"),
    [("archive", set(), {"sea/deep/a.jpg"}), ("delete", set(), set()), ("return", {"sea/deep/a.jpg"}, set())],
)
def test_a_photograph_becomes_a_result_and_is_retired(
    world: World, retire: str, waiting: set[str], done: set[str]
) -> None:
    world.settings["watch"] = {"retire": retire}
    data = photo("a")
    world.drop("sea/deep/a.jpg", data)
    worked(world)
    assert {name: metadata.pair.content.sha256 for name, metadata in world.check_settled().items()} == {
        "deep/a__sea.png": sha256(data)
    }
    assert (world.waiting(), world.spooled("done"), world.spooled("failed")) == (waiting, done, set())


def test_returned_photographs_are_taken_again_only_when_they_change(world: World) -> None:
    world.settings["watch"] = {"retire": "return"}
    path = world.drop("sea/a.jpg")
    worker = world.worker().start()
    worker.work(30)
    assert len(worker.outcomes) == 1
    worker.end()
    later = world.worker().start()
    later.work(30)
    assert (later.outcomes, later.duplicates, world.waiting()) == ([], [], {"sea/a.jpg"})
    assert later.scanner.left == {}
    assert later.scanner.unclaimed() == []
    path.write_bytes(photo("another one"))
    later.step(1)
    assert len(later.scanner.unclaimed()) == 1, "it is a file like any other again"
    later.work(12)
    later.end()
    assert len(later.outcomes) == 1
    assert len(world.check_settled()) == 2
    assert world.waiting() == {"sea/a.jpg"}


@pytest.mark.parametrize("change", ["painting", "touched painting", "metadata", "result", "settings", "old record"])
def test_a_returned_photograph_is_painted_again_when_its_result_would_be_another_or_is_gone(
    world: World, change: str
) -> None:
    world.settings["watch"] = {"retire": "return"}
    world.drop("sea/a.jpg")
    worked(world)
    painting = world.styles / "sea.png"
    (record,) = (world.inbox / ".impasto/returned").iterdir()
    if change == "painting":
        painting.write_bytes(b"another sea")
    elif change == "touched painting":
        os.utime(painting, (1, 1))
    elif change == "settings":
        world.settings["image"] = {"size": 64}
    elif change == "old record":  # of a version that did not know on what a result depends
        fields = json.loads(record.read_bytes())
        del fields["basis"], fields["results"]
        record.write_text(json.dumps(fields))
        painting.write_bytes(b"another sea")
    else:
        (world.outbox / "a__sea.png.json").unlink()
        if change == "result":
            (world.outbox / "a__sea.png").unlink()
    later = world.worker().start()
    later.work(60)
    later.end()
    is_new = change in ("painting", "settings")
    is_painted = is_new or change in ("metadata", "result")
    assert (len(later.outcomes), len(world.results())) == (is_painted, 1 + is_new)
    assert len(later.duplicates) == (change == "touched painting")
    assert world.waiting() == {"sea/a.jpg"}
    last = world.worker().start()
    last.work(30)
    last.end()
    assert (last.outcomes, last.duplicates) == ([], [])


def test_the_same_photograph_again_is_a_duplicate(world: World) -> None:
    worker = world.worker().start()
    for _ in range(2):
        world.drop("sea/a.jpg")
        worker.work(12)
    balance = worker.end()
    assert (balance.done, balance.duplicate) == (1, 1)
    assert (len(worker.outcomes), worker.duplicates) == (1, ["a__sea.png"])
    assert world.check_settled().keys() == {"a__sea.png"}
    assert len(list((world.inbox / ".impasto/done").rglob("a.jpg"))) == 2


def test_another_photograph_under_the_same_name_gets_a_name_of_its_own(world: World) -> None:
    worker = world.worker().start()
    for text in ("one", "two", "two", "one"):
        world.drop("sea/a.jpg", photo(text))
        worker.work(12)
    worker.end()
    results = world.check_settled()
    (other,) = results.keys() - {"a__sea.png"}
    assert other == f"a__sea-{results[other].key[:6]}.png"
    assert content(world, "a__sea.png") == sha256(photo("one"))
    assert content(world, other) == sha256(photo("two"))
    assert worker.duplicates == [other, "a__sea.png"]


def test_a_foreign_file_in_the_outbox_is_not_overwritten(world: World) -> None:
    world.outbox.mkdir()
    foreign = world.outbox / "a__sea.png"
    foreign.write_bytes(b"precious")
    world.drop("sea/a.jpg")
    worked(world)
    (name,) = world.results()
    assert name.startswith("a__sea-")
    assert foreign.read_bytes() == b"precious"


def make_file(path: Path, outside: Path) -> None:
    path.write_bytes(b"precious")


def make_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def make_dead_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "nowhere" / "deep")


@pytest.mark.parametrize("make", [make_file, make_link, make_dead_link])
def test_an_outbox_folder_that_cannot_be_used_fails_only_its_photograph(
    world: World, make: Callable[[Path, Path], None]
) -> None:
    outside = world.root / "outside"
    outside.mkdir()
    world.outbox.mkdir()
    make(world.outbox / "holiday", outside)
    world.drop("sea/holiday/a.jpg")
    world.drop("sea/b.jpg")
    worker = worked(world)
    assert world.results().keys() == {"b__sea.png"}
    assert world.spooled("failed") == {"sea/holiday/a.jpg"}
    assert worker.watcher.status_file.status()["finished"] == {"done": 1, "duplicate": 0, "failed": 1, "elsewhere": 0}
    assert failures(world).keys() == {"holiday/a__sea.json"}
    (reason,) = reasons(world)
    assert reason.error_class == "environment"
    assert "holiday/a__sea.png" in reason.reason
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("make", [make_file, make_link])
def test_failures_that_cannot_be_recorded_in_the_outbox_are_quarantined_all_the_same(
    world: World, make: Callable[[Path, Path], None]
) -> None:
    outside = world.root / "outside"
    outside.mkdir()
    world.outbox.mkdir()
    make(world.outbox / "failed", outside)
    world.drop("sea/broken.jpg", photo("poison"))
    world.drop("sea/good.jpg")
    worked(world)
    assert world.results().keys() == {"good__sea.png"}
    assert world.spooled("failed") == {"sea/broken.jpg"}
    assert list(outside.iterdir()) == []


# Photographs that are not whole


def test_a_truncated_photograph_fails_after_its_time_and_attempts(world: World) -> None:
    world.drop("sea/a.jpg", b"half a photograph")
    begin = world.clock()
    tries: list[float] = []
    worker = world.worker().start()
    worker.stage.on_render = lambda _: tries.append(world.clock() - begin)
    worker.work(60)
    worker.end()
    assert len(tries) == 3
    assert tries[-1] - tries[0] >= 5.0, "attempts go on for at least incomplete_seconds"
    assert world.spooled("failed") == {"sea/a.jpg"}
    (reason,) = reasons(world)
    assert reason.files == ("sea/a.jpg",)
    assert (reason.error_class, reason.attempts) == ("input", 3)
    assert "truncated" in reason.reason
    failure = failures(world)["a__sea.json"]
    assert (failure.pair.content, failure.pair.style, failure.attempt) == ("sea/a.jpg", "sea.png", 3)
    assert world.check_settled() == {}


def test_a_broken_photograph_fails_at_once(world: World) -> None:
    world.drop("sea/a.jpg", photo("poison"))
    worker = worked(world)
    assert len(worker.outcomes) == 1
    (reason,) = reasons(world)
    assert (reason.error_class, reason.remedy, reason.attempts) == ("input", "Use another.", 1)
    assert failures(world).keys() == {"a__sea.json"}


def test_a_failure_is_forgotten_when_the_photograph_is_mended(world: World) -> None:
    world.drop("sea/a.jpg", photo("poison"))
    worked(world)
    world.drop("sea/a.jpg", photo("mended"))
    worked(world)
    assert failures(world) == {}
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_photograph_that_becomes_complete_in_time_is_done(world: World) -> None:
    data = photo("a")
    world.drop("sea/a.jpg", data[:20])
    worker = world.worker().start()
    with (world.inbox / "sea/a.jpg").open("ab", buffering=0) as file:
        worker.work(3)
        assert worker.stage.premature == 1
        file.write(data[20:])
        worker.work(12)
    worker.end()
    assert content(world, "a__sea.png") == sha256(data)
    assert failures(world) == {}
    assert world.spooled("failed") == set()


def test_a_photograph_that_is_written_to_after_the_claim_waits(world: World) -> None:
    path = world.drop("sea/a.jpg", photo("a"))
    worker = world.worker().start()
    with path.open("ab", buffering=0) as file:
        claim(world, worker)
        assert world.spooled("work") == {"sea/a.jpg"}
        for _ in range(30):
            file.write(b"more")
            worker.step(1.0)
        assert (worker.outcomes, worker.stage.premature) == ([], 0)
        file.write(END)
        worker.work(4)
    worker.end()
    assert content(world, "a__sea.png") == sha256(photo("a") + b"more" * 30 + END)


def test_a_photograph_that_changes_while_it_is_painted_is_painted_again(world: World) -> None:
    path = world.drop("sea/a.jpg", photo("first"))
    worker = world.worker().start()
    published: list[bool] = []
    with path.open("ab", buffering=0) as file:

        def render(_: Task) -> None:
            published.append((world.outbox / "a__sea.png").exists())
            if len(published) < 5:
                file.write(b"changed" + END)

        worker.stage.on_render = render
        worker.work(40)
    worker.end()
    assert published == [False] * 5, "changes do not count as attempts: there are more than max_attempts"
    assert content(world, "a__sea.png") == sha256(photo("first") + (b"changed" + END) * 4)
    assert world.check_settled()["a__sea.png"].attempt == 1


# Photographs that end the process


@pytest.mark.parametrize("style", ["library", "dropped"])
def test_a_photograph_that_kills_the_process_is_quarantined_and_its_neighbours_are_not(
    world: World, style: str
) -> None:
    if style == "dropped":
        (world.styles / "sea.png").unlink()
        world.drop("sea/_style.jpg", b"the sea")
    neighbours = {f"sea/{name}.jpg" for name in ("a", "b", "y", "z")}
    for name in (*neighbours, "sea/deadly.jpg"):
        world.drop(name)
    deaths = [die_over(world, "deadly.jpg") for _ in range(6)]
    assert deaths == [True] * 4 + [False] * 2, "the first process died with several photographs, which proves nothing"
    assert world.spooled("failed") == {"sea/deadly.jpg"}
    assert world.spooled("done") == neighbours
    assert len(world.check_settled()) == 4
    (reason,) = reasons(world)
    assert "the process died 3 times" in reason.reason
    assert failures(world)["deadly__sea.json"].reason == reason.reason


def test_files_of_a_suspect_are_not_read_again_and_again_while_it_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("sea/a.jpg")
    assert die_over(world, "a.jpg")
    reads: list[str] = []

    def note(path: Path) -> SourceFile:
        reads.append(path.name)
        return read_file(path)

    monkeypatch.setattr(job_pairs, "read_file", note)
    worker = world.worker().start()
    with monkeypatch.context() as patch:
        patch.setattr(Attempts, "are_open", property(lambda _: True))  # another pair is on the device for long
        worker.work(20)
    assert reads.count("a.jpg") == 1
    worker.work(5)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_photograph_at_which_the_device_fails_stops_no_other(world: World) -> None:
    for name in "abcd":
        world.drop(f"sea/{name}.jpg")

    def render(task: Task) -> None:
        if task.pair.content.name == "a.jpg":
            raise DeviceError("illegal memory access", suspects=(task.pair.file_name,))

    done = []
    for _ in range(5):
        worker = world.worker().start()
        worker.stage.on_render = render
        with contextlib.suppress(DeviceError):
            worker.work(12)
        worker.end()
        done.append(len(world.spooled("done")))
    assert done == [0, 3, 3, 3, 3], "photographs behind it are rendered by the second process"
    assert world.spooled("failed") == {"sea/a.jpg"}
    assert len(world.check_settled()) == 3


def test_a_photograph_that_was_quarantined_may_be_dropped_again(world: World) -> None:
    world.drop("sea/a.jpg")
    assert [die_over(world, "a.jpg") for _ in range(5)] == [True] * 4 + [False]
    world.drop("sea/a.jpg")
    worked(world)
    assert world.check_settled()["a__sea.png"].attempt == 1


def test_graceful_stops_do_not_count_as_attempts(world: World) -> None:
    world.drop("sea/a.jpg")
    for _ in range(5):
        worker = world.worker().start()
        worker.stage.process = lambda tasks, worker=worker: begin_and_stop(worker, tasks)
        worker.work(4)
        assert worker.stop.requested is not None
        worker.end()
        assert world.waiting() == {"sea/a.jpg"}
    worked(world)
    assert world.check_settled()["a__sea.png"].attempt == 1


def begin_and_stop(worker: Worker, tasks: Iterable[Task | None]) -> Generator[Outcome]:
    """Begin the first task, and stop as after a signal."""
    for task in filter(None, tasks):
        worker.watcher.listener.pair_started(task.pair)
        worker.stop.request(ExitCode.TERMINATED)
        worker.stop.check()
        yield from ()


# Tickets


def test_the_rows_of_a_ticket_may_have_settings(world: World) -> None:
    world.drop("b.png")
    rows = [
        {"content": "b.png", "style": "sea", "output": "small", "image.size": 100},
        {"content": "b.png", "style": "sea", "output": "large.jpg", "image.size": 900},
    ]
    world.drop("job.jsonl", "\n".join(map(json.dumps, rows)).encode())
    worked(world)
    sizes = {
        path.name: json.loads(path.read_bytes())["settings"]["image"]["size"] for path in world.outbox.glob("*.json")
    }
    assert sizes == {"small.png.json": 100, "large.jpg.json": 900}
    assert world.spooled("done") == {"b.png", "job.jsonl"}


def test_photographs_of_one_name_in_a_ticket_have_results_of_distinct_names(world: World) -> None:
    for name in ("x/b.png", "y/B.png"):
        world.drop(name, photo(name))
    world.drop("job.csv", b"content,style\nx/b.png,sea\ny/B.png,sea\nx/b.png,sea\n")
    worked(world)
    results = {metadata.pair.content.path: name for name, metadata in world.check_settled().items()}
    assert results["x/b.png"] == "b__sea.png"
    assert re.fullmatch(r"B__sea-[0-9a-f]{6}\.png", results["y/B.png"])
    assert world.spooled("done") == {"job.csv", "x/b.png", "y/B.png"}


def test_a_ticket_whose_rows_name_their_results_alike_fails_as_a_whole(world: World) -> None:
    for name in ("x/b.png", "y/b.png"):
        world.drop(name)
    world.drop("job.csv", b"content,style,output\nx/b.png,sea,one\ny/b.png,sea,ONE\n")
    worked(world)
    assert world.check_settled() == {}
    assert world.spooled("failed") == {"job.csv", "x/b.png", "y/b.png"}
    (reason,) = reasons(world)
    assert "line 3" in reason.reason
    assert "same output name" in reason.reason


def test_pairs_of_a_ticket_do_not_take_each_others_names_when_these_are_taken(world: World) -> None:
    for text in ("old", "new"):
        for name in ("x/b.png", "y/b.png"):
            world.drop(name, photo(f"{text} {name}"))
        world.drop("job.csv", b"content,style,output\nx/b.png,sea,one\ny/b.png,sea,two\n")
        worked(world)
    results = world.check_settled()
    contents = {metadata.pair.content.sha256: name for name, metadata in results.items()}
    assert contents[sha256(photo("old x/b.png"))] == "one.png"
    assert contents[sha256(photo("old y/b.png"))] == "two.png"
    assert contents[sha256(photo("new x/b.png"))].startswith("one-")
    assert contents[sha256(photo("new y/b.png"))].startswith("two-")


def test_a_ticket_with_a_broken_picture_fails_and_keeps_its_good_results(world: World) -> None:
    world.drop("good.png")
    world.drop("bad.png", photo("poison"))
    world.drop("job.csv", b"content,style\nbad.png,sea\ngood.png,sea\n")
    worked(world)
    assert world.check_settled().keys() == {"good__sea.png"}
    assert world.spooled("failed") == {"good.png", "bad.png", "job.csv"}
    assert failures(world).keys() == {"bad__sea.json"}


# Styles


def test_photographs_whose_style_vanishes_after_the_claim_go_back(world: World) -> None:
    style = world.drop("sky/_style.jpg", b"the sky")
    world.drop("sky/a.jpg")
    worker = world.worker().start()
    worker.watcher.scan_thread.scan()
    world.clock.seconds += 2.5
    worker.watcher.scan_thread.scan()
    assert world.spooled("work") == {"sky/a.jpg"}
    style.unlink()
    worker.work(20)
    assert world.waiting() == {"sky/a.jpg"}
    assert "asks for the style 'sky'" in worker.scanner.left["sky/a.jpg"]
    style.write_bytes(b"the sky")
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"a__sky.png"}


def test_a_style_that_vanishes_while_it_is_used_fails_nothing(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    worker.stage.on_render = lambda task: task.pair.styles[0].unlink()
    worker.work(60)
    worker.end()
    assert world.waiting() == {"sea/a.jpg"}
    assert (reasons(world), failures(world)) == ([], {})


def test_photographs_wait_for_a_style_that_is_not_whole(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()

    def render(task: Task) -> None:
        if task.pair.styles[0].read_bytes() == b"half":
            raise IncompleteError("sea.png: truncated", path=task.pair.styles[0])

    worker.stage.on_render = render
    (world.styles / "sea.png").write_bytes(b"half")
    worker.work(300)
    assert (world.spooled("failed"), failures(world), world.results()) == (set(), {}, {})
    (world.styles / "sea.png").write_bytes(b"whole")
    worker.work(40)
    worker.end()
    assert world.check_settled()["a__sea.png"].pair.style.sha256 == sha256(b"whole")


def refuse_half_files(worker: Worker) -> None:
    """Let the stage refuse paintings and masks that are cut in half."""

    def render(task: Task) -> None:
        for path in task.pair.files[1:]:
            if path.read_bytes() == b"half":
                raise IncompleteError(f"{path.name}: is truncated.", path=path)

    worker.stage.on_render = render


def test_a_damaged_painting_does_not_stop_the_photographs_of_others(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.styles / "sky.png").write_bytes(b"half")
    for number in range(80):
        world.drop(f"sky/{number:02}.jpg")
    worker = world.worker().start()
    refuse_half_files(worker)
    worker.work(120)
    world.drop("sea/a.jpg")
    worker.work(12)
    assert world.results().keys() == {"a__sea.png"}
    assert len(world.waiting()) == 80, "the others wait in the inbox, and take no place in the spool"
    assert "waits for another painting or mask: sky.png: is truncated." in worker.scanner.left["sky/00.jpg"]
    assert len([line for line in caplog.messages if "sky" in line]) == 1, "there is one line for all photographs"
    (world.styles / "sky.png").write_bytes(b"the sky")
    worker.work(400)
    worker.end()
    assert len(world.check_settled()) == 81
    assert (reasons(world), failures(world), worker.scanner.left) == ([], {}, {})


@pytest.mark.parametrize("is_folder", [False, True])
def test_photographs_wait_for_a_mask_that_is_not_whole(world: World, tmp_path: Path, *, is_folder: bool) -> None:
    mask = tmp_path / "masks/a.png" if is_folder else tmp_path / "mask.png"
    mask.parent.mkdir(exist_ok=True)
    mask.write_bytes(b"half")
    world.settings["mask"] = {"file": str(mask.parent if is_folder else mask)}
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    refuse_half_files(worker)
    worker.work(60)
    assert world.waiting() == {"sea/a.jpg"}
    mask.write_bytes(b"whole")
    worker.work(20)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


@pytest.mark.parametrize("while_planning", [False, True])
def test_a_painting_that_cannot_be_read_does_not_stop_the_photographs_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch, *, while_planning: bool
) -> None:
    (world.styles / "sky.png").write_bytes(b"the sky")
    for number in range(80):
        world.drop(f"sky/{number:02}.jpg")
    worker = world.worker().start()

    def read(path: Path) -> SourceFile:
        if path.name == "sky.png":
            raise UnreadableError("sky.png: cannot be read: Input/output error.", path=path)
        return read_file(path)

    if while_planning:
        monkeypatch.setattr(job_pairs, "read_file", read)
    worker.stage.on_render = lambda task: [read(path) for path in task.pair.styles] and None
    worker.work(120)
    world.drop("sea/a.jpg")
    worker.work(12)
    assert world.results().keys() == {"a__sea.png"}
    assert len(world.waiting()) == 80
    monkeypatch.undo()
    worker.stage.on_render = lambda _: None
    worker.work(600)
    worker.end()
    assert len(world.check_settled()) == 81


def test_a_painting_that_never_stops_changing_fails_its_photographs(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()

    def render(task: Task) -> None:
        painting = task.pair.styles[0]
        with painting.open("ab") as file:
            file.write(b"more")
        raise IncompleteError("sea.png: is truncated.", path=painting)

    worker.stage.on_render = render
    worker.work(60)
    worker.end()
    assert [reason.reason for reason in reasons(world)] == ["sea.png: is truncated."]


def test_a_ticket_with_a_damaged_painting_fails_and_its_other_pairs_are_painted(world: World) -> None:
    (world.styles / "sky.png").write_bytes(b"half")
    world.drop("a.jpg")
    world.drop("t.csv", b"content,style\na.jpg,sky\na.jpg,sea\n")
    worker = world.worker().start()
    refuse_half_files(worker)
    worker.work(60)
    worker.end()
    assert world.results().keys() == {"a__sea.png"}
    assert [reason.reason for reason in reasons(world)] == ["sky.png: is truncated."]


def test_a_job_that_cannot_be_put_back_fails_in_the_end(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (world.styles / "sky.png").write_bytes(b"the sky")
    world.drop("sky/a.jpg")
    worker = world.worker().start()
    claim(world, worker)
    (world.styles / "sky.png").unlink()
    world.drop("sky/a.jpg", photo("another"))
    worker.work(120)
    worker.end()
    (reason,) = reasons(world)
    assert "another file has its name in the inbox" in reason.reason
    assert "impasto retry" in reason.remedy
    assert (world.waiting(), world.spooled("failed")) == ({"sky/a.jpg"}, {"sky/a.jpg"})
    assert len([line for line in caplog.messages if "has its name" in line]) == 1


def test_a_style_that_is_no_picture_fails_its_photographs_only(world: World) -> None:
    (world.styles / "sky.png").write_bytes(b"text")
    world.drop("sky/a.jpg")
    world.drop("sea/a.jpg")
    worker = world.worker().start()

    def render(task: Task) -> None:
        if task.pair.styles[0].name == "sky.png":
            raise ImageError("sky.png: is no picture", "Use another.")

    worker.stage.on_render = render
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}
    assert [(reason.files, reason.reason) for reason in reasons(world)] == [(("sky/a.jpg",), "sky.png: is no picture")]


@pytest.mark.parametrize("how", ["library", "dropped"])
def test_after_a_style_was_replaced_the_same_photograph_is_painted_anew(world: World, how: str) -> None:
    style = world.styles / "sky.png" if how == "library" else world.inbox / "sky/_style.png"
    style.parent.mkdir(exist_ok=True)
    worker = world.worker().start()
    for data in (b"the sky", b"the sky at night", b"the sky at night"):
        style.write_bytes(data)
        world.drop("sky/a.jpg")
        worker.work(12)
    worker.end()
    results = world.check_settled()
    assert {metadata.pair.style.sha256 for metadata in results.values()} == {
        sha256(b"the sky"),
        sha256(b"the sky at night"),
    }
    assert results["a__sky.png"].pair.style.sha256 == sha256(b"the sky")
    assert len(worker.duplicates) == 1


def test_settings_of_the_watcher_reach_the_metadata(tmp_path: Path) -> None:
    settings: dict[str, dict[str, Any]] = {"image": {"size": 123}, "output": {"format": "png"}}
    world = World(tmp_path / "world", settings)
    world.drop("sea/a.jpg")
    worked(world)
    assert world.results()["a__sea.png"].settings["image"]["size"] == 123


def test_a_file_that_appears_in_the_outbox_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    worker.stage.on_render = lambda _: (world.outbox / "a__sea.png").write_bytes(b"precious")
    worker.work(120)
    assert (world.outbox / "a__sea.png").read_bytes() == b"precious"
    (name,) = world.results()
    assert name.startswith("a__sea-")


def test_a_loop_of_links_in_the_outbox_fails_that_photograph_alone(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.outbox.mkdir()
    (world.outbox / "x").symlink_to(world.outbox / "x")
    world.drop("sea/x/a.jpg")
    world.drop("sea/b.jpg")
    worker = world.worker().start()
    worker.work(120)
    worker.end()
    assert world.results().keys() == {"b__sea.png"}
    assert world.spooled("failed") == {"sea/x/a.jpg"}


# Faults half-way


def test_a_half_published_result_is_finished_under_its_name(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")

    def full(operation: Operation, _: int) -> OSError | None:
        is_metadata = operation.name in {"rename", "link"} and operation.path.parent.parent.name == "tmp"
        has_picture = (world.outbox / "a__sea.png").exists()
        is_full = is_metadata and has_picture and operation.path.suffix != ".mark"
        return OSError(errno.ENOSPC, "No space left", str(operation.path)) if is_full else None

    worker = world.worker(FaultyDisk(full)).start()
    worker.work(8)
    balance = worker.end()
    assert (balance.waiting, balance.in_inbox) == (1, 0), "the photograph stays claimed"
    worker = world.worker().start()
    worker.work(10)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


def test_what_cannot_be_read_for_a_moment_after_a_crash_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    disk = FaultyDisk(lambda operation, _: Crash() if "/done/" in str(operation.path) else None)
    worker = world.worker(disk).start()
    with pytest.raises(Crash):
        worker.work(10)
    worker.die()
    failures = [UnreadableError("a.jpg: cannot be read: Stale file handle.")]

    def read(path: Path) -> SourceFile:
        if failures:
            raise failures.pop()
        return read_file(path)

    monkeypatch.setattr(job_pairs, "read_file", read)
    worker = world.worker().start()
    worker.work(20)
    worker.end()
    assert failures == []
    assert world.check_settled().keys() == {"a__sea.png"}
    assert world.spooled("done") == {"sea/a.jpg"}


@pytest.mark.parametrize("name", ["a__sea.png", "a__sea.png.json"])
def test_a_result_that_cannot_be_read_for_a_moment_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    worker.work(10)
    world.drop("sea/a.jpg")
    read, failures = type(tmp_path).read_bytes, [OSError(errno.EIO, "Input/output error")]

    def read_or_fail(path: Path) -> bytes:
        if failures and path == world.outbox / name:
            raise failures.pop()
        return read(path)

    monkeypatch.setattr(type(tmp_path), "read_bytes", read_or_fail)
    monkeypatch.setattr(Disk, "read", lambda _, path: read_or_fail(path))
    worker.work(20)
    balance = worker.end()
    assert failures == []
    assert (balance.done, balance.duplicate) == (1, 1)
    assert world.check_settled().keys() == {"a__sea.png"}


def test_rows_that_are_added_to_a_ticket_in_work_are_done_as_well(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    for name in "xyz":
        world.drop(f"{name}.jpg")
    with world.drop("t.csv", b"content,style\nx.jpg,sea\ny.jpg,sea\n").open("ab", buffering=0) as ticket:
        worker = world.worker().start()
        rows = [b"z.jpg,sea\n"]
        worker.stage.on_render = lambda _: ticket.write(rows.pop()) if rows else None
        worker.work(40)
    worker.end()
    assert world.check_settled().keys() == {"x__sea.png", "y__sea.png", "z__sea.png"}
    assert world.waiting() == set()


def test_a_ticket_waits_while_its_style_is_replaced(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    (world.styles / "sea.png").unlink()
    world.drop("sea/_style.jpg", b"the sea")
    world.drop("x.jpg")
    world.drop("t.csv", b"content,style\nx.jpg,sea\n")
    worker = world.worker().start()
    for _ in range(8):  # the job is ready, but the device has other work
        world.clock.seconds += 1
        worker.watcher.scan_thread.scan()
    world.drop("sea/_style.jpg", b"another sea")
    worker.step(1)
    worker.work(30)
    worker.end()
    assert world.check_settled().keys() == {"x__sea.png"}
    assert world.spooled("failed") == set()


def test_a_job_that_is_neither_put_back_nor_read_is_counted_once(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.drop("sea/a.jpg")
    disk = FaultyDisk(watched=("link", "entries"))
    worker = world.worker(disk).start()
    for _ in range(4):
        world.clock.seconds += 1
        worker.watcher.scan_thread.scan()
    painting = world.styles / "sea.png"
    painting.rename(world.root / "sea.png")
    for _ in range(10):
        world.clock.seconds += 1
        worker.watcher.scan_thread.scan()
    seen = len(disk.log)
    disk.fault = lambda operation, number: (
        OSError(errno.EIO, "Input/output error") if number > seen + 3 and "work" in operation.path.parts else None
    )
    worker.watcher.feeder.render(worker.stage)
    disk.fault = FaultyDisk.fault
    (world.root / "sea.png").rename(painting)
    worker.work(60)
    worker.end()
    assert world.check_settled().keys() == {"a__sea.png"}


def test_a_folder_of_the_library_is_one_style(world: World) -> None:
    (world.styles / "coast").mkdir()
    for name in ("b.png", "a.png"):
        (world.styles / "coast" / name).write_bytes(name.encode())
    world.drop("coast/p.jpg")
    worker = world.worker().start()
    tasks: list[Task] = []
    worker.stage.on_render = tasks.append
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"p__coast.png"}
    assert tasks[0].pair.styles == (world.styles / "coast" / "a.png", world.styles / "coast" / "b.png")
    assert tasks[0].pair.style_label == "coast"


def test_weights_that_do_not_fit_a_blend_fail_its_photographs_only(world: World) -> None:
    (world.styles / "coast").mkdir()
    for name in ("a.png", "b.png"):
        (world.styles / "coast" / name).touch()
    world.settings = {"style": {"blend_weights": [1, 2, 3]}}
    world.drop("coast/p.jpg")
    world.drop("sea/p.jpg")
    worker = world.worker().start()
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"p__sea.png"}
    assert [reason.reason for reason in reasons(world)] == [
        "coast: style.blend_weights has 3 values, but there are 2 paintings to blend."
    ]


def test_variants_are_further_results_of_a_photograph(world: World) -> None:
    world.settings = {"colour": {"variants": ["none", "swap-luma"]}}
    world.drop("sea/p.jpg")
    worker = world.worker().start()
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"p__sea.png", "p__sea--none.png", "p__sea--swap-luma.png"}
    assert world.spooled("done") == {"sea/p.jpg"}
    world.drop("sea/p.jpg")
    worker = world.worker().start()
    worker.work(12)
    worker.end()
    assert len(worker.duplicates) == 3


def test_after_a_crash_only_the_variants_that_are_missing_are_rendered(world: World) -> None:
    world.settings = {"colour": {"variants": ["none", "swap-luma"]}}
    world.drop("sea/p.jpg")
    disk = FaultyDisk(watched=())
    worker = world.worker(disk).start()

    def die(task: Task) -> None:
        if task.pair.name.endswith("none"):
            disk.dead = True
            raise Crash

    worker.stage.on_render = die
    with contextlib.suppress(Crash):
        worker.work(12)
    worker.die()
    worker = world.worker().start()
    rendered: list[str] = []
    worker.stage.on_render = lambda task: rendered.append(task.pair.name)
    worker.work(60)
    worker.end()
    assert world.check_settled().keys() == {"p__sea.png", "p__sea--none.png", "p__sea--swap-luma.png"}
    assert sorted(rendered) == ["p__sea--none", "p__sea--swap-luma"]


def test_a_mask_is_for_all_photographs_or_by_their_names(world: World, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "p.png").touch()
    for setting in (masks / "p.png", masks):
        world.settings = {"mask": {"file": str(setting)}}
        world.drop(f"sea/{'p' if setting == masks else 'q'}.jpg")
        worker = world.worker().start()
        tasks: list[Task] = []
        worker.stage.on_render = tasks.append
        worker.work(12)
        worker.end()
        assert [(task.pair.mask, task.pair.mask_label) for task in tasks] == [(masks / "p.png", "p.png")]
    world.drop("sea/r.jpg")
    worker = world.worker().start()
    worker.work(12)
    worker.end()
    assert [reason.reason for reason in reasons(world)] == [f"mask.file = {masks}: has no mask of the name 'r'."]


def test_a_ticket_waits_for_its_mask(world: World) -> None:
    world.drop("night.csv", b"content,style,mask\np.jpg,sea,m.png\n")
    world.drop("p.jpg")
    worker = world.worker().start()
    worker.work(12)
    assert world.results() == {}
    world.drop("m.png", b"white")
    tasks: list[Task] = []
    worker.stage.on_render = tasks.append
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"p__sea.png"}
    assert [task.pair.mask_label for task in tasks] == ["m.png"]
    assert world.spooled("done") == {"night.csv", "p.jpg", "m.png"}


def test_after_a_restart_with_other_variants_each_has_its_own_name(world: World) -> None:
    world.settings = {"colour": {"variants": ["none"]}}
    world.drop("sea/p.jpg")
    assert die_over(world, "p.jpg")
    world.settings = {"colour": {"variants": ["match", "none"]}}
    worked(world, 60)
    modes = {name: metadata.settings["colour"]["mode"] for name, metadata in world.check_settled().items()}
    assert modes == {"p__sea.png": "regions", "p__sea--match.png": "match", "p__sea--none.png": "none"}


def test_a_library_with_a_folder_that_cannot_be_read_still_has_its_styles(world: World) -> None:
    (world.styles / "lost+found").mkdir()
    disk = FaultyDisk(watched=())
    entries = disk.entries

    def refuse(folder: Path) -> Iterable[object]:
        if folder.name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied")
        return entries(folder)

    disk.entries = refuse  # type: ignore[method-assign,assignment]
    world.drop("sea/p.jpg")
    worker = world.worker(disk).start()
    worker.work(12)
    worker.end()
    assert world.check_settled().keys() == {"p__sea.png"}


def test_the_names_of_a_dead_watcher_whose_inbox_was_removed_are_free_again(tmp_path: Path) -> None:
    world, other = World(tmp_path / "world"), World(tmp_path / "other")
    other.outbox = world.outbox
    world.drop("sea/a.jpg")
    assert die_over(world, "a.jpg")
    (path,) = (world.outbox / ".impasto/pending").iterdir()
    mark = Mark.model_validate_json(path.read_bytes())
    assert (mark.spool, mark.pid) == (str(world.inbox / ".impasto"), os.getpid())
    path.write_text(mark.model_copy(update={"pid": 2**31 - 1}).model_dump_json())  # a number that no process has
    other.drop("sea/a.jpg", photo("another"))
    worked(other)
    (name,) = other.results()
    assert name.startswith("a__sea-"), "another watcher of the inbox may take the job over"
    shutil.rmtree(world.inbox)
    other.drop("sea/a.jpg", photo("a third one"))
    worked(other)
    assert content(other, "a__sea.png") == sha256(photo("a third one"))
