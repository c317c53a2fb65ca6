"""An inbox, an outbox and watchers, all in one process and with a simulated clock, so that no test waits."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import ImageError, ImpastoError, IncompleteError, Interrupted, MachineError
from pipeline.images.files import read_file
from pipeline.outbox.ledger import Fingerprint, settings_in_key, settings_in_metadata
from pipeline.outbox.metadata import Metadata
from pipeline.run.observer import Observer
from pipeline.settings.all_settings import validate
from pipeline.settings.resolve import merge
from pipeline.signals import StopRequest
from pipeline.stage.summary import Usage
from pipeline.stage.task import VERSIONS, Outcome, Task, failure_of
from pipeline.text import now
from pipeline.watch.inbox.events import ChangeEvents, Changes
from pipeline.watch.jobs.job_pairs import FingerprintReader
from pipeline.watch.service import Folders, Service
from pipeline.watch.spool.accounting import Balance
from tests.faults.disk import Crash, FaultyDisk, HastyDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.stage.listener import Listener
    from pipeline.stage.summary import Summary

WEIGHTS = "f" * 64
END, JPEG_END = b"|end", b"\xff\xd9"
GRAVES: list[contextlib.ExitStack] = []
"""Clean-up of simulated dead processes, which must never run; kept here, since garbage collection would run it."""


class Clock:
    """A clock that shows the seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def photo(text: str) -> bytes:
    """Return bytes that `FakeStage` takes for a photograph."""
    return f"photo {text} ".encode() + b"." * 50 + END


class FakeStage:
    """A stage that publishes a result for each file that ends like a photograph, without decoding it."""

    def __init__(self, listener: Listener, outbox: Outbox) -> None:
        self._listener, self._outbox = listener, outbox
        self.usage = Usage()
        self.isolates = False
        self.premature = 0
        self.on_render: Callable[[Task], None] = lambda _: None

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        for task in tasks:
            if task is None:
                continue
            try:
                self._listener.pair_started(task.pair)
                self.on_render(task)
                yield Outcome(task, self._render(task))
            except (MachineError, Interrupted):
                raise
            except ImpastoError as error:
                yield Outcome(task, failure_of(task, error), error)

    def _render(self, task: Task) -> Metadata:
        pair = task.pair
        data = [read_file(path).data for path in (pair.content, pair.styles[0])]
        if not data[0].endswith((END, JPEG_END)):
            self.premature += 1
            raise IncompleteError(f"{pair.content_label}: truncated", path=pair.content)
        if b"poison" in data[0]:
            raise ImageError(f"{pair.content_label}: is no picture", "Use another.")
        task.fence()
        self._outbox.marks.check_free(pair.file_name, task.owner)
        picture = b"picture of " + data[0]
        metadata = describe(task, *data, picture)
        self._outbox.publish_picture(pair.file_name, picture, task.owner)
        self._outbox.publish_metadata(pair.name, pair.file_name, metadata, task.owner)
        return metadata


def describe(task: Task, content: bytes, style: bytes, picture: bytes) -> Metadata:
    """Return the metadata of a result."""
    hashes = [hashlib.sha256(data).hexdigest() for data in (content, style)]
    pair = task.pair
    terms = {"total": 1.0, "content": 1.0, "style": 0.0, "tv": 0.0}
    size = {"width": 4, "height": 3}
    labels = (pair.content_label, pair.style_label)
    files = [{"path": path, "sha256": sha, "format": "png", **size} for path, sha in zip(labels, hashes, strict=True)]
    record: dict[str, Any] = {
        "key": Fingerprint(*hashes, settings_in_key(pair.settings), WEIGHTS, "1").key,
        "pair": {"content": files[0], "style": files[1]},
        "preset": pair.settings.preset,
        "settings": settings_in_metadata(pair.settings),
        "weights": {"name": "none", "sha256": WEIGHTS},
        "engine_version": "1",
        "device": "cpu",
        "precision": "float32",
        "working_size": (4, 3),
        "evaluations": 1,
        "objective": {"size": (4, 3), "first": terms, "last": terms, "best": terms, "trace": [(1, 1.0)]},
        "coarser": [],
        "seconds": {"load": 0, "queue": 0, "stylise": 0, "save": 0},
        "peak_memory_bytes": None,
        "attempt": task.attempt,
        "warnings": [],
        "output": {"path": pair.file_name, "sha256": hashlib.sha256(picture).hexdigest(), **size},
        "started": now(),
        "finished": now(),
        "versions": VERSIONS,
    }
    return Metadata.model_validate(record)


