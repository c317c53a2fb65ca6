"""Tests of the cost of a pair, counted in operations on disk, which must not grow with the pairs of its ticket."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.jobs import job_names
from tests.faults.disk import CHANGES, LOOKS, FaultyDisk
from tests.faults.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.stage.task import Task

ROWS = (12, 60)


@pytest.fixture(autouse=True)
def short_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a record have the names of five pairs, so that small tickets have several."""
    monkeypatch.setattr(job_names, "PAIRS_PER_RECORD", 5)


class CountingDisk(FaultyDisk):
    """A disk that counts its operations, and the bytes that it writes and reads."""

    amount = 0

    def _do(self, name: str, path: Path, *arguments: object) -> object:
        found = super()._do(name, path, *arguments)
        data = arguments[0] if name == "write" else found
        self.amount += len(data) if isinstance(data, bytes | list) else 0
        return found


def costs(root: Path, rows: int) -> list[tuple[int, int]]:
    """Return the operations and the amount of data of each pair of a ticket but the first and last."""
    world = World(root)
    names = [f"{number:04}.png" for number in range(rows)]
    for name in names:
        world.drop(name)
    world.drop("job.csv", "\n".join(["content,style", *(f"{name},sea" for name in names)]).encode())
    disk = CountingDisk(watched=CHANGES + LOOKS)
    worker = world.worker(disk).start()
    counts = [(0, 0)]
    decide = worker.watcher.feeder._jobs._names.choose

    def choose(*arguments: object) -> object:
        counts.append((len(disk.log), disk.amount))
        return decide(*arguments)  # type: ignore[arg-type]

    worker.watcher.feeder._jobs._names.choose = choose  # type: ignore[assignment, method-assign]
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == rows
    return [(after[0] - before[0], after[1] - before[1]) for before, after in itertools.pairwise(counts[1:])]


def test_a_pair_of_a_large_ticket_costs_as_much_as_one_of_a_small(tmp_path: Path) -> None:
    small, large = (costs(tmp_path / str(rows), rows) for rows in ROWS)
    assert max(operations for operations, _ in large) <= max(operations for operations, _ in small)
    assert max(amount for _, amount in large) <= 1.1 * max(amount for _, amount in small)


def test_a_pair_that_was_done_before_a_restart_costs_as_much_in_a_large_ticket(tmp_path: Path) -> None:
    found = []
    for rows in ROWS:
        world = World(tmp_path / str(rows))
        names = [f"{number:04}.png" for number in range(rows)]
        for name in names:
            world.drop(name)
        world.drop("job.csv", "\n".join(["content,style", *(f"{name},sea" for name in names)]).encode())
        disk = CountingDisk(watched=LOOKS)
        worker = world.worker(disk).start()

        def render(task: Task, last: str = f"{rows - 1:04}") -> None:
            if last in task.pair.name:
                raise KeyboardInterrupt

        worker.stage.on_render = render
        with pytest.raises(KeyboardInterrupt):
            worker.work(12)
        worker.die()
        disk = CountingDisk(watched=("read",))
        worker = world.worker(disk).start()
        worker.work(12)
        worker.end()
        assert len(world.check_settled()) == rows
        found.append(len(disk.log) / rows)
    small, large = found
    assert large <= 1.2 * small
