"""Several devices of one machine as one stage: a process for each, fed by the same tasks.

The calling thread hands out tasks, calls fences and listener, and gives outcomes back; so whoever uses a pool sees no
difference to a single stage. The processes wait for the next call of `process` with all they have, until the pool is
closed. One that dies ends the call: the pairs that it had are counted as begun in vain, like those of a single process.
"""

from __future__ import annotations

import atexit
import itertools
import logging
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExitCode, ImpastoError, Interrupted
from pipeline.stage.device.devices import find_devices
from pipeline.stage.engine_config import optimisation_key
from pipeline.stage.executor import POLL_SECONDS
from pipeline.stage.pool.messages import (
    ADDED,
    Assignment,
    CallEnded,
    EndOfTasks,
    Evaluated,
    FenceAnswer,
    FenceCheck,
    LogMessage,
    PairStarted,
    TaskDone,
    defect,
)
from pipeline.stage.pool.worker import Worker
from pipeline.stage.stage import Stage
from pipeline.stage.summary import Usage
from pipeline.stage.task import Outcome, Task
from pipeline.transfer.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from pipeline.outbox.publish import Outbox
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.listener import Listener
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)


def make_stage(settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener) -> Stage | StagePool:
    """A stage for the device that settings ask for, or a pool where that is more than one; to be closed.

    Raises:
        MachineError: there is no such device, or the weights cannot be had.
    """
    devices = find_devices(settings.run.device)
    if len(devices) == 1:
        return Stage.from_settings(settings, weights, outbox, listener)
    return StagePool([str(device) for device in devices], settings, weights, outbox, listener)


class StagePool:
    """Renders pairs on several devices and publishes the results; see `Stage`."""

    def __init__(
        self, devices: Sequence[str], settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener
    ) -> None:
        """Of devices as in `run.device`; their processes start now, and what fails in them comes out of `process`.

        Raises:
            DeviceError: a process cannot be started.
            WeightsError: the weights cannot be had.
        """
        load_weights(weights)  # downloaded and decoded once, not by all at the same time
        self.usage = Usage(devices=len(devices))
        """Of all that was processed."""
        self._outbox, self._listener = outbox, listener
        self._workers: list[Worker] = []
        self._numbers = itertools.count()
        atexit.register(self.close)  # before multiprocessing waits for processes that heed no signal
        try:
            for device in devices:
                of_device = settings.model_copy(update={"run": settings.run.model_copy(update={"device": device})})
                assignment = Assignment(
                    of_device,
                    weights,
                    outbox.root,
                    outbox.process,
                    logging.getLogger().getEffectiveLevel(),
                    len(devices),
                )
                self._workers.append(Worker(assignment))
        except BaseException:
            self.close()
            raise

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """Render the tasks; what failed is reported and the others go on. Outcomes come in the order of their ends.

        Args:
            tasks: None says that there is no next one for the moment; they are asked again soon.

        Raises:
            MachineError: the machine cannot go on; what was finished is published, the rest is untouched.
            DeviceError: likewise, a device failed or its process died.
            Interrupted: the listener asked to stop; likewise, and where the pairs in work are is on disk.
        """
        try:
            yield from _Round(self._workers, self._listener, self._outbox, self._numbers).run(tasks)
        finally:
            self._add_up()

    def close(self) -> None:
        """End the processes; the pool is of no use afterwards."""
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.join()

    def _add_up(self) -> None:
        """Times of all processes have one clock, the machine's."""
        parts = [worker.usage for worker in self._workers if worker.usage]
        for name in ADDED if parts else ():
            known = [part[name] for part in parts if part[name] is not None]
            add = {"begin": min, "end": max, "peak_memory_bytes": max}.get(name, sum)
            setattr(self.usage, name, add(known) if known else None)


