"""Tests of what is removed from a spool so that it does not grow for ever."""

from __future__ import annotations

import errno
import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.watch.spool.tidy import KEPT_SECONDS, TIDY_SECONDS
from tests.faults.disk import FaultyDisk
from tests.faults.world import World

if TYPE_CHECKING:
    from pathlib import Path


def returned(world: World) -> int:
    return len(list((world.inbox / ".impasto/returned").iterdir()))


def make_old(folder: Path) -> None:
    """Set the times of all files in a folder so that they are old enough to be removed."""
    then = time.time() - KEPT_SECONDS - 60
    for path in folder.iterdir():
        os.utime(path, (then, then))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world in which five photographs were painted and returned."""
    world = World(tmp_path / "world", {"watch": {"retire": "return"}})
    for number in range(5):
        world.drop(f"sea/{number}.jpg")
    worker = world.worker().start()
    worker.work(12)
    worker.end()
    assert (returned(world), len(world.waiting())) == (5, 5)
    return world


def test_the_record_of_a_returned_file_goes_with_the_file(world: World) -> None:
    worker = world.worker().start()
    for number in range(3):
        (world.inbox / f"sea/{number}.jpg").unlink()
    world.clock.seconds += TIDY_SECONDS  # type: ignore[attr-defined]
    worker.work(3)
    assert returned(world) == 5, "they are too young: their files might be on their way into the inbox"
    make_old(world.inbox / ".impasto/returned")
    worker.work(3)
    assert returned(world) == 5, "it is not time yet"
    world.clock.seconds += TIDY_SECONDS  # type: ignore[attr-defined]
    worker.work(3)
    assert returned(world) == 2
    worker.end()
    later = world.worker().start()
    later.work(12)
    assert (later.outcomes, later.duplicates) == ([], []), "the others are still known"
    later.end()


def test_no_record_goes_while_a_part_of_the_inbox_cannot_be_read(world: World) -> None:
    make_old(world.inbox / ".impasto/returned")
    folder = world.inbox / "sea"
    disk = FaultyDisk(
        lambda operation, _: OSError(errno.EACCES, "Permission denied") if operation.path == folder else None,
        watched=("entries",),
    )
    worker = world.worker(disk).start()
    worker.work(3)
    assert returned(world) == 5
    worker.end()


def test_a_spool_that_cannot_be_tidied_is_told_and_the_work_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    make_old(world.inbox / ".impasto/returned")
    (world.inbox / "sea/0.jpg").unlink()
    disk = FaultyDisk(
        lambda operation, _: OSError(errno.EACCES, "Permission denied") if operation.path.suffix == ".json" else None,
        watched=("unlink",),
    )
    worker = world.worker(disk).start()
    world.drop("sea/new.jpg")
    worker.work(12)
    worker.end()
    assert len([message for message in caplog.messages if "cannot be tidied: Permission denied" in message]) == 1
    assert "new__sea.png" in world.results()


def test_empty_folders_of_past_days_are_removed(world: World) -> None:
    done = world.inbox / ".impasto/done"
    today = datetime.now(UTC)
    for days in (0, 1, 2, 30):
        (done / f"{today - timedelta(days=days):%Y-%m-%d}").mkdir(exist_ok=True)
    (done / "2024-01-01/job").mkdir(parents=True)
    (done / "2024-01-02").write_text("no folder")
    world.worker().start().end()
    kept = {f"{today - timedelta(days=days):%Y-%m-%d}" for days in (0, 1)} | {"2024-01-01", "2024-01-02"}
    assert {path.name for path in done.iterdir()} == kept
