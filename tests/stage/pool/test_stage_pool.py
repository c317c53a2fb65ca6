"""Tests of the pool of device processes: real processes, and, since each imports torch, mostly one shared pool."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch
from PIL import Image

from pipeline.errors import (
    ChangedError,
    DeviceError,
    ExitCode,
    FatalPairError,
    ImageError,
    Interrupted,
    ProcessDiedError,
    StorageError,
)
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.attempts import Attempts
from pipeline.stage.pool import stage_pool as pool_module
from pipeline.stage.pool.allotment import Allotment
from pipeline.stage.pool.pipe_venue import PipeVenue
from pipeline.stage.pool.stage_pool import StagePool, assignment_for, make_stage
from pipeline.stage.resources import PAIRS_AHEAD
from pipeline.stage.stage import Stage
from pipeline.stage.task import Outcome, Task
from pipeline.transfer.weights import find_weights
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipeline.stage.pool.crew import Worker
    from pipeline.transfer.state import Evaluation

LONG = 20_000
"""Number of evaluations of a pair that practically never ends."""
TWO_CPUS = [torch.device("cpu")] * 2
ROOT = Path(__file__).parents[3]


class Recorder:
    """A listener that records the order of its events and of the outcomes."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.threads: set[threading.Thread] = set()
        self.times: list[float] = []
        self.on_started: Callable[[Pair], None] = lambda _: None
        self.on_evaluated: Callable[[Pair], None] = lambda _: None

    def check(self, *, in_progress: bool) -> None:
        """Go on."""

    def pair_started(self, pair: Pair) -> None:
        self.threads.add(threading.current_thread())
        self.events.append(("started", pair.name))
        self.on_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self.threads.add(threading.current_thread())
        self.times.append(time.monotonic())
        self.events.append(("evaluated", pair.name))
        assert evaluation.total > 0
        self.on_evaluated(pair)


class Bench:
    """A pool of two CPU devices, its outbox, and pictures for it."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder, self.outbox, self.recorder = folder, Outbox(folder / "out"), Recorder()
        settings, weights = settings or Settings(), find_weights("packaged")
        self.venue = PipeVenue(["cpu", "cpu"], assignment_for(settings, weights, self.outbox, 2))
        self.pool = StagePool(self.venue, settings, weights, self.outbox, self)

    def check(self, *, in_progress: bool) -> None:
        """Go on."""

    def pair_started(self, pair: Pair) -> None:
        self.recorder.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self.recorder.evaluated(pair, evaluation)

    @property
    def pids(self) -> list[int | None]:
        return [worker.seat.process.pid for worker in self.pool._crew.workers]

    @property
    def checkpoints(self) -> list[Path]:
        return sorted(self.outbox.root.glob(".impasto/checkpoints/*"))

    def pair(self, name: str, evaluations: int = 2, seed: int = 0) -> Pair:
        return self.pair_in(self.folder, name, evaluations, seed)

    @staticmethod
    def pair_in(folder: Path, name: str, evaluations: int = 2, seed: int = 0) -> Pair:
        content, style = folder / f"{name}.png", folder / f"{name}-style.png"
        for number, path in enumerate((content, style)):
            Image.fromarray(photo(40, 32, seed + number)).save(path)
        settings = PairSettings.model_validate({"image": {"size": 40}, "pyramid": {"evaluations": evaluations}})
        return Pair(content, (style,), content.name, style.name, name, settings)

    def process(self, tasks: Iterable[Task | None]) -> Iterator[Outcome]:
        """Yield the outcomes of tasks, and record each."""
        with self.outbox.opened(), contextlib.closing(self.pool.process(tasks)) as outcomes:
            for outcome in outcomes:
                self.recorder.events.append(("told", outcome.pair.name))
                yield outcome


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, _cache: None) -> Iterator[Bench]:
    # Without reordering the pairs of a device start in the order of their tasks, however busy the machine is.
    bench = Bench(tmp_path_factory.mktemp("pool"), Settings.model_validate({"run": {"max_reorder": 0}}))
    yield bench
    bench.pool.close()
    assert not any(seat.process.is_alive() for seat in bench.venue._started)


@pytest.fixture
def bench(shared: Bench) -> Bench:
    shared.recorder = Recorder()
    return shared


@pytest.fixture
def own_bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a pool for a single test, which may destroy it."""
    bench = Bench(tmp_path)
    yield bench
    bench.pool.close()


