"""The threads of one call of `Stage.process`, and their queues.

The calling thread hands out tasks and takes back outcomes, so that only this thread uses the caller's objects.
`LOADERS` threads load pairs, one thread paints them on the device, and `SAVERS` threads save results. The device need
not wait for a disk as long as pairs are loaded ahead. The pairs that are loaded and not saved yet are limited, in
pixels and in number: a slow disk slows the device down in the end, but never fills the memory.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from pipeline.errors import DeviceError, ImpastoError, Interrupted, MachineError, OutOfMemoryError, internal_error
from pipeline.stage.batching import QueuedPair, has_mate, next_of, pick
from pipeline.stage.device.devices import device_errors
from pipeline.stage.device.system_memory import is_out_of_memory
from pipeline.stage.feeding import POLL_SECONDS, feed
from pipeline.stage.paint.painted import Painted
from pipeline.stage.pixel_budget import Closed, PixelBudget
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pipeline.stage.load.loader import Loading
    from pipeline.stage.resources import Resources

logger = logging.getLogger(__name__)

LOADERS: Final = 4
"""Number of threads that load. Each of them reads two files or more, from disks that may answer slowly."""
SAVERS: Final = 2
"""Number of threads that save."""


class Executor:
    """One call of `Stage.process`. Each group of methods says which threads call it."""

    isolates = False

    def __init__(self, resources: Resources) -> None:
        self._resources, self._usage = resources, resources.usage
        self._budget = PixelBudget()
        self._changed = threading.Condition()
        """Lock of the attributes below, up to `error`; notified when one of them changes."""
        self._queue: list[QueuedPair] = []
        """Pairs that wait for the device, in the order of their tasks."""
        self._outcomes: deque[Outcome] = deque()
        """Outcomes that the calling thread has not received yet."""
        self._is_complete = False
        """Whether no further task will begin."""
        self.error: BaseException | None = None
        """First error that ends the call; None while there is none."""
        self.in_work = 0
        """Number of tasks that have begun and whose outcomes are not received yet; for the calling thread only."""
        self._on_device: tuple[str, ...] = ()
        """Results' file names of the pairs that the device works on."""
        self._loaders = ThreadPoolExecutor(LOADERS, "load")
        self._savers = ThreadPoolExecutor(SAVERS, "save")
        self._device = threading.Thread(target=self._work, name="device", daemon=True)

    # The calling thread

    def run(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `Stage.process`."""
        self._resources.listener.is_stopped = False
        self._device.start()
        try:
            yield from feed(tasks, self)
            self._stop()
            yield from self.receive(0)
        finally:
            self._stop()
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # its traceback holds this object, and through it the pictures of all pairs

    @property
    def has_room(self) -> bool:
        """Whether another task may begin."""
        return self.in_work < self._resources.max_in_work

    def begin(self, task: Task) -> None:
        """Begin a task."""
        queued = QueuedPair()
        with self._changed:
            self.in_work += 1
            self._queue.append(queued)
        self._loaders.submit(self._load, task, queued)

    def receive(self, seconds: float) -> Generator[Outcome]:
        """Yield the outcomes so far; if there are none, wait at most `seconds` for an outcome or an error."""
        with self._changed:
            if seconds and not self._outcomes and self.error is None:
                self._changed.wait(seconds)
        while self._outcomes:
            with self._changed:
                outcome = self._outcomes.popleft()
                self.in_work -= 1
            yield outcome

    def _stop(self) -> None:
        """End the threads. Results that the device has finished are saved first."""
        with self._changed:
            self._is_complete = True
            if self.error is not None or self.in_work > len(self._outcomes):
                self._resources.listener.is_stopped = True
            self._changed.notify_all()
        self._budget.close()
        self._loaders.shutdown(cancel_futures=True)
        self._device.join()
        self._savers.shutdown()

    # The threads that load

    def _load(self, task: Task, queued: QueuedPair) -> None:
        try:
            # The check comes before the device spends time on a result that cannot be published.
            self._resources.saver.outbox.marks.check_free(task.pair.file_name, task.owner)
            with device_errors(self._resources.painter.device, task.pair.name):  # pinning memory meets them, too
                loading = self._resources.loader.load(task, self._budget)
        except Closed:
            return
        except BaseException as error:  # noqa: BLE001 - it becomes the pair's failure, or ends the call
            with self._changed:
                self._queue.remove(queued)
            self._fail_pair(task, error)
            return
        self._usage.add(load_seconds=loading.seconds)
        with self._changed:
            queued.loading = loading
            self._changed.notify_all()
            # The flows of later frames do not compete with what the device waits for, so they come only now.
            ahead = () if task.is_alone or self._is_complete else task.ahead
            self._resources.loader.expect(task.pair, ahead)
            for step in ahead:
                self._loaders.submit(self._resources.loader.look_ahead, task.pair, step, self._budget)

    # The device's thread

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                self._paint(batch)
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it
            self.fail(error)

    def _next_batch(self) -> list[Loading]:
        """Wait for loaded pairs, and return those that are painted next; an empty list means that none will come."""
        begin = time.perf_counter()
        batch: list[QueuedPair] = []
        while not batch:
            with self._changed:
                while not (head := self._head()):
                    if self._is_over:
                        return []
                    self._changed.wait(POLL_SECONDS)  # the budget does not notify when a thread begins to wait for it
                is_one_of_several = has_mate(self._queue, head)
            self._on_device = (head.task.pair.file_name,)
            # This is outside of the lock, since it may measure evaluations.
            size = self._resources.batch_size(head, has_mate=is_one_of_several)
            with self._changed:
                if self._is_over:
                    return []
                batch = pick(self._queue, size, self._max_reorder)  # empty if another pair must come first by now
                self._queue = [each for each in self._queue if each not in batch]
        if self._usage.begin is not None:
            self._usage.add(wait_seconds=time.perf_counter() - begin)
        return [each.loading for each in batch if each.loading is not None]

    @property
    def _is_over(self) -> bool:
        return self._resources.listener.is_stopped or (self._is_complete and not self._queue)

    def _head(self) -> Loading | None:
        """Return the pair that is painted next. The stage begins with its first task, even if others load faster."""
        must_be_first = self._usage.begin is None and not self._budget.is_waited_for
        head = next_of(self._queue[:1] if must_be_first else self._queue, self._max_reorder)
        return head.loading if head is not None else None

    @property
    def _max_reorder(self) -> int:
        """Unlimited while a loader waits for room: later pairs hold that room, so waiting would be a deadlock."""
        return sys.maxsize if self._budget.is_waited_for else self._resources.limits.max_reorder

    def _paint(self, batch: list[Loading]) -> None:
        begin = time.perf_counter()
        self._on_device = tuple(loading.task.pair.file_name for loading in batch)
        queue_seconds = {id(loading): begin - loading.ready for loading in batch}
        unfinished = list(batch)
        self._usage.started()
        try:
            for loading, result in self._resources.paint(batch):
                unfinished.remove(loading)
                if isinstance(result, Painted):
                    self._usage.add(pairs=1)
                    self._savers.submit(self._save, loading, result, queue_seconds[id(loading)])
                else:
                    self._budget.release(loading.pixels)
                    self._fail_pair(loading.task, result)
        except (MachineError, Interrupted):
            raise
        except Exception as error:  # noqa: BLE001 - an error of one batch never stops other batches
            for loading in unfinished:
                self._budget.release(loading.pixels)
                self._fail_pair(loading.task, error)
        finally:
            self._usage.add(stylise_seconds=time.perf_counter() - begin)

    # The threads that save

    def _save(self, loading: Loading, painted: Painted, queue_seconds: float) -> None:
        begin = time.perf_counter()
        try:
            metadata = self._resources.saver.save(loading, painted, queue_seconds)
        except BaseException as error:  # noqa: BLE001 - it becomes the pair's failure, or ends the call
            self._fail_pair(loading.task, error)
        else:
            self._usage.saved(painted.peak_memory_bytes)
            self._resources.saver.remove_checkpoint(loading)
            self._put(Outcome(loading.task, metadata))
        finally:
            self._budget.release(loading.pixels)
            self._usage.add(save_seconds=time.perf_counter() - begin)

    # Any thread

    def _put(self, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes.append(outcome)
            self._changed.notify_all()

    def _fail_pair(self, task: Task, error: BaseException) -> None:
        """Make an error the outcome of a pair; an error of the machine or a request to stop ends the call."""
        if isinstance(error, MachineError | Interrupted) or not isinstance(error, Exception):
            self.fail(error)
            return
        explained = _explained(task, error)
        self._put(Outcome(task, failure_of(task, explained), explained))

    def fail(self, error: BaseException) -> None:
        """End the call with this error, unless an earlier error has ended it.

        If the device failed, any pair that it worked on may be the cause, whichever thread met the error.
        """
        with self._changed:
            if isinstance(error, DeviceError) and not error.suspects:
                error.suspects = self._on_device
            self.error = self.error or error
            self._resources.listener.is_stopped = True
            self._changed.notify_all()


def _explained(task: Task, error: Exception) -> ImpastoError:
    """Return the error of a pair as an error that is explained to the user."""
    if isinstance(error, ImpastoError):
        return error
    if is_out_of_memory(error):
        size = task.pair.settings.image.size
        return OutOfMemoryError(
            f"{task.pair.content.name}: does not fit into memory at image.size = {size}.", "Lower image.size."
        )
    logger.error("%s failed", task.pair.name, exc_info=error)
    return internal_error(error)
