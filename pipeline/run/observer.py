"""`Observer`: the one interface through which a command reports its work.

A run and a watcher have one observer each. `pipeline.monitoring.observers.Observers` stands for several observers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.outbox.metadata import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.outbox.metadata import JobFailure
    from pipeline.pair import Pair
    from pipeline.run.plan import PlannedPair
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome
    from pipeline.transfer.state import Evaluation


@dataclass(frozen=True)
class RunInfo:
    """The work that a command is about to do."""

    command: str
    """`run`, `pair`, `watch` or `drain`."""
    source: Path
    """Manifest, photograph or inbox, as an absolute path."""
    outbox: Path
    """Absolute path of the outbox."""
    settings: Settings
    pairs: int | None = None
    """Number of all pairs; None for a watcher, which does not know them in advance."""
    spool: Path | None = None
    """Folder of a watcher's jobs, as an absolute path; None for a run."""
    shard: str = ""
    """The part of the manifest, as `I/N`; empty: all of it."""


class Observer:
    """Receives the events of a command. All methods do nothing; a subclass overrides those that it needs.

    Order: `started` once; `began` once all locks are held; then the work; then either `finished` or `aborted` once. A
    run calls `planned` and `expected` before and during rendering, as its plan proceeds. `rendering_started` and
    `rendering_ended` enclose all work on the devices; a run that has nothing to render calls neither.

    Threads: the thread that does the work calls all methods except for three. `pair_started` and `evaluated` are called
    by the thread that has the device or, if there are several devices, by the thread that does the work. `status` is
    called by the thread that scans an inbox.

    Errors: a method may raise OSError or ImpastoError. `Observers` ensures that the work continues.
    """

    def started(self, info: RunInfo) -> None:
        """The work begins. The command calls this once, before anything is planned or scanned."""

    def began(self) -> None:
        """The command holds its locks, so no other process does the same work. Not called if another process does."""

    def planned(self, item: PlannedPair) -> None:
        """A pair is not rendered in this run. The run calls this once for each such pair."""

    def expected(self, pairs: int) -> None:
        """The number of pairs to render, including those that are done, is now `pairs`. Follows each `planned`."""

    def rendering_started(self, pairs: int | None) -> None:
        """The stage is open, and `pairs` pairs will be rendered as far as is known; None: a watcher cannot know."""

    def pair_started(self, pair: Pair) -> None:
        """A device begins with a pair. Called again if the pair is tried again."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """A device has made an evaluation of a pair. After a request to stop, `pair_started` may be missing."""

    def pair_left(self, name: str | None) -> None:
        """A pair has left a watcher's stage, with or without an outcome, and may be tried again; None: all have."""

    def outcome(self, outcome: Outcome) -> None:
        """A pair is published, or has failed for good, perhaps before it reached a device. Called once for each."""

    def duplicate(self, pair: Pair) -> None:
        """A pair of an inbox was rendered before. The watcher calls this once for each such pair."""

    def failed_job(self, failure: JobFailure) -> None:
        """A ticket or a photograph in an inbox failed before its pairs were known."""

    def status(self, status: Mapping[str, Any]) -> None:
        """A watcher writes its status.json with this content, every ten seconds."""

    def rendering_ended(self) -> None:
        """Rendering has ended, with or without an error."""

    def finished(self, summary: Summary) -> None:
        """The work has ended without an error; for a watcher that may be a stop by a signal."""

    def aborted(self, error: BaseException) -> None:
        """The work has ended with an error or, for a run, by a signal. There is no summary."""


def explain_failure(outcome: Outcome) -> str | None:
    """Return why a pair failed and what to do about it; None if it was published."""
    record = outcome.record
    return f"{record.reason} {record.remedy}" if isinstance(record, Failure) else None