def tasks_of(bench: Bench, prefix: str, count: int) -> list[Task]:
    """Return tasks for small pairs whose names begin with a prefix."""
    return [Task(bench.pair(f"{prefix}{number}", seed=number), 1, None) for number in range(count)]


def test_each_of_two_devices_renders_some_of_the_pairs_and_each_pair_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = tasks_of(bench, "six", 6)
    given: list[object] = []
    give = Allotment._give

    def noting(allotment: Allotment[Any], worker: Worker[Any], task: Task) -> None:
        given.append(worker)
        give(allotment, worker, task)

    monkeypatch.setattr(Allotment, "_give", noting)
    outcomes = list(bench.process([tasks[0], None, *tasks[1:]]))
    assert sorted(outcome.pair.name for outcome in outcomes) == [f"six{number}" for number in range(6)]
    assert all(any(outcome.task is task for task in tasks) for outcome in outcomes), (
        "outcomes have the task objects that were given"
    )
    assert len(set(map(id, given))) == 2
    for outcome in outcomes:
        assert isinstance(outcome.record, Metadata)
        record = bench.outbox.metadata_path(outcome.pair.file_name).read_bytes()
        assert Metadata.model_validate_json(record) == outcome.record
    assert [kind for kind, _ in bench.recorder.events].count("started") == 6
    assert bench.recorder.threads == {threading.current_thread()}, (
        "listeners are called in the thread of the caller, as documented"
    )
    assert list(bench.outbox.root.glob(".impasto/tmp/*/*")) == []


def test_the_next_call_finds_the_processes_as_they_were_and_times_are_added_up(bench: Bench) -> None:
    list(bench.process(tasks_of(bench, "first", 2)))
    pids, usage = bench.pids, bench.pool.usage
    before = usage.pairs, usage.stylise_seconds, usage.begin
    list(bench.process(tasks_of(bench, "second", 2)))
    assert bench.pids == pids
    assert all(pid is not None and psutil.pid_exists(pid) for pid in pids)
    assert bench.pool.usage is usage
    assert (usage.pairs - before[0], usage.begin) == (2, before[2])
    assert usage.stylise_seconds > before[1]
    assert usage.peak_memory_bytes
    assert usage.devices == 2
    assert 0 < usage.busy_share <= 1
    assert usage.busy_share == pytest.approx(usage.stylise_seconds / usage.wall_seconds / 2)


def test_nothing_to_do_is_done(bench: Bench) -> None:
    assert list(bench.process([])) == []
    assert list(bench.process([None, None])) == []


def test_a_pair_that_cannot_be_read_fails_and_the_others_go_on(bench: Bench) -> None:
    good, bad = tasks_of(bench, "mixed", 2)
    bad.pair.content.write_bytes(b"no image")
    outcomes = {outcome.pair.name: outcome for outcome in bench.process([bad, good])}
    failed = outcomes["mixed1"]
    assert isinstance(failed.record, Failure)
    assert isinstance(failed.error, ImageError)
    assert "mixed1.png" in failed.error.message
    assert isinstance(outcomes["mixed0"].record, Metadata)


def test_a_fence_is_asked_by_the_caller_and_what_it_raises_is_the_pairs_failure(bench: Bench) -> None:
    where: list[tuple[int, threading.Thread]] = []

    def refuse() -> None:
        where.append((os.getpid(), threading.current_thread()))
        raise ChangedError("It was written to.", "It is painted again.")

    def fail() -> None:
        raise ZeroDivisionError("oh")

    pairs = [bench.pair(name) for name in ("refused", "defect", "wanted")]
    tasks = [Task(pairs[0], 1, None, fence=refuse), Task(pairs[1], 1, None, fence=fail), Task(pairs[2], 1, None)]
    outcomes = {outcome.pair.name: outcome for outcome in bench.process(tasks)}
    assert isinstance(outcomes["refused"].error, ChangedError)
    assert str(outcomes["refused"].error) == "It was written to. It is painted again."
    assert where == [(os.getpid(), threading.current_thread())]
    assert not bench.outbox.picture_path("refused.png").exists()
    defect = outcomes["defect"].record
    assert isinstance(defect, Failure)
    assert (defect.error_class, defect.reason) == ("internal", "ZeroDivisionError: oh")
    assert isinstance(outcomes["wanted"].record, Metadata)