def balance_of(summary: Summary) -> Balance:
    """Return the balance of the files of a watcher, from its summary."""
    assert summary.missing is not None
    return Balance(**summary.counts, missing=summary.missing)


def assert_nothing_twice(results: dict[str, Metadata]) -> None:
    """Check that no photograph has two results of one name, however often it was dropped under that name."""
    found = [(re.sub(r"(-[0-9a-f]{6,})?\.png$", "", name), metadata.key) for name, metadata in results.items()]
    assert len(set(found)) == len(found), f"done twice: {sorted(found)}"


class ScriptedHints(ChangeEvents):
    """Change events that a test makes; event probes are answered."""

    def __init__(self) -> None:
        self.hint = Changes()
        self.signs: set[Path] = set()
        self.is_deaf = False

    def take(self) -> Changes:
        taken, self.hint = self.hint, Changes()
        return Changes() if self.is_deaf else Changes(taken.paths | self.signs, taken.look_everywhere)


@dataclass
class World:
    """The folders of a watcher, and the files that a person dropped into the inbox."""

    root: Path
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: Callable[[], float] = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.inbox, self.outbox, self.styles = (self.root / name for name in ("inbox", "outbox", "styles"))
        for folder in (self.inbox, self.styles):
            folder.mkdir(parents=True)
        (self.styles / "sea.png").write_bytes(b"the sea")

    def drop(self, name: str, data: bytes | None = None) -> Path:
        """Put a whole file into the inbox; return its path."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(name) if data is None else data)
        return path

    def worker(self, disk: Disk | None = None, *, drain: bool = False) -> Worker:
        """Return a new simulated process, which is not started yet."""
        return Worker(self, disk or HastyDisk(), drain=drain)

    def spooled(self, place: str) -> set[str]:
        """Return the files below the spool's `work`, `done` or `failed`, by their paths in the inbox."""
        folder = self.inbox / ".impasto" / place
        return {path.as_posix().partition("/in/")[2] for path in folder.glob("**/in/**/*") if path.is_file()}

    def waiting(self) -> set[str]:
        """Return the files in the inbox, by their paths in it."""
        found = (path.relative_to(self.inbox) for path in self.inbox.rglob("*") if path.is_file())
        return {path.as_posix() for path in found if not path.parts[0].startswith(".")}

    def results(self) -> dict[str, Metadata]:
        """Return the metadata of the results by file name, and check that each picture is whole."""
        found = {}
        for path in self.outbox.rglob("*.png.json"):
            name = path.relative_to(self.outbox).as_posix().removesuffix(".json")
            if name.startswith("failed/"):
                continue
            metadata = Metadata.model_validate_json(path.read_bytes())
            assert hashlib.sha256((self.outbox / name).read_bytes()).hexdigest() == metadata.output.sha256, name
            found[name] = metadata
        return found

    def check_settled(self) -> dict[str, Metadata]:
        """Return the results; check that nothing is half done: no picture lacks metadata, no mark or job is left."""
        results = self.results()
        pictures = {path.relative_to(self.outbox).as_posix() for path in self.outbox.rglob("*.png")}
        assert pictures == results.keys()
        state = self.outbox / ".impasto"
        assert [path for path in (state / "pending").iterdir() if json.loads(path.read_text())] == []
        assert not (state / "tmp").exists() or list((state / "tmp").rglob("*")) == []
        assert self.spooled("work") == set()
        assert_nothing_twice(results)
        return results

    def remove(self) -> None:
        shutil.rmtree(self.root)


