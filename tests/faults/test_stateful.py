"""Tests of random actions of people and processes, in any order: no file may be lost, torn or rendered twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.faults.disk import Crash, FaultyDisk, crashing
from tests.faults.world import END, Worker, World, assert_nothing_twice, photo

if TYPE_CHECKING:
    from collections.abc import Callable

STYLES = st.sampled_from(["sea", "sky"])
"""Names of styles; the first is in the library from the start."""
NAMES = st.sampled_from(["a.jpg", "b.jpg", "deep/a.jpg"])
WORKERS = st.integers(0, 1)
PATIENT: dict[str, dict[str, Any]] = {"run": {"max_attempts": 99}}
"""Settings with many attempts: a photograph must not fail because its process was killed."""
RETIRE = st.sampled_from(["archive", "return"])


class DropFolder(RuleBasedStateMachine):
    """State machine of an inbox with one person and at most two processes."""

    rounds = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).rounds += 1
        self.world = World(Path(tempfile.mkdtemp()) / "world", PATIENT)
        self.workers: list[Worker | None] = [None, None]
        self.number = 0
        self.kept: dict[str, bytes] = {}
        """Files that the person dropped and did not take away, by their SHA-256."""
        self.partial: tuple[Path, BinaryIO] | None = None
        """Path of the file that is being copied, and the file object that its writer has open."""
        self.premature = 0
        self.owed: list[str] = []
        """Names of the files that tickets wait for."""

    def keep(self, data: bytes) -> bytes:
        self.kept[hashlib.sha256(data).hexdigest()] = data
        return data

    def withdraw(self, path: Path) -> None:
        """Forget the file that is at a path of the inbox, since it is about to be removed."""
        if path.exists():
            self.kept.pop(hashlib.sha256(path.read_bytes()).hexdigest(), None)
            if self.partial and path == self.partial[0]:
                self.partial[1].close()
                self.partial = None

    def fresh(self) -> bytes:
        self.number += 1
        return photo(f"number {self.number}")

    # Actions of the person

    @rule(style=STYLES, name=NAMES)
    def drop(self, style: str, name: str) -> None:
        """Move a whole file into the inbox; it replaces a file of that name that is still there."""
        self.withdraw(self.world.inbox / style / name)
        self.world.drop(f"{style}/{name}.part", data := self.fresh()).replace(self.world.inbox / style / name)
        self.keep(data)

    @rule(style=STYLES, name=NAMES)
    def drop_a_duplicate(self, style: str, name: str) -> None:
        for data in list(self.kept.values())[-1:]:
            self.withdraw(self.world.inbox / style / name)
            self.world.drop(f"{style}/{name}", self.keep(data))

    @precondition(lambda self: self.partial is None)
    @rule(style=STYLES, name=NAMES)
    def begin_to_copy(self, style: str, name: str) -> None:
        self.withdraw(self.world.inbox / style / name)
        path = self.world.drop(f"{style}/{name}", self.fresh()[: -len(END)])
        self.partial = path, path.open("ab", buffering=0)

    @precondition(lambda self: self.partial is not None)
    @rule()
    def end_to_copy(self) -> None:
        assert self.partial is not None
        (path, file), self.partial = self.partial, None
        file.write(END)
        file.close()
        self.keep(path.read_bytes())

    def pass_time(self, worker: Worker, seconds: float) -> None:
        """Let time pass for a process; the copy that is under way continues meanwhile."""
        while seconds > 0:
            if self.partial is not None:
                self.partial[1].write(b".")
            worker.step(min(1.0, seconds))
            seconds -= 1.0
        worker.step()

    @rule(present=st.booleans(), style=STYLES)
    def drop_a_ticket(self, style: str, *, present: bool) -> None:
        """Drop a ticket; its photograph is there already, or comes with `drop_what_tickets_wait_for`."""
        self.number += 1
        name = f"ticket{self.number}.jpg"
        painting = f"painting{self.number}.png"
        row = f"{name},{style}\n" if style == "sea" else f"{name},sea\n{name},{painting}\n"
        self.world.drop(f"job{self.number}.csv", f"content,style\n{row}".encode())
        if style != "sea":
            self.world.drop(painting, b"another sea")
        if present:
            self.world.drop(name, self.keep(self.fresh()))
        else:
            self.owed.append(name)

    @rule()
    def drop_what_tickets_wait_for(self) -> None:
        while self.owed:
            self.world.drop(self.owed.pop(), self.keep(self.fresh()))

    @rule(style=STYLES, name=NAMES)
    def take_away(self, style: str, name: str) -> None:
        path = self.world.inbox / style / name
        self.withdraw(path)
        path.unlink(missing_ok=True)

    @rule()
    def add_a_style(self) -> None:
        (self.world.styles / "sky.png").write_bytes(b"the sky")

    @rule(name=NAMES, years=st.integers(-30, 30))
    def set_times(self, name: str, years: int) -> None:
        """Set the times of a file, as a program does that preserves times, or as after a jump of the clock."""
        path = self.world.inbox / "sea" / name
        if path.exists():
            then = 1_700_000_000 + years * 31_000_000
            os.utime(path, (then, then))

    # Actions of the processes

    @rule(which=WORKERS, retire=RETIRE)
    def start(self, which: int, retire: str) -> None:
        if self.workers[which] is None:
            self.world.settings = {**PATIENT, "watch": {"retire": retire}}
            self.workers[which] = self.world.worker().start()

    @rule(which=WORKERS, seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def work(self, which: int, seconds: float) -> None:
        worker = self.workers[which]
        if worker is not None:
            self.pass_time(worker, seconds)

    @rule(which=WORKERS)
    def stop(self, which: int) -> None:
        worker, self.workers[which] = self.workers[which], None
        if worker is not None:
            worker.end()
            self.premature += worker.stage.premature

    @rule(which=WORKERS)
    def kill(self, which: int) -> None:
        worker, self.workers[which] = self.workers[which], None
        if worker is not None:
            worker.die()
            self.premature += worker.stage.premature

    @rule(which=WORKERS, at=st.integers(0, 160))
    def kill_at_an_operation(self, which: int, at: int) -> None:
        if self.workers[which] is not None:
            return
        worker = self.world.worker(FaultyDisk(crashing(at)))
        try:
            worker.start()
            self.pass_time(worker, 5)
            worker.end()
        except Crash:
            worker.die()
        self.premature += worker.stage.premature

    # Conditions that must always hold

    @invariant()
    def nothing_is_lost_or_torn(self) -> None:
        places = [path for path in self.world.inbox.rglob("*") if path.is_file() and path.suffix == ".jpg"]
        found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in places}
        assert self.kept.keys() <= found, "every photograph is in one of the folders"
        results = self.world.results()
        assert_nothing_twice(results)

    def teardown(self) -> None:
        """Let the processes finish; check that everything is done."""
        if self.partial is not None:
            self.end_to_copy()
        self.drop_what_tickets_wait_for()
        self.add_a_style()
        for which in range(len(self.workers)):
            self.kill(which)
        self.world.settings = PATIENT
        worker = self.world.worker().start()
        worker.work(15)
        worker.end()
        done = {each.pair.content.sha256 for each in self.world.check_settled().values()}
        assert done >= self.kept.keys(), "every photograph is painted"
        assert self.premature == 0
        assert self.world.spooled("failed") == set()
        shutil.rmtree(self.world.root.parent)


@pytest.mark.timeout(600)
def test_anything_in_any_order(tell: Callable[[str], None], *, exhaustive: bool) -> None:
    examples, steps = (1000, 40) if exhaustive else (60, 30)
    run_state_machine_as_test(
        DropFolder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a history would take minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
    tell(f"{DropFolder.rounds} histories of up to {steps} steps: nothing lost, torn or done twice")