def test_a_fence_that_ends_all_ends_all_and_the_next_call_goes_on(bench: Bench) -> None:
    def disk_full() -> None:
        raise StorageError("The disk is full.")

    with pytest.raises(StorageError, match="The disk is full"):
        list(bench.process([Task(bench.pair("unlucky"), 1, None, fence=disk_full)]))
    (outcome,) = bench.process([Task(bench.pair("unlucky"), 1, None)])
    assert isinstance(outcome.record, Metadata)


def test_what_the_source_of_tasks_raises_is_raised_after_what_is_finished(bench: Bench) -> None:
    def tasks() -> Iterator[Task | None]:
        yield Task(bench.pair("before"), 1, None)
        while ("told", "before") not in bench.recorder.events:
            yield None
        raise StorageError("The inbox is gone.")

    with pytest.raises(StorageError, match="The inbox is gone"):
        list(bench.process(tasks()))
    assert bench.recorder.events[-1] == ("told", "before")


def test_a_suspect_is_alone_in_its_process_while_the_other_goes_on(bench: Bench) -> None:
    suspect = Task(bench.pair("suspect", 300), 1, None, deaths=1)
    tasks = [*tasks_of(bench, "before", 2), suspect, *tasks_of(bench, "beside", 6)]
    shared: list[list[str]] = []

    def look(pair: Pair) -> None:
        for worker in bench.pool._crew.workers:
            names = [task.pair.name for task in worker.tasks.values()]
            if "suspect" in names:
                shared.append(names)

    bench.recorder.on_started = bench.recorder.on_evaluated = look
    outcomes = [outcome.pair.name for outcome in bench.process(tasks)]
    assert sorted(outcomes) == sorted(task.pair.name for task in tasks)
    assert shared
    assert all(names == ["suspect"] for names in shared)
    events = [event for event in bench.recorder.events if event[0] != "evaluated"]
    begin, end = events.index(("started", "suspect")), events.index(("told", "suspect"))
    assert any(name.startswith("beside") for kind, name in events[begin:end] if kind == "told")


def test_no_more_is_taken_than_a_stage_would_have_ahead(bench: Bench) -> None:
    taken: list[str] = []

    def tasks() -> Iterator[Task]:
        for number in range(6 * PAIRS_AHEAD):
            taken.append(str(number))
            yield Task(bench.pair(f"long{number}", LONG), 1, None)

    def stop(_: Pair) -> None:
        if len(bench.recorder.times) >= 12:
            raise Interrupted(ExitCode.INTERRUPTED)

    bench.recorder.on_evaluated = stop
    with pytest.raises(Interrupted):
        list(bench.process(tasks()))
    assert len(taken) == 2 * PAIRS_AHEAD
    seconds = bench.recorder.times[-1] - bench.recorder.times[0]
    assert seconds >= 0.9, "each device reports at most five evaluations a second"


def test_a_stop_stops_all_devices_and_leaves_checkpoints(bench: Bench) -> None:
    before = set(bench.checkpoints)

    def stop(_: Pair) -> None:
        if {("evaluated", "left"), ("evaluated", "right")} <= set(bench.recorder.events):
            raise Interrupted(ExitCode.TERMINATED)

    bench.recorder.on_evaluated = stop
    tasks = [Task(bench.pair(name, LONG, seed), 1, None) for seed, name in enumerate(("left", "right"), 20)]
    with pytest.raises(Interrupted) as caught:
        list(bench.process(tasks))
    assert caught.value.code is ExitCode.TERMINATED
    assert len(set(bench.checkpoints) - before) == 2
    bench.recorder = Recorder()
    assert len(list(bench.process(tasks_of(bench, "after", 2)))) == 2, "the pool can be used again"


