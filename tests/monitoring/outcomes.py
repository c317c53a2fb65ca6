"""Outcomes of pairs for the tests of displays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import ImageError
from pipeline.stage.task import Outcome, Task, failure_of
from tests.faults.world import describe

if TYPE_CHECKING:
    from pipeline.pair import Pair


def ended(pair: Pair, failure: str | None) -> Outcome:
    """Return the outcome of a published pair, or of a failed one, where `failure` is a one-word reason and a remedy."""
    task = Task(pair, 1, None)
    if failure is None:
        return Outcome(task, describe(task, b"photo", b"style", b"picture"))
    error = ImageError(*failure.split(" ", maxsplit=1))
    return Outcome(task, failure_of(task, error), error)
