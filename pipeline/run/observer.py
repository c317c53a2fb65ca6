"""`Observer`: the one interface through which everybody hears what a command does.

A run and a watcher are given one observer each. Whoever wants to tell several hands in
`pipeline.monitoring.observers.Observers`.
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
    """Pairs to be accounted for; None for a watcher, which does not know them in advance."""
    spool: Path | None = None
    """Folder of a watcher's jobs, as an absolute path; None for a run."""


class Observer:
    """Hears what becomes of the pairs. All methods do nothing; a subclass overrides those that it is interested in.

    Order: `started` once; then the work; then either `finished` or `aborted` once. A run tells `planned` and `expected`
    before and during rendering, as its plan goes on. `rendering_started` and `rendering_ended` enclose all that the
    devices do; a run that has nothing to render tells neither.

    Threads: the thread that does the work calls all methods, except for `pair_started` and `evaluated`, which the
    thread of the device calls, and `status`, which the thread that scans an inbox calls.

    Errors: a method may raise OSError or ImpastoError. `Observers` sees to it that the work goes on.
    """

    def started(self, info: RunInfo) -> None:
        """The work begins. The command calls this once, before anything is planned or scanned."""

    def planned(self, item: PlannedPair) -> None:
        """A pair is not rendered in this run. The run calls this once for each such pair."""

    def expected(self, pairs: int) -> None:
        """The number of pairs to render, done ones included, is now `pairs`. Follows each `planned`."""

    def rendering_started(self, pairs: int | None) -> None:
        """The stage is open, and `pairs` pairs will be rendered as far as is known; None for a watcher."""

    def pair_started(self, pair: Pair) -> None:
        """A device begins with a pair. Follows again if the pair is tried again."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """An evaluation of a pair on a device is over. After a stop was requested, `pair_started` may be missing."""

    def outcome(self, outcome: Outcome) -> None:
        """A pair is published, or has failed for good, perhaps before it reached a device. Called once for each."""

    def duplicate(self, pair: Pair) -> None:
        """A pair of an inbox was rendered before. The watcher calls this once for each such pair."""

    def failed_job(self, failure: JobFailure) -> None:
        """A ticket or a photograph in an inbox failed before its pairs were known."""

    def status(self, status: Mapping[str, Any]) -> None:
        """A watcher wrote its status.json with this content, which it does every ten seconds."""

    def rendering_ended(self) -> None:
        """Rendering has ended, for whatever reason."""

    def finished(self, summary: Summary) -> None:
        """The work came to its end; for a watcher that may be a stop by a signal."""

    def aborted(self, error: BaseException) -> None:
        """The work ended with an error or, for a run, by a signal. There is no summary."""


def explain_failure(outcome: Outcome) -> str | None:
    """Return why a pair failed and what to do about it; None if it was published."""
    record = outcome.record
    return f"{record.reason} {record.remedy}" if isinstance(record, Failure) else None