class _Round:
    """One call of `process`."""

    def __init__(self, workers: Sequence[Worker], listener: Listener, outbox: Outbox, numbers: Iterator[int]) -> None:
        self._workers, self._listener, self._outbox, self._numbers = workers, listener, outbox, numbers
        self._error: Exception | None = None
        """What ends it."""
        self._is_halted = False
        self._latest: tuple[str, Worker | None] = "", None
        """The optimisation that was last given away, and to whom."""

    def run(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `StagePool.process`."""
        for worker in self._workers:
            worker.begin()
        try:
            yield from self._feed(iter(tasks))
            for worker in self._workers:
                worker.send(EndOfTasks())
            while self._at_work:
                yield from self._hear(POLL_SECONDS)
        finally:  # nobody waits any more for what is still at work
            self._halt(ExitCode.INTERRUPTED)
            while self._at_work:
                for _ in self._hear(POLL_SECONDS):
                    pass
        if self._error is not None:
            raise self._error

    @property
    def _at_work(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.is_at_work]

    @property
    def _in_work(self) -> int:
        return sum(len(worker.tasks) for worker in self._workers)

    def _feed(self, source: Iterator[Task | None]) -> Generator[Outcome]:
        """Hand out tasks while there is room, until all are done or something ends it."""
        has_more = True
        while self._error is None and (has_more or self._in_work):
            while has_more and self._error is None and self._free() is not None:
                try:
                    task = next(source, _END)
                except (ImpastoError, OSError) as error:  # what is finished is still to be told
                    self._fail(error)
                    return
                if task is None:
                    break
                if isinstance(task, _End):
                    has_more = False
                elif task.deaths:
                    yield from self._until_idle()
                    self._give(task)
                    yield from self._until_idle()
                else:
                    self._give(task)
                yield from self._hear(0)
            if self._error is None and (has_more or self._in_work):
                yield from self._hear(POLL_SECONDS)

    def _free(self) -> Worker | None:
        """The device with the fewest pairs, if it takes another."""
        free = [worker for worker in self._at_work if len(worker.tasks) < worker.max_in_work]
        return min(free, key=lambda worker: len(worker.tasks), default=None)

    def _give(self, task: Task) -> None:
        worker = self._worker_for(task)
        if worker is not None and self._error is None:
            worker.give(next(self._numbers), task)

    def _worker_for(self, task: Task) -> Worker | None:
        """The device with the fewest pairs; or that of the pair before, if both may come of one optimisation."""
        key = optimisation_key(task.pair, map(str, task.pair.files)) if task.pair.settings.colour.variants else ""
        before, worker = self._latest
        if not key or key != before or worker not in self._at_work:
            worker = self._free()
        self._latest = key, worker
        return worker

    def _until_idle(self) -> Generator[Outcome]:
        while self._in_work and self._error is None:
            yield from self._hear(POLL_SECONDS)

    # What the processes say

    def _hear(self, seconds: float) -> Generator[Outcome]:
        """Wait for so long, at most, and do what it asks for."""
        workers = {worker.pipe: worker for worker in self._at_work}
        for pipe in wait(list(workers), seconds):
            worker = workers[pipe]  # type: ignore[index]  # it gives back some of what it got
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._lose(worker)
                continue
            if isinstance(message, TaskDone):
                worker.usage = message.usage
                yield Outcome(worker.tasks.pop(message.number), message.record, message.error)
            else:
                self._do(worker, message)

    def _do(self, worker: Worker, message: object) -> None:
        match message:
            case FenceCheck(number):
                worker.send(FenceAnswer(number, _verdict(worker.tasks[number])))
            case PairStarted(pair, max_in_work):
                worker.max_in_work = max_in_work
                self._call(lambda: self._listener.pair_started(pair), worker)
            case Evaluated(pair, evaluation):
                self._call(lambda: self._listener.evaluated(pair, evaluation))
            case LogMessage(record):
                logging.getLogger(record.name).handle(record)
            case CallEnded(error, usage):
                worker.end()
                worker.usage = usage
                if error is not None and not (self._error is not None and isinstance(error, Interrupted)):
                    self._fail(error)  # else it did as it was told

    def _call(self, listener: Callable[[], None], begins: Worker | None = None) -> None:
        """Tell the listener; a stop as a pair begins leaves those on other devices their time of grace."""
        if self._is_halted:
            return
        try:
            if begins is None or self._error is None:
                listener()
        except Interrupted as error:
            if begins is None:
                self._fail(error)
            self._error = self._error or error
        except Exception as error:  # noqa: BLE001 - the caller of `process` gets it
            self._fail(error)
        if begins is not None and self._error is not None:
            begins.halt(_code(self._error))

    def _lose(self, worker: Worker) -> None:
        """A process is dead. Whoever takes its pairs back leaves them counted once, so that they are tried alone."""
        for task in worker.end():
            try:
                self._outbox.begin_attempt(task.pair.file_name, task.owner, task.key)
            except ImpastoError as error:
                logger.warning("%s", error)
        self._fail(worker.death())

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._halt(_code(self._error))

    def _halt(self, code: ExitCode) -> None:
        if not self._is_halted:
            self._is_halted = True
            for worker in self._workers:
                worker.halt(code)


class _End:
    """No task comes any more."""


_END: Final = _End()


def _code(error: Exception) -> ExitCode:
    return error.code if isinstance(error, Interrupted) else ExitCode.INTERRUPTED


def _verdict(task: Task) -> ImpastoError | None:
    try:
        task.fence()
    except ImpastoError as error:
        return error
    except Exception as error:
        logger.exception("the fence of %s failed", task.pair.name)
        return defect(error)
    return None
