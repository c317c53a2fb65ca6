"""Tests of a run whose processes die: which pairs are suspected, when they are tried again, and when they fail."""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import DeviceError, ImageError, ImpastoError, OutOfMemoryError, ProcessDiedError
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.run import runner
from pipeline.run.observer import Observer
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.feeding import feed
from pipeline.stage.summary import Usage
from pipeline.stage.task import Outcome, Task, failure_of
from tests.faults.disk import Crash, FaultyDisk
from tests.faults.world import describe, photo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from pipeline.stage.summary import Summary

ROOM = 4
"""Number of pairs that the stage of these tests has in work at once, as the real one."""
PAIRS = 20


@dataclass
class FakeStage:
    """A stage that paints the first of its pairs in each step."""

    outbox: Outbox
    paint: Callable[[Task], None]
    """Function that is called in place of painting; it may raise."""
    usage: Usage = field(default_factory=Usage)
    isolates: bool = False
    seats: int = 1

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        workers = FakeWorkers(self)
        yield from feed(tasks, workers)
        if workers.error is not None:
            raise workers.error

    def close(self) -> None:
        """Do nothing."""

    def outcome(self, task: Task) -> Outcome:
        pair = task.pair
        try:
            self.paint(task)
        except (ImageError, OutOfMemoryError, ProcessDiedError) as error:
            return Outcome(task, failure_of(task, error), error)
        picture = b"picture of " + pair.content.read_bytes()
        metadata = describe(task, pair.content.read_bytes(), pair.styles[0].read_bytes(), picture)
        metadata = metadata.model_copy(update={"key": task.key})
        self.outbox.publish_picture(pair.file_name, picture)
        self.outbox.publish_metadata(pair.name, pair.file_name, metadata)
        return Outcome(task, metadata)


class FakeWorkers:
    def __init__(self, stage: FakeStage) -> None:
        self.error: BaseException | None = None
        self.isolates = stage.isolates
        self._stage, self._tasks = stage, list[Task]()

    @property
    def in_work(self) -> int:
        return len(self._tasks)

    @property
    def has_room(self) -> bool:
        return len(self._tasks) < ROOM

    def begin(self, task: Task) -> None:
        is_alone = not self._tasks or not any(each.deaths for each in [task, *self._tasks])
        assert is_alone or self.isolates, "a suspect is alone"
        self._tasks.append(task)

    def receive(self, seconds: float) -> Iterator[Outcome]:
        if seconds and self._tasks:
            try:
                outcome = self._stage.outcome(self._tasks[0])
            except ImpastoError as error:
                self.fail(error)
                return
            del self._tasks[0]
            yield outcome

    def fail(self, error: BaseException) -> None:
        self.error = self.error or error


class Night:
    """An outbox, its pairs, and the runs that work on it, each in a process of its own."""

    def __init__(self, folder: Path, pairs: list[Pair], patch: pytest.MonkeyPatch, max_attempts: int = 3) -> None:
        self.root, self._pairs, self._patch = folder / "out", pairs, patch
        self._settings = Settings.model_validate({"run": {"device": "cpu", "max_attempts": max_attempts}})
        self.painted: list[str] = []
        """Names of the pairs that the latest process began to paint, in their order."""

    def run(self, paint: Callable[[Task], None] = lambda _: None, *, isolates: bool = False) -> Summary | BaseException:
        """Run all pairs in one process; return its summary, or the error that ended it.

        `paint` raises Crash where the process is killed. With `isolates`, the stage has several processes.
        """
        disk = FaultyDisk(watched=())
        outbox = Outbox(self.root, disk)
        self.painted = []

        def paint_or_die(task: Task) -> None:
            self.painted.append(task.pair.name)
            try:
                paint(task)
            except Crash:
                disk.dead = True
                raise

        self._patch.setattr(runner, "make_stage", lambda *_: FakeStage(outbox, paint_or_die, isolates=isolates))
        try:
            return runner.run(self._pairs, outbox, self._settings, Observer())
        except (Crash, DeviceError) as error:
            return error

    def results(self) -> set[str]:
        return {path.stem for path in self.root.glob("*.png")}

    def failures(self) -> set[str]:
        return {path.stem for path in self.root.glob("failed/*.json")}

    def marks(self) -> list[str]:
        return [path.name for path in (self.root / ".impasto/pending").iterdir()]


