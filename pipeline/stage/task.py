"""What goes into the stage, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.marks import RUN
from pipeline.outbox.metadata import Failure, PairPaths
from pipeline.text import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.errors import ImpastoError
    from pipeline.outbox.metadata import Metadata
    from pipeline.pair import Pair

VERSIONS = {name: version(name) for name in ("impasto", "torch", "opencv-python", "numpy", "pillow")}


@dataclass(frozen=True)
class Task:
    """A pair to be rendered, and what is known of it."""

    pair: Pair
    attempt: int
    key: str | None
    """Its key when it was planned; None if an input could not be read then."""
    owner: str = RUN
    """In whose name its result is published."""
    fence: Callable[[], None] = lambda: None
    """Raises ImpastoError if the result is not wanted any more; asked before it is published."""
    evaluations: tuple[int, ...] | None = None
    """At each scale, coarse to fine, where time is short; None: the settings'."""
    deaths: int = 0
    """So many processes ended over it: nothing else is in work beside it then, and a large one gets less memory."""


@dataclass(frozen=True)
class Outcome:
    """What became of a pair: its metadata, or the record of its failure, which is not published yet."""

    task: Task
    record: Metadata | Failure
    error: ImpastoError | None = None
    """What the failure came of."""

    @property
    def pair(self) -> Pair:
        """The task's."""
        return self.task.pair


def failure_of(task: Task, error: ImpastoError) -> Failure:
    """The record of a failure."""
    pair = task.pair
    return Failure(
        key=task.key,
        pair=PairPaths(content=pair.content_label, style=pair.style_label),
        preset=pair.settings.preset,
        settings=settings_in_metadata(pair.settings),
        error_class=error.error_class,
        reason=error.message,
        remedy=error.remedy,
        attempt=task.attempt,
        failed=now(),
        versions=VERSIONS,
    )
