"""Tests of which seat gets which task."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.pair import Frame, Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.pool.allotment import Allotment
from pipeline.stage.pool.crew import Worker
from pipeline.stage.task import Task


def frame(clip: str, number: int) -> Task:
    pair = Pair(Path(f"{number}.png"), (Path("s.png"),), "", "", f"{clip}/{number}", PairSettings())
    return Task(Pair(**{**vars(pair), "frame": Frame(clip, number, 9)}), 1, None)


def seats(count: int) -> tuple[Allotment[Any], list[Worker[Any]]]:
    """Return an allotment to seats that do nothing."""
    place: Any = None
    workers: list[Worker[Any]] = [
        Worker(SimpleNamespace(send=lambda _: None), place, 0.0, 0.0, is_ready=True, is_at_work=True)
        for _ in range(count)
    ]
    crew: Any = SimpleNamespace(at_work=workers, workers=workers, others_come_soon=False)
    return Allotment(crew, itertools.count()), workers


def names(worker: Worker[Any]) -> list[str]:
    return [task.pair.name for task in worker.tasks.values()]


def test_of_idle_seats_a_frame_goes_to_that_of_the_frame_before() -> None:
    allotment, (first, second) = seats(2)
    for clip in "ab":
        allotment.begin(frame(clip, 0))
    assert (names(first), names(second)) == (["a/0"], ["b/0"])
    for worker in (first, second):
        worker.tasks.clear()
    for clip in "ba":
        allotment.begin(frame(clip, 1))
    assert (names(first), names(second)) == (["a/1"], ["b/1"])


def test_a_frame_does_not_wait_for_the_seat_of_the_frame_before() -> None:
    allotment, (first, second) = seats(2)
    allotment.begin(frame("a", 0))
    allotment.begin(frame("a", 1))
    assert (names(first), names(second)) == (["a/0"], ["a/1"])