@pytest.fixture
def night(tmp_path: Path, make_fake_pairs: Callable[[int], list[Pair]], monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(tmp_path, make_fake_pairs(PAIRS), monkeypatch)


@pytest.fixture
def make_fake_pairs(tmp_path: Path) -> Callable[[int], list[Pair]]:
    def make(count: int) -> list[Pair]:
        style = tmp_path / "style.png"
        style.write_bytes(photo("style"))
        pairs = []
        for number in range(count):
            content = tmp_path / f"{number:02}.png"
            content.write_bytes(photo(content.name))
            pairs.append(Pair(content, (style,), content.name, style.name, content.stem, PairSettings()))
        return pairs

    return make


def killer(names: Iterable[str]) -> Callable[[Task], None]:
    """Return a function that ends the process at these pairs."""

    def paint(task: Task) -> None:
        if task.pair.name in names:
            raise Crash

    return paint


def killed_after(evaluations: float) -> Callable[[Task], None]:
    """Return a function that ends the process from outside after a time, of which each pair takes 1."""
    left = evaluations

    def paint(_: Task) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash

    return paint


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.exhaustive if seed >= 3 else ()) for seed in range(20)]
)
def test_pairs_do_not_fail_for_kills_from_outside(night: Night, seed: int) -> None:
    moments = random.Random(seed)  # noqa: S311
    for _ in range(12):
        night.run(killed_after(moments.expovariate(1 / 3)))
    night.run()
    assert night.failures() == set()
    assert len(night.results()) == PAIRS
    assert night.marks() == []