def test_a_stop_between_pairs_leaves_other_devices_their_time_of_grace(bench: Bench) -> None:
    def stop(pair: Pair) -> None:
        if pair.name == "too late":
            raise Interrupted(ExitCode.TERMINATED)

    bench.recorder.on_started = stop
    # The first and the third pair are on one device; a short pair might end before the device gets the stop.
    names = {"in work": 500, "early": 2, "behind it": LONG, "too late": LONG}

    def tasks() -> Iterator[Task | None]:
        for name, count in names.items():
            while name == "too late" and ("started", "in work") not in bench.recorder.events:
                yield None  # a device that is slow to start would not begin after the stop
            yield Task(bench.pair(name, count), 1, None)

    with pytest.raises(Interrupted):
        list(bench.process(tasks()))
    assert {name for kind, name in bench.recorder.events if kind == "told"} == {"early", "in work"}


def test_who_wants_no_more_outcomes_has_the_devices_back_soon(bench: Bench) -> None:
    tasks = [Task(bench.pair("brief"), 1, None), Task(bench.pair("endless", LONG), 1, None)]
    for outcome in bench.process(tasks):
        assert outcome.pair.name == "brief"
        break
    assert list(bench.process(tasks_of(bench, "again", 1)))


def test_lines_of_the_log_come_to_the_callers_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    nonsense: Any = (None,)
    (outcome,) = bench.process([Task(bench.pair("strange", 11), 1, None, evaluations=nonsense)])
    assert isinstance(outcome.record, Failure)
    assert outcome.record.error_class == "internal"
    (line,) = [line for line in caplog.records if line.message.startswith("strange failed")]
    assert line.processName == "cpu"
    assert "Traceback" in line.message


def test_warnings_of_python_come_to_the_callers_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Warns:
        def __reduce__(self) -> tuple[Any, ...]:
            return warnings.warn, ("a tensor is odd",)  # called in the process that unpickles it

    odd: Any = Warns()
    (outcome,) = bench.process([Task(bench.pair("odd"), 1, odd)])
    assert isinstance(outcome.record, Metadata)
    (line,) = [line for line in caplog.records if line.name == "py.warnings"]
    assert (line.processName, "a tensor is odd" in line.message) == ("cpu", True)


