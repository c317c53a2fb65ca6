"""Tests in which the process ends or the disk fails before and after each operation: no file may be lost."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import StorageError
from tests.faults.disk import CHANGES, LOOKS, Crash, FaultyDisk, crashing, failing
from tests.faults.world import World, photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "archive": {},
    "delete": {"watch": {"retire": "delete"}},
    "return": {"watch": {"retire": "return"}},
}


def fill(world: World) -> set[str]:
    """Drop photographs, a broken file, and a ticket with its picture; return the names of the results."""
    world.drop("sea/a.jpg")
    world.drop("sea/deep/a.jpg")
    world.drop("sea/broken.jpg", photo("poison"))
    world.drop("b.png")
    world.drop("job.csv", b"content,style\nb.png,sea\n")
    return {"a__sea.png", "deep/a__sea.png", "b__sea.png"}


def run(world: World, disk: FaultyDisk | None = None, seconds: int = 12) -> None:
    """Run a process from its start to its end; it may end early."""
    worker = world.worker(disk)
    try:
        worker.start()
        worker.work(seconds)
        worker.end()
    except Crash:
        worker.die()
        raise


def check(world: World, wanted: set[str], retire: str) -> None:
    """Check that all results are there and that every file of the inbox is where it belongs."""
    assert world.check_settled().keys() == wanted
    assert world.spooled("failed") == {"sea/broken.jpg"}
    good = {"sea/a.jpg", "sea/deep/a.jpg", "b.png", "job.csv"}
    assert world.waiting() == (good if retire == "return" else set())
    if retire == "archive":
        assert world.spooled("done") == good
    assert [path.name for path in (world.outbox / "failed").rglob("*.json")] == ["broken__sea.json"]


def operations(root: Path, settings: dict[str, Any], watched: tuple[str, ...]) -> list[str]:
    """Return the operations on disk of a run without faults."""
    world, disk = World(root, settings), FaultyDisk(watched=watched)
    fill(world)
    run(world, disk)
    world.remove()
    return [f"{each.name} {each.path.name}" for each in disk.log]


def chosen(points: list[str], *, exhaustive: bool, offset: int) -> list[tuple[int, str]]:
    """Return all points with `--exhaustive`, otherwise every seventh."""
    return list(enumerate(points))[0 if exhaustive else offset % 7 :: 1 if exhaustive else 7]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("retire", SETTINGS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_point(
    tmp_path: Path, retire: str, tell: Callable[[str], None], *, after: bool, exhaustive: bool
) -> None:
    points = operations(tmp_path / "undisturbed", SETTINGS[retire], CHANGES)
    assert len(points) >= 100
    tried = chosen(points, exhaustive=exhaustive, offset=3 * after + len(retire))
    for number, point in tried:
        world = World(tmp_path / "world", SETTINGS[retire])
        wanted = fill(world)
        fault: Callable[..., Any] = crashing(number)
        disk = FaultyDisk(fault_after=fault) if after else FaultyDisk(fault=fault)
        with pytest.raises(Crash):
            run(world, disk)
        run(world)
        try:
            check(world, wanted, retire)
        except AssertionError as error:
            error.add_note(f"killed at {number}: {point}")
            raise
        world.remove()
    when = "after" if after else "before"
    tell(f"killed {when} {len(tried)} of {len(points)} operations, retire = {retire}: all recovered")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for a while"])
def test_every_operation_fails(
    tmp_path: Path, number: int, tell: Callable[[str], None], *, lasting: bool, exhaustive: bool
) -> None:
    """Let an operation fail once, or for twenty seconds; the process then continues and finishes everything."""
    watched = CHANGES + LOOKS
    points = operations(tmp_path / "undisturbed", {}, watched)
    tried = chosen(points, exhaustive=exhaustive, offset=number)
    for at, point in tried:
        world = World(tmp_path / "world")
        wanted = fill(world)
        disk = FaultyDisk(failing(number, at, lasting=lasting), watched=watched)
        worker = world.worker(disk)
        try:
            worker.start()
            worker.work(20)
        except StorageError:  # the operation that failed is one of the start of the process
            worker.die()
            run(world)
        else:
            disk.fault = FaultyDisk.fault
            worker.work(90)
            worker.end()
        try:
            check(world, wanted, "archive")
        except AssertionError as error:
            error.add_note(f"{errno.errorcode[number]} at {at}: {point}")
            raise
        world.remove()
    how = "for twenty seconds" if lasting else "once"
    tell(f"{errno.errorcode[number]} at {len(tried)} of {len(points)} operations, {how}: nothing lost")