@pytest.mark.parametrize("seed", range(3))
def test_pairs_that_kill_fail_and_all_others_are_rendered_first(night: Night, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    deadly = {f"{number:02}" for number in chance.sample(range(PAIRS), 2)}
    runs = 0
    while isinstance(night.run(killer(deadly)), Crash):
        runs += 1
        assert runs < 20
        if runs > 4:  # the first two processes die in company, the next two at the first suspects
            assert len(night.results()) == PAIRS - 2, "all others are done before a suspect is tried again"
    assert runs in (7, 8), "each kills in company at most once, and alone three times"
    assert night.failures() == deadly
    assert len(night.results()) == PAIRS - 2
    assert night.marks() == []
    night.run(killer(deadly))
    assert night.painted == [], "what has failed is not tried again"


def test_a_pair_that_kills_fails_although_others_were_killed_from_outside(night: Night) -> None:
    moments = random.Random(5)  # noqa: S311
    for _ in range(6):
        left = killed_after(moments.expovariate(1 / 2))
        night.run(lambda task, left=left: (killer({"07"})(task), left(task))[-1])
    runs = 0
    while isinstance(night.run(killer({"07"})), Crash):
        runs += 1
        assert runs <= 9
    assert night.failures() == {"07"}
    assert len(night.results()) == PAIRS - 1


def test_a_suspect_that_fails_by_itself_fails_as_any_other(night: Night) -> None:
    night.run(killer({"00"}))

    def paint(task: Task) -> None:
        if task.pair.name == "00":
            raise ImageError("it is no picture")

    night.run(paint)
    assert night.failures() == {"00"}
    assert night.painted[-4:] == ["00", "01", "02", "03"]
    assert len(night.results()) == PAIRS - 1


def broken_at(names: Iterable[str]) -> Callable[[Task], None]:
    """Return a function that lets the device fail at these pairs."""

    def paint(task: Task) -> None:
        if task.pair.name in names:
            raise DeviceError("illegal memory access", suspects=(task.pair.file_name,))

    return paint


def test_a_pair_at_which_the_device_fails_does_not_stop_the_others(night: Night) -> None:
    ends = []
    while isinstance(night.run(broken_at({"03"})), DeviceError):
        ends.append(sorted(night.results()))
        assert len(ends) < 10
    assert len(ends) == 4
    assert ends[0] == ["00", "01", "02"]
    assert all(len(results) == PAIRS - 1 for results in ends[1:])
    assert night.failures() == {"03"}


def test_a_device_that_fails_at_every_pair_makes_none_fail_soon(night: Night) -> None:
    everything = {f"{number:02}" for number in range(PAIRS)}
    for _ in range(2 * PAIRS):
        assert isinstance(night.run(broken_at(everything)), DeviceError)
    assert night.failures() == set()
    night.run()
    assert len(night.results()) == PAIRS


def test_nothing_reads_ahead_when_a_run_has_ended_with_an_error(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PLANNED_AHEAD", 1)  # the thread that plans waits for room
    error = night.run(broken_at({"00"}))
    assert isinstance(error, DeviceError)  # its traceback holds everything that was not closed
    assert [thread.name for thread in threading.enumerate() if thread.name == "prefetch"] == []


def test_an_outbox_of_an_earlier_version_has_marks_without_the_new_counts(night: Night) -> None:
    with contextlib.suppress(Crash):
        night.run(killer({"00"}))
    for path in (night.root / ".impasto/pending").iterdir():
        path.write_text('{"owner":"run","key":null,"attempts":2,"publishing":false}')
    night.run()
    assert len(night.results()) == PAIRS
    assert night.failures() == set()


def test_a_pair_that_runs_out_of_memory_beside_others_is_tried_again_alone(night: Night) -> None:
    tried: list[str] = []

    def paint(task: Task) -> None:
        tried.append(task.pair.name)
        if task.pair.name == "05" and tried[-4:] == ["02", "03", "04", "05"]:
            raise OutOfMemoryError("it does not fit beside the others")

    summary = night.run(paint)
    assert not isinstance(summary, BaseException)
    assert night.failures() == set()
    assert night.painted[-2:] == ["19", "05"]
    assert len(night.results()) == summary.counts["rendered"] == PAIRS
    assert night.marks() == []


@pytest.mark.parametrize("isolates", [True, False])
def test_pairs_of_a_process_of_several_that_died_are_tried_again_alone_in_the_same_run(
    night: Night, *, isolates: bool
) -> None:
    tried: list[Task] = []

    def paint(task: Task) -> None:
        tried.append(task)
        if task.pair.name in ("03", "04") and not task.deaths:
            raise ProcessDiedError("its process was killed", is_alone=False)

    summary = night.run(paint, isolates=isolates)
    assert not isinstance(summary, BaseException)
    assert summary.counts["rendered"] == len(night.results()) == PAIRS
    again = [task for task in tried if task.deaths]
    assert [(task.pair.name, task.attempt, task.deaths, task.deaths_alone) for task in again] == [
        ("03", 2, 1, 0),
        ("04", 2, 1, 0),
    ]
    assert night.marks() == []


def test_a_pair_that_kills_its_process_each_time_fails_and_the_run_goes_on(night: Night) -> None:
    tried: list[Task] = []

    def paint(task: Task) -> None:
        if task.pair.name == "05":
            tried.append(task)
            raise ProcessDiedError("its process was killed", is_alone=task.deaths > 0)

    summary = night.run(paint, isolates=True)
    assert not isinstance(summary, BaseException)
    assert (summary.counts["rendered"], summary.counts["failed"]) == (PAIRS - 1, 1)
    assert night.failures() == {"05"}
    assert [(task.attempt, task.deaths, task.deaths_alone) for task in tried] == [
        (1, 0, 0),
        (2, 1, 0),
        (3, 2, 1),
        (4, 3, 2),
    ]
    assert night.marks() == []


def test_a_pair_that_does_not_fit_alone_either_fails_once(night: Night) -> None:
    def paint(task: Task) -> None:
        if task.pair.name in ("05", "06"):
            raise OutOfMemoryError("it does not fit")

    summary = night.run(paint)
    assert not isinstance(summary, BaseException)
    assert night.painted[-2:] == ["05", "06"]
    assert night.failures() == {"05", "06"}
    assert (summary.counts["failed"], summary.counts["rendered"], summary.counts["waiting"]) == (2, PAIRS - 2, 0)
    assert night.marks() == []


def test_a_file_in_place_of_the_folder_of_failures_ends_no_run(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    def paint(task: Task) -> None:
        if task.pair.name == "05":
            raise ImageError("it is no picture")

    night.root.mkdir()
    foreign = night.root / "failed"
    foreign.write_text("precious")
    summary = night.run(paint)
    assert not isinstance(summary, BaseException)
    assert (summary.counts["failed"], summary.counts["rendered"], summary.counts["waiting"]) == (1, PAIRS - 1, 0)
    assert foreign.read_text() == "precious"
    assert "failed/05.json: the outbox cannot have this name: Not a directory. Move away the file" in caplog.text
    assert night.marks() == []