def test_a_process_that_is_killed_is_replaced_and_its_pair_is_tried_again_alone(
    own_bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench = own_bench
    victim = Task(bench.pair("victim", 400), 1, None)
    killed: list[int] = []

    def kill(pair: Pair) -> None:
        if pair.name == "victim" and not killed:
            (worker,) = [
                each for each in bench.pool._crew.workers if "victim" in {t.pair.name for t in each.tasks.values()}
            ]
            killed.append(worker.seat.process.pid)
            os.kill(worker.seat.process.pid, signal.SIGKILL)

    bench.recorder.on_evaluated = kill
    todo = [victim, *tasks_of(bench, "short", 4)]
    again: list[Task] = []
    done: list[str] = []
    with bench.outbox.locked(), Attempts(bench.outbox, 3) as attempts:

        def tasks() -> Iterator[Task | None]:
            while todo or attempts.are_open:
                yield attempts.begin(todo.pop(0)) if todo else None

        for outcome in bench.pool.process(tasks()):
            if isinstance(outcome.error, ProcessDiedError):
                considered = attempts.count_death(outcome)
                assert isinstance(considered, Task)
                again.append(considered)
                todo.append(considered)
            else:
                attempts.end(outcome)
                done.append(outcome.pair.name)
    assert killed
    assert "its process ended unexpectedly (Killed)" in caplog.text
    assert sorted(done) == ["short0", "short1", "short2", "short3", "victim"]
    (suspect,) = [task for task in again if task.pair.name == "victim"]
    assert (suspect.deaths, suspect.attempt) == (1, 2)
    assert {path.name for path in bench.outbox.root.glob("*.json")} == {f"{name}.png.json" for name in done}
    assert all(bench.outbox.marks.read(f"{name}.png") is None for name in done)


def test_a_pair_that_kills_its_process_each_time_fails_and_the_others_are_done(own_bench: Bench) -> None:
    bench = own_bench
    failures: list[Failure] = []
    done: list[str] = []

    def kill(pair: Pair) -> None:
        if pair.name == "killer":
            for worker in bench.pool._crew.workers:
                if "killer" in {task.pair.name for task in worker.tasks.values()}:
                    os.kill(worker.seat.process.pid, signal.SIGKILL)

    bench.recorder.on_started = kill
    todo = [Task(bench.pair("killer", LONG), 1, None), *tasks_of(bench, "good", 3)]
    with bench.outbox.locked(), Attempts(bench.outbox, 2) as attempts:

        def tasks() -> Iterator[Task | None]:
            while todo or attempts.are_open:
                yield attempts.begin(todo.pop(0)) if todo else None

        for outcome in bench.pool.process(tasks()):
            if isinstance(outcome.error, ProcessDiedError):
                considered = attempts.count_death(outcome)
                if isinstance(considered, Task):
                    todo.append(considered)
                else:
                    assert isinstance(considered.error, FatalPairError)
                    assert isinstance(considered.record, Failure)
                    failures.append(considered.record)
                    attempts.end(considered)
            else:
                attempts.end(outcome)
                done.append(outcome.pair.name)
    assert sorted(done) == ["good0", "good1", "good2"]
    (failure,) = failures
    assert "the process died 2 times while it worked on this pair alone" in failure.reason


def test_a_device_that_cannot_be_used_ends_the_call(tmp_path: Path) -> None:
    if torch.cuda.device_count() > 7:
        pytest.skip("it can be used")
    outbox, settings, weights = Outbox(tmp_path / "out"), Settings(), find_weights("packaged")
    venue = PipeVenue(["cuda:7"], assignment_for(settings, weights, outbox, 1))
    with (
        contextlib.closing(StagePool(venue, settings, weights, outbox, Recorder())) as pool,
        pytest.raises(DeviceError, match="cuda:7"),
    ):
        list(pool.process([Task(Bench.pair_in(tmp_path, "any"), 1, None)]))


def test_one_device_has_no_pool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights, outbox, settings = find_weights("packaged"), Outbox(tmp_path), Settings()
    monkeypatch.setattr(pool_module, "find_devices", lambda _: TWO_CPUS[:1])
    with contextlib.closing(make_stage(settings, weights, outbox, Recorder())) as stage:
        assert isinstance(stage, Stage)
    monkeypatch.setattr(pool_module, "find_devices", lambda _: TWO_CPUS)
    with contextlib.closing(make_stage(settings, weights, outbox, Recorder())) as stage:
        assert isinstance(stage, StagePool)


COMMAND = """
import torch, pipeline.stage.pool.stage_pool as pool
pool.find_devices = lambda _: [torch.device("cpu")] * 2
from pipeline.cli.main import main
main()
"""


@pytest.fixture
def endless_run(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield `impasto run` in a process group of its own, once its two devices are at work."""
    lines = ["content,style"]
    for number in range(2):
        Image.fromarray(photo(40, 32, number)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,0.png")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    sets = ["--set", "image.size=40", "--set", f"pyramid.evaluations={LONG}", "--set", "run.checkpoint_seconds=0.2"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", tmp_path / "pairs.csv", "--outbox", tmp_path / "out", *sets],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _wait_for(lambda: len(list(tmp_path.glob("out/.impasto/checkpoints/*"))) == 2)
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _wait_for(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds, for a number of seconds at most."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.05)
    assert is_so()


def _children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the device processes of a running command."""
    return [each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())]


def test_ctrl_c_in_the_terminal_ends_all_in_order(endless_run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    children = _children(endless_run)
    assert len(children) == 2
    os.killpg(endless_run.pid, signal.SIGINT)
    _, errors = endless_run.communicate(timeout=30)
    assert endless_run.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in errors.decode()
    assert not any(child.is_running() for child in children)
    assert len(list(tmp_path.glob("out/.impasto/checkpoints/*"))) == 2
    assert list(tmp_path.glob("out/.impasto/pending/*")) == [], "no mark of an unfinished attempt is left"
    assert list(tmp_path.glob("out/.impasto/tmp/*")) == []


def test_processes_whose_parent_is_gone_end_by_themselves(endless_run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    children = _children(endless_run)
    assert len(children) == 2
    endless_run.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert list(tmp_path.glob("out/.impasto/tmp/run/*")) == []
