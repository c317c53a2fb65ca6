"""Tests of the way of tasks into the stage, and of outcomes back to their jobs."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import StorageError
from pipeline.stage.task import Outcome
from pipeline.watch.jobs.open_job import Retry
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


def test_the_source_of_tasks_is_closed_when_the_stage_fails(world: World) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    sources: list[Any] = []

    def process(tasks: Any) -> Generator[Outcome]:
        for _ in tasks:
            sources.append(tasks)
            raise StorageError("the outbox: No space left on device.")
        yield from ()

    worker.stage.process = process
    worker.work(4)
    assert sources
    assert {inspect.getgeneratorstate(source) for source in sources} == {inspect.GEN_CLOSED}
    worker.end()


def test_a_job_that_waits_after_a_pair_was_done_is_not_told_as_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    jobs = worker.watcher.feeder._jobs
    finish, waits = jobs.finish, [Retry(1.0)]
    monkeypatch.setattr(jobs, "finish", lambda *arguments: finish(*arguments) or (waits.pop() if waits else None))
    with caplog.at_level(logging.INFO):
        worker.work(4)
    assert waits == [], "the job waits, otherwise this test checks nothing"
    assert [message for message in caplog.messages if "None" in message] == []
    worker.end()


def test_the_observer_is_told_of_each_pair_that_leaves_the_stage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("sea/a.jpg")
    worker = world.worker().start()
    jobs, left = worker.watcher.feeder._jobs, []
    finish, waits = jobs.finish, [Retry(1.0)]
    monkeypatch.setattr(jobs, "finish", lambda *arguments: finish(*arguments) or (waits.pop() if waits else None))
    monkeypatch.setattr(worker.watcher.listener._observer, "pair_left", left.append)
    worker.work(4)
    assert [name for name in left if name] == ["a__sea"], "the pair leaves, although its job is tried again"
    assert left[-1] is None, "at the end of rendering all pairs have left"
    worker.end()
