"""Tests of the cost of rounds, counted in looks and decisions, which must not grow with the number of files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.inbox import claims
from tests.faults.disk import CHANGES, LOOKS, FaultyDisk
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.watch.inbox.decisions import FileAction, FileView
    from tests.faults.disk import Operation
    from tests.faults.world import Worker

Count = list[str]


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Count:
    """Return a list that gets an entry for each decision about a file."""
    found: Count = []
    decide = claims.decide_file

    def note(view: FileView) -> tuple[FileAction, str]:
        found.append(str(view.candidate))
        return decide(view)

    monkeypatch.setattr(claims, "decide_file", note)
    return found


def settled(world: World) -> tuple[Worker, FaultyDisk]:
    """Return a worker that knows all files of the inbox and listens to events, and its disk, which counts looks."""
    disk = FaultyDisk(watched=LOOKS)
    worker = world.worker(disk)
    worker.with_hints()
    worker.start()
    worker._world.clock.seconds += 3  # type: ignore[attr-defined]
    worker.scanner.round(0)
    worker.scanner.round(0)
    return worker, disk


def cost(decided: Count, disk: FaultyDisk, action: Callable[[], object]) -> tuple[int, int]:
    """Return the numbers of looks and of decisions of an action."""
    disk.log.clear()
    decided.clear()
    action()
    return len(disk.log), len(decided)


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("folder", ["sky", "sea", "."])
@pytest.mark.parametrize("room", [0, 4])
def test_a_round_in_which_nothing_changes_costs_nothing(
    world: World, decided: Count, folder: str, count: int, room: int
) -> None:
    if folder == "sea" and room:
        pytest.skip("then photographs are claimed")
    for number in range(count):
        world.drop(f"{folder}/{number:03}.jpg")
    worker, disk = settled(world)
    for _ in range(3):
        assert cost(decided, disk, lambda: worker.scanner.round(room)) == (0, 0)
        assert cost(decided, disk, worker.scanner.seconds_until_next) == (0, 0)
    assert worker.scanner.seconds_until_next() > 1
    worker.end()


@pytest.mark.parametrize("count", [10, 300])
def test_a_claim_costs_as_much_with_many_files_as_with_few(world: World, decided: Count, count: int) -> None:
    for number in range(count):
        world.drop(f"sea/{number:03}.jpg")
    worker, disk = settled(world)
    claimed = []
    looks, decisions = cost(decided, disk, lambda: claimed.extend(worker.scanner.round(4)))
    assert [name for each in claimed for name in each.facts] == [f"sea/{number:03}.jpg" for number in range(4)]
    assert looks <= 4 * 6
    assert decisions == 4
    worker.die()


def test_a_change_is_decided_alone(world: World, decided: Count) -> None:
    for number in range(300):
        world.drop(f"sky/{number:03}.jpg")
    worker, disk = settled(world)
    path = world.drop("sky/000.jpg", b"another photograph|end")

    def see() -> None:
        worker.scanner._events.hint.paths.add(path)  # type: ignore[attr-defined]
        worker.scanner.round(0)
        worker._world.clock.seconds += 3  # type: ignore[attr-defined]
        worker.scanner.round(0)

    looks, decisions = cost(decided, disk, see)
    assert (looks <= 2, decisions) == (True, 1)
    worker.end()


def test_only_a_change_of_styles_has_photographs_decided_again(world: World, decided: Count) -> None:
    for number in range(20):
        world.drop(f"sky/{number:03}.jpg")
    worker, disk = settled(world)
    look = worker.scanner.look_again

    def look_everywhere() -> None:
        look()
        worker.scanner.round(0)

    assert cost(decided, disk, look_everywhere)[1] == 0
    (world.styles / "moor.png").write_bytes(b"the moor")
    assert cost(decided, disk, look_everywhere)[1] == 20
    (world.styles / "sky.png").write_bytes(b"the sky")
    look_everywhere()
    assert len(worker.scanner.round(20)) == 20
    worker.die()


@pytest.mark.parametrize(("took", "between"), [(0.0, 1.0), (3.0, 30.0)])
def test_looks_at_everything_take_at_most_a_tenth_of_the_time(world: World, took: float, between: float) -> None:
    begun = []

    def look(operation: Operation, _: int) -> None:
        if operation.path == world.inbox:
            begun.append(world.clock())
            world.clock.seconds += took  # type: ignore[attr-defined]

    worker = world.worker(FaultyDisk(look, watched=("statuses",))).start()
    worker.work(100)
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    assert between <= min(gaps) <= max(gaps) <= between + 1
    worker.end()


def test_a_photograph_of_a_full_inbox_costs_as_much_as_one_of_an_empty_inbox(tmp_path: Path, decided: Count) -> None:
    found = []
    for count in (20, 120):
        world, disk = World(tmp_path / str(count)), FaultyDisk(watched=CHANGES + LOOKS)
        for number in range(count):
            world.drop(f"sea/{number:03}.jpg")
        decided.clear()
        worker = world.worker(disk, drain=True).start()
        seconds = 0
        while not worker.watcher.is_drained():
            worker.step(1.0 if seconds < 5 else 0.0)
            seconds += 1
        worker.end()
        assert len(world.check_settled()) == count
        found.append((len(disk.log) / count, len(decided) / count))
    few, many = found
    assert many[0] <= 1.05 * few[0]
    assert many[1] == few[1] == 2, "once when it is stable, and once when there is room"


@pytest.mark.parametrize("rows", [3, 300])
def test_a_ticket_that_lacks_a_file_costs_nothing_while_it_waits(world: World, decided: Count, rows: int) -> None:
    names = [f"{number:03}.png" for number in range(rows)]
    for name in names:
        world.drop(name)
    world.drop("job.csv", "\n".join(["content,style", *(f"{name},sea" for name in [*names, "x.png"])]).encode())
    worker, disk = settled(world)
    assert worker.scanner.waiting_tickets() == {"job.csv": ["x.png"]}
    for _ in range(3):
        assert cost(decided, disk, lambda: worker.scanner.round(4)) == (0, 0)
    world.drop("x.png")
    worker.scanner.look_again()
    worker.work(12)
    worker.end()
    assert len(world.check_settled()) == rows + 1


def test_photographs_that_a_ticket_wanted_are_painted_when_it_has_failed(world: World) -> None:
    world.settings["styles"] = {"default": "sea"}
    for name in ("b.png", "c.png"):
        world.drop(name)
    world.drop("job.csv", b"content,style\nb.png,sea\nc.png,sea\nmissing.png,sea\n")
    worker = world.worker().start()
    worker.work(50)
    assert world.results().keys() == set()
    worker.work(70)
    worker.end()
    assert world.spooled("failed") == {"job.csv"}
    assert world.check_settled().keys() == {"b__sea.png", "c__sea.png"}