class _Recorder(Observer):
    """An observer that keeps the events of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def outcome(self, outcome: Outcome) -> None:
        self._worker.outcomes.append(outcome)

    def duplicate(self, pair: Pair) -> None:
        self._worker.duplicates.append(pair.file_name)

    def status(self, status: Mapping[str, Any]) -> None:
        self._worker.statuses.append(status)


class Worker:
    """A simulated process that watches the inbox, driven step by step."""

    def __init__(self, world: World, disk: Disk, *, drain: bool = False) -> None:
        self._world, self.disk = world, disk
        values = merge(
            {
                "watch": {"polling": True, "poll_seconds": 1.0, "settle_seconds": 2.0, "incomplete_seconds": 5.0},
                "styles": {"folder": str(world.styles)},
            },
            world.settings,
        )
        settings = validate(values)
        self.outcomes: list[Outcome] = []
        self.duplicates: list[str] = []
        self.statuses: list[Mapping[str, Any]] = []
        self.stop = StopRequest(world.clock)
        service = Service(
            folders=Folders.of(world.inbox, world.outbox, settings),
            settings=settings,
            base_values=values,
            overrides={},
            fingerprints=FingerprintReader(WEIGHTS, "1"),
            observer=_Recorder(self),
            disk=disk,
            clock=world.clock,
        )
        self.watcher = service.watcher(self.stop, drain=drain)
        workplace = self.watcher.workplace
        self.scanner, self.spool, self.accounting = workplace.scanner, workplace.spool, workplace.accounting
        self.stage = FakeStage(self.watcher.listener, workplace.outbox)
        self._stack = contextlib.ExitStack()

    def with_hints(self) -> ScriptedHints:
        """Replace polling by change events that a test makes; return the source of these events."""
        hints, intake = ScriptedHints(), self.scanner
        hints.signs = {intake._probe.path}
        intake._events, intake._polling = hints, False
        return hints

    def start(self) -> Worker:
        self.watcher.enter(self._stack)
        return self

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, scan the inbox, and render the claimed jobs."""
        if isinstance(self._world.clock, Clock):
            self._world.clock.seconds += seconds
        self.watcher.scan_thread.scan()
        self.watcher.feeder.render(self.stage)

    def work(self, seconds: float = 30.0) -> None:
        """Work for a number of seconds, in steps of one second."""
        for _ in range(int(seconds)):
            self.step(1.0)

    def end(self) -> Balance:
        """Stop the worker as after a signal; return the balance of its files."""
        self.watcher.put_back()
        balance = self.accounting.balance(self._world.inbox, self.spool, self.disk)
        self._stack.close()
        assert balance.is_even, balance
        return balance

    def die(self) -> None:
        """End the worker as SIGKILL does: the system frees the lock, and nothing else happens."""
        if self.spool.worker._lock is not None:
            self.spool.worker._lock.release()
        GRAVES.append(self._stack.pop_all())


def load_ahead(worker: Worker) -> None:
    """Let the stage load each pair while the previous one is on the device, as the real stage does."""
    process = worker.stage.process

    def ahead(tasks: Iterable[Task | None]) -> Generator[Outcome]:
        waiting: deque[Task] = deque()
        for task in tasks:
            if task is None or task.deaths:
                yield from process(list(waiting))
                waiting.clear()
            if task is not None:
                waiting.append(task)
                if task.deaths or len(waiting) > 1:
                    yield from process([waiting.popleft()])
        yield from process(list(waiting))

    worker.stage.process = ahead


def die_over(world: World, name: str, seconds: float = 12) -> bool:
    """Run a process that the named photograph may kill; return whether it was killed."""
    disk = FaultyDisk(watched=())
    worker = world.worker(disk).start()
    load_ahead(worker)

    def render(task: Task) -> None:
        if task.pair.content.name == name:
            disk.dead = True
            raise Crash

    worker.stage.on_render = render
    try:
        worker.work(seconds)
    except Crash:
        worker.die()
        return True
    worker.end()
    return False
