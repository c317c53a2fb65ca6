"""Tasks, which go into the stage, and outcomes, which come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.mark_files import RUN
from pipeline.outbox.metadata import Failure, PairPaths
from pipeline.text import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.errors import ImpastoError
    from pipeline.outbox.metadata import Metadata
    from pipeline.pair import Pair, Step

FRAMES_AHEAD: Final = 4
"""Largest number of frames whose flow is computed ahead: one for each thread that loads."""
VERSIONS = {name: version(name) for name in ("impasto", "torch", "opencv-python", "numpy", "pillow")}
"""Versions of impasto and of the libraries that affect the pixels of a result, for metadata."""


@dataclass(frozen=True)
class Task:
    """A pair to be rendered."""

    pair: Pair
    attempt: int
    """Number of this attempt, from 1."""
    key: str | None
    """Key of the pair when it was planned; None if an input could not be read then."""
    owner: str = RUN
    """Owner of the result's name, see `outbox.marks`."""
    fence: Callable[[], None] = lambda: None
    """Function that is called before the result is published; it raises ImpastoError if the result is refused."""
    evaluations: tuple[int, ...] | None = None
    """Evaluations at each scale, coarse to fine, if a time budget limits them; None: those of the settings."""
    ahead: tuple[Step, ...] = ()
    """Up to `FRAMES_AHEAD` frames of the shot that come next, whose flow is computed while this one is painted."""
    deaths: int = 0
    """Number of processes that died during the pair. If there are any, the pair is rendered last and alone."""
    is_large: bool = False
    """Whether the pair ran out of memory beside others, so that it is rendered alone."""
    deaths_alone: int = 0
    """Number of these processes in which no other pair was in progress. If there are any, a large pair is rendered with
    less memory."""

    @property
    def is_alone(self) -> bool:
        """Whether no other pair may be in progress in the same process."""
        return self.is_large or self.deaths > 0


@dataclass(frozen=True)
class Outcome:
    """The end of a task: the pair's metadata, or the record of its failure, which is not published yet."""

    task: Task
    record: Metadata | Failure
    error: ImpastoError | None = None
    """Error that made the pair fail."""

    @property
    def pair(self) -> Pair:
        """Pair of the task."""
        return self.task.pair


def failure_of(task: Task, error: ImpastoError) -> Failure:
    """Return the record of a failure."""
    pair = task.pair
    return Failure(
        key=task.key,
        pair=PairPaths.of(pair),
        preset=pair.settings.preset,
        settings=settings_in_metadata(pair.settings),
        error_class=error.error_class,
        reason=error.message,
        remedy=error.remedy,
        attempt=task.attempt,
        failed=now(),
        versions=VERSIONS,
    )
