"""Who hears what becomes of the pairs: console, logs, metrics, hooks, records; and how they are all told."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import ImpastoError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from pipeline.outbox.metadata import JobFailure
    from pipeline.pair import Pair
    from pipeline.run.plan import PlannedPair
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunInfo:
    """What a command is about to do."""

    command: str
    """`run`, `pair`, `watch` or `drain`."""
    source: Path
    """Manifest, photograph or inbox, as an absolute path."""
    outbox: Path
    """As an absolute path."""
    settings: Settings
    pairs: int | None = None
    """To be accounted for; None if nobody knows."""
    spool: Path | None = None


class Observer:
    """Hears of everything and does nothing about it: who is interested in something overrides that.

    The calling thread of the work tells, except for `status`. OSError and ImpastoError may be raised: see `Observers`.
    """

    def started(self, work: RunInfo) -> None:
        """It begins. `finished` or `aborted` will follow."""

    def planned(self, item: PlannedPair) -> None:
        """A pair is not rendered in this run."""

    def outcome(self, outcome: Outcome) -> None:
        """A pair is published, or has failed for good."""

    def duplicate(self, pair: Pair) -> None:
        """A pair of the inbox was rendered before."""

    def failed_job(self, reason: JobFailure) -> None:
        """A ticket, or a photograph, failed before its pairs were known."""

    def status(self, status: Mapping[str, Any]) -> None:
        """What status.json of a watcher says, every ten seconds; told by the thread that looks at the inbox."""

    def finished(self, summary: Summary) -> None:
        """It has come to its end, which may be that of a watcher after a signal."""

    def aborted(self, error: BaseException) -> None:
        """It ended with an error, or by a signal, and there is no summary."""


class Observers(Observer):
    """Tells several observers, one after the other; to be entered, so that all hear of the end, too.

    None of them can stop the work. Where the machine is to blame, a full disk for instance, that is a warning, once,
    and the next thing is told all the same. A defect is logged with its traceback, and who has it hears nothing any
    more; so that it is not overlooked, it is raised when all the work is done.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        """In the order in which they are told."""
        self._observers = tuple(observers)
        self._has_failed: set[Observer] = set()
        self._is_broken: set[Observer] = set()
        self._defect: Exception | None = None
        self._signal: Interrupted | None = None
        self._is_at_work = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and self._is_at_work:
            self.aborted(error)
        if error is None and self._defect is not None:
            raise ImpastoError(
                f"All that could be done is done, but not all of it was told: "
                f"{type(self._defect).__name__}: {self._defect}",
                "This is a defect of impasto; please report it.",
            ) from self._defect

    def started(self, work: RunInfo) -> None:
        """See `Observer`."""
        self._is_at_work = True
        self._tell(lambda each: each.started(work))

    def planned(self, item: PlannedPair) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.planned(item))

    def outcome(self, outcome: Outcome) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.outcome(outcome))

    def duplicate(self, pair: Pair) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.duplicate(pair))

    def failed_job(self, reason: JobFailure) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.failed_job(reason))

    def status(self, status: Mapping[str, Any]) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.status(status))

    def finished(self, summary: Summary) -> None:
        """See `Observer`.

        Raises:
            Interrupted: a signal came while one of them was still at work.
        """
        self._is_at_work = False
        self._tell(lambda each: each.finished(summary))
        if self._signal is not None:
            raise self._signal

    def aborted(self, error: BaseException) -> None:
        """See `Observer`."""
        self._is_at_work = False
        self._tell(lambda each: each.aborted(error))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for each in self._observers:
            if each in self._is_broken:
                continue
            try:
                tell(each)
            except Interrupted as error:
                self._signal = error
            except (OSError, ImpastoError) as error:
                self._warn_once(each, error)
            except Exception as error:
                logger.exception("%s is told nothing any more; the work goes on.", type(each).__name__)
                self._is_broken.add(each)
                self._defect = self._defect or error

    def _warn_once(self, observer: Observer, error: OSError | ImpastoError) -> None:
        if observer not in self._has_failed:
            self._has_failed.add(observer)
            logger.warning("%s: %s The work goes on.", type(observer).__name__, error)
