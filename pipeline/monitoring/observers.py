"""Telling several observers what becomes of the pairs, whatever goes wrong with any of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import ImpastoError, Interrupted, internal_error
from pipeline.run.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from pipeline.outbox.metadata import JobFailure
    from pipeline.pair import Pair
    from pipeline.run.observer import RunInfo
    from pipeline.run.plan import PlannedPair
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)


class Observers(Observer):
    """Tells several observers, one after the other. As a context manager it tells them of an abort, too.

    No observer can stop the work. An error of the machine, such as a full disk, is logged as a warning, once for each
    observer, which is still told of everything that follows. A defect is logged with its traceback, and the observer
    that has it is told only one more event, the end of rendering, at which a display gives the terminal back. The
    defect is raised after all the work is done, so that nobody overlooks it.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        """Take the observers in the order in which they are to be told."""
        self._observers = tuple(observers)
        self._warned: set[Observer] = set()
        self._broken: set[Observer] = set()
        self._defect: Exception | None = None
        self._signal: Interrupted | None = None
        self._is_at_work = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and self._is_at_work:
            self.aborted(error)
        if error is None and self._defect is not None:
            context = "The work is done, but an observer failed on the way"
            raise internal_error(self._defect, context) from self._defect

    def started(self, info: RunInfo) -> None:
        """See `Observer`."""
        self._is_at_work = True
        self._tell(lambda each: each.started(info))

    def began(self) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.began())

    def planned(self, item: PlannedPair) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.planned(item))

    def expected(self, pairs: int) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.expected(pairs))

    def rendering_started(self, pairs: int | None) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.rendering_started(pairs))

    def pair_started(self, pair: Pair) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.pair_started(pair))

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.evaluated(pair, evaluation))

    def pair_left(self, name: str | None) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.pair_left(name))

    def outcome(self, outcome: Outcome) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.outcome(outcome))

    def duplicate(self, pair: Pair) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.duplicate(pair))

    def failed_job(self, failure: JobFailure) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.failed_job(failure))

    def status(self, status: Mapping[str, Any]) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.status(status))

    def rendering_ended(self) -> None:
        """See `Observer`."""
        self._tell(lambda each: each.rendering_ended(), even_broken=True)

    def finished(self, summary: Summary) -> None:
        """See `Observer`.

        Raises:
            Interrupted: a signal came while an observer was still at work.
        """
        self._is_at_work = False
        self._tell(lambda each: each.finished(summary))
        if self._signal is not None:
            raise self._signal

    def aborted(self, error: BaseException) -> None:
        """See `Observer`."""
        self._is_at_work = False
        self._tell(lambda each: each.aborted(error))

    def _tell(self, tell: Callable[[Observer], None], *, even_broken: bool = False) -> None:
        for each in self._observers:
            if each in self._broken and not even_broken:
                continue
            try:
                tell(each)
            except Interrupted as error:
                self._signal = error
            except (OSError, ImpastoError) as error:
                self._warn_once(each, error)
            except Exception as error:
                logger.exception("%s has a defect and is told nothing more; the work continues.", type(each).__name__)
                self._broken.add(each)
                self._defect = self._defect or error

    def _warn_once(self, observer: Observer, error: OSError | ImpastoError) -> None:
        if observer not in self._warned:
            self._warned.add(observer)
            logger.warning("%s: %s The work goes on.", type(observer).__name__, error)
