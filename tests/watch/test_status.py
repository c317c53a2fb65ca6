"""Tests of status.json: it stays small, however many files wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.watch.status import EXAMPLES_SHOWN, REASONS_SHOWN, examples_of
from tests.faults.world import World

if TYPE_CHECKING:
    from pathlib import Path


def test_examples_are_of_the_reasons_of_the_most_files() -> None:
    left = {f"{number:03}": f"reason {number % 100 if number < 100 else number % 10}" for number in range(400)}
    found = examples_of(left)
    assert list(found) == sorted(found)
    assert found.items() <= left.items()
    assert len(set(found.values())) == REASONS_SHOWN
    often = [f"reason {number}" for number in range(10)]
    assert all(list(found.values()).count(reason) == EXAMPLES_SHOWN for reason in often)
    assert examples_of({}) == {}


def test_many_files_and_a_long_ticket_are_counted_and_a_few_are_named(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    for number in range(200):
        world.drop(f"sky/{number:03}.jpg")
    world.drop("sea/empty.jpg", b"")
    rows = "\n".join(f"{number}.png,sea" for number in range(100, 200))
    world.drop("job.csv", f"content,style\n{rows}\n".encode())
    worker = world.worker().start()
    worker.work(12)
    status = worker.watcher.status_file.status()
    assert status["left_count"] == 201
    assert sorted(status["left_reasons"].values()) == [1, 200]
    assert len(status["left"]) == EXAMPLES_SHOWN + 1
    assert status["left"].items() <= worker.scanner.left.items()
    assert status["waiting_tickets_count"] == 1
    lacking = ["100.png", "101.png", "102.png", "103.png", "104.png", "and 95 more"]
    assert status["waiting_tickets"] == {"job.csv": lacking}
    worker.end()
