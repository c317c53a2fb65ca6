"""Tests of what the run decides when the stage asks for a pair."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pipeline.run.tally import Tally
from pipeline.run.time_budget import TimeBudget
from pipeline.stage.task import Task
from tests.run.test_time_budget import pair


def test_the_first_pair_gets_the_time_of_all_devices_of_a_cluster() -> None:
    pairs = [pair(f"p{number}") for number in range(16)]
    budget = TimeBudget(100.0, lambda _, __, evaluations: float(sum(evaluations)), clock=lambda: 0.0)
    for each in pairs:
        budget.add(each, (64, 48))
    nothing: Any = None
    tally = Tally(nothing, nothing, nothing, len(pairs), budget)
    tasks = tally.within_budget(Task(each, 1, None) for each in pairs)
    tally.stage = SimpleNamespace(seats=64)  # type: ignore[assignment]
    assert next(iter(tasks)).evaluations is None, "those of its settings"  # type: ignore[union-attr]
