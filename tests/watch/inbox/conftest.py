"""Fixtures of the tests of the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.world import Worker


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world", {"watch": {"ticket_seconds": 100.0}})


def work(world: World, seconds: float = 12) -> Worker:
    """Return a worker that has worked for a number of seconds."""
    worker = world.worker().start()
    worker.work(seconds)
    return worker
