"""The threads of one call of the stage, and what passes between them.

Threads load, one thread has the device, threads save; the calling thread hands out tasks and takes back outcomes.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImpastoError, Interrupted, MachineError, OutOfMemoryError
from pipeline.stage.batching import QueuedPair, next_of, pick
from pipeline.stage.device.system_memory import is_out_of_memory
from pipeline.stage.paint.painter import Painted
from pipeline.stage.pixel_budget import Closed, PixelBudget
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipeline.stage.load.loader import Loading
    from pipeline.stage.resources import Resources

logger = logging.getLogger(__name__)

LOADERS: Final = 4
"""Threads that load: of two files each, on disks that may be far away."""
SAVERS: Final = 2
POLL_SECONDS: Final = 0.2
"""After which the caller is asked again when there was no next task."""


class Executor:
    """One call of `Stage.process`."""

    def __init__(self, resources: Resources) -> None:
        self._resources, self._usage = resources, resources.usage
        self._budget = PixelBudget()
        self._changed = threading.Condition()
        self._line: list[QueuedPair] = []
        """To the device, in the order in which they came."""
        self._outcomes: deque[Outcome] = deque()
        self._in_work = 0
        self._is_complete = False
        """No task comes any more."""
        self._error: BaseException | None = None
        """What ends it."""
        self._loaders = ThreadPoolExecutor(LOADERS, "load")
        self._savers = ThreadPoolExecutor(SAVERS, "save")
        self._device = threading.Thread(target=self._work, name="device", daemon=True)

    # The calling thread

    def run(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `Stage.process`."""
        self._resources.listener.is_stopped = False
        self._device.start()
        try:
            yield from self._feed(iter(tasks))
            self._stop()
            yield from self._finished()
        finally:
            self._stop()
        if self._error is not None:
            raise self._error

    def _feed(self, source: Iterator[Task | None]) -> Generator[Outcome]:
        """Hand out tasks while there is room, until all are done or something ends it."""
        has_more = True
        while self._error is None and (has_more or self._in_work):
            while has_more and self._in_work < self._resources.max_in_work and self._error is None:
                try:
                    task = next(source, _END)
                except (ImpastoError, OSError) as error:  # what is finished is still to be told
                    self._error = error
                    return
                if task is None:
                    break
                if isinstance(task, _End):
                    has_more = False
                elif task.deaths:
                    yield from self._until_idle()
                    self._begin(task)
                    yield from self._until_idle()
                else:
                    self._begin(task)
                yield from self._finished()
            self._wait(has_more=has_more)
            yield from self._finished()

    def _begin(self, task: Task) -> None:
        waiting = QueuedPair()
        with self._changed:
            self._in_work += 1
            self._line.append(waiting)
        self._loaders.submit(self._load, task, waiting)

    def _until_idle(self) -> Generator[Outcome]:
        while self._in_work and self._error is None:
            self._wait()
            yield from self._finished()

    def _wait(self, *, has_more: bool = True) -> None:
        with self._changed:
            if not self._outcomes and self._error is None and (self._in_work or has_more):
                self._changed.wait(POLL_SECONDS)

    def _finished(self) -> Generator[Outcome]:
        while self._outcomes:
            with self._changed:
                outcome = self._outcomes.popleft()
                self._in_work -= 1
            yield outcome

    def _stop(self) -> None:
        """End the threads; what the device has done is saved first."""
        with self._changed:
            self._is_complete = True
            if self._error is not None or self._in_work > len(self._outcomes):
                self._resources.listener.is_stopped = True
            self._changed.notify_all()
        self._budget.close()
        self._loaders.shutdown(cancel_futures=True)
        self._device.join()
        self._savers.shutdown()

    # The threads that load

    def _load(self, task: Task, waiting: QueuedPair) -> None:
        try:
            # before the device's time is spent
            self._resources.saver.outbox.check_free(task.pair.file_name, task.owner)
            loading = self._resources.loader.load(task, self._budget)
        except Closed:
            return
        except BaseException as error:  # noqa: BLE001 - it is told, or ends the run
            self._failed(task, error, waiting)
            return
        self._usage.add(load_seconds=loading.seconds)
        with self._changed:
            waiting.loading = loading
            self._changed.notify_all()

    # The thread that has the device

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                self._paint(batch)
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it
            self._end_by(error)

    def _next_batch(self) -> list[Loading]:
        """Wait for pairs that are loaded; none when there will be none."""
        begin = time.perf_counter()
        batch: list[QueuedPair] = []
        while not batch:
            with self._changed:
                while not (head := self._head()):
                    if self._is_over:
                        return []
                    self._changed.wait(POLL_SECONDS)  # the budget does not tell when somebody begins to wait
            size = self._resources.batch_size(head)  # the first of its kind is measured, which takes a while
            with self._changed:
                if self._is_over:
                    return []
                batch = pick(self._line, size, self._max_reorder)  # none if another is to be waited for by now
                self._line = [each for each in self._line if each not in batch]
        if self._usage.begin is not None:
            self._usage.add(wait_seconds=time.perf_counter() - begin)
        return [each.loading for each in batch if each.loading is not None]

    @property
    def _is_over(self) -> bool:
        return self._resources.listener.is_stopped or (self._is_complete and not self._line)

    def _head(self) -> Loading | None:
        """The pair that is to be next; the first of all is the first that came, even if others are loaded sooner."""
        must_be_first = self._usage.begin is None and not self._budget.is_waited_for
        head = next_of(self._line[:1] if must_be_first else self._line, self._max_reorder)
        return head.loading if head is not None else None

    @property
    def _max_reorder(self) -> int:
        """None is waited for that itself may wait for room, which those behind it hold."""
        return sys.maxsize if self._budget.is_waited_for else self._resources.limits.max_reorder

    def _paint(self, batch: list[Loading]) -> None:
        begin = time.perf_counter()
        queued = {id(loading): begin - loading.ready for loading in batch}
        left = list(batch)
        self._usage.started()
        try:
            for loading, result in self._resources.paint(batch):
                left.remove(loading)
                if isinstance(result, Painted):
                    self._usage.add(pairs=1)
                    self._savers.submit(self._save, loading, result, queued[id(loading)])
                else:
                    self._release(loading)
                    self._failed(loading.task, result)
        except (MachineError, Interrupted):
            raise
        except Exception as error:  # noqa: BLE001 - one batch never stops the others
            for loading in left:
                self._release(loading)
                self._failed(loading.task, error)
        finally:
            self._usage.add(stylise_seconds=time.perf_counter() - begin)

    def _release(self, loading: Loading) -> None:
        self._budget.give_back(loading.pixels)

    # The threads that save

    def _save(self, loading: Loading, painted: Painted, queued: float) -> None:
        begin = time.perf_counter()
        try:
            metadata = self._resources.saver.save(loading, painted, queued)
        except BaseException as error:  # noqa: BLE001 - it is told, or ends the run
            self._failed(loading.task, error)
        else:
            self._usage.saved(painted.peak_memory_bytes)
            self._forget_checkpoint(loading)
            self._tell(Outcome(loading.task, metadata))
        finally:
            self._release(loading)
            self._usage.add(save_seconds=time.perf_counter() - begin)

    def _forget_checkpoint(self, loading: Loading) -> None:
        try:
            self._resources.saver.outbox.checkpoints.remove(loading.key)
        except OSError as error:  # the pair itself is done, and the file goes when it is old
            logger.warning("the checkpoint of %s could not be removed: %s", loading.task.pair.name, error)

    # All of them

    def _tell(self, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes.append(outcome)
            self._changed.notify_all()

    def _failed(self, task: Task, error: BaseException, waiting: QueuedPair | None = None) -> None:
        """One pair failed, or the whole run if it is the machine."""
        if waiting is not None:
            with self._changed:
                self._line.remove(waiting)
        if isinstance(error, MachineError | Interrupted) or not isinstance(error, Exception):
            self._end_by(error)
            return
        explained = _explained(task, error)
        self._tell(Outcome(task, failure_of(task, explained), explained))

    def _end_by(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._resources.listener.is_stopped = True
            self._changed.notify_all()


class _End:
    """No task comes any more."""


_END: Final = _End()


def _explained(task: Task, error: Exception) -> ImpastoError:
    """What happened to a pair, for its user."""
    if isinstance(error, ImpastoError):
        return error
    if is_out_of_memory(error):
        size = task.pair.settings.image.size
        return OutOfMemoryError(
            f"{task.pair.content.name}: does not fit into memory at image.size = {size}.", "Lower image.size."
        )
    logger.error("%s failed", task.pair.name, exc_info=error)
    return ImpastoError(f"{type(error).__name__}: {error}", "This is a defect of impasto; please report it.")
