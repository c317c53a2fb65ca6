"""Several devices of one machine as one stage, with a process for each device.

The calling thread hands out tasks, calls fences and listener, and returns outcomes, as with a single stage. The
processes keep their networks and caches between two calls of `process`, until the pool is closed. A process that dies
ends the call; the attempts at its pairs stay counted, as when a process without a pool dies.
"""

from __future__ import annotations

import atexit
import itertools
import logging
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from pipeline.errors import ExitCode, ImpastoError, Interrupted, internal_error
from pipeline.stage.device.devices import find_devices
from pipeline.stage.engine_config import optimisation_key
from pipeline.stage.feeding import POLL_SECONDS, feed
from pipeline.stage.pool.messages import (
    USAGE_FIELDS,
    Assignment,
    CallEnded,
    EndOfTasks,
    Evaluated,
    FenceAnswer,
    FenceCheck,
    LogMessage,
    PairStarted,
    TaskDone,
)
from pipeline.stage.pool.process_handle import ProcessHandle
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
    """Return a stage for the device of the settings, or a pool if they name several; the caller closes it.

    Raises:
        MachineError: there is no such device, or the weights cannot be loaded.
    """
    devices = find_devices(settings.run.device)
    if len(devices) == 1:
        return Stage.from_settings(settings, weights, outbox, listener)
    return StagePool([str(device) for device in devices], settings, weights, outbox, listener)


class StagePool:
    """Renders pairs on several devices and publishes the results, like a `Stage`. Only one thread uses it."""

    def __init__(
        self, devices: Sequence[str], settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener
    ) -> None:
        """Start the processes; errors in them are raised by `process`.

        Args:
            devices: as in the setting `run.device`.
            settings: all settings; `run.device` is ignored.
            weights: the network's weights.
            outbox: the outbox in which results are published.
            listener: receives the events of the devices, in the thread that calls `process`.

        Raises:
            DeviceError: a process cannot be started.
            WeightsError: the weights cannot be loaded.
        """
        load_weights(weights)  # now, so that the processes do not all download and decode them at the same time
        self.usage = Usage(devices=len(devices))
        """Times and memory of all pairs so far."""
        self._listener = listener
        self._handles: list[ProcessHandle] = []
        self._numbers = itertools.count()
        atexit.register(self.close)  # before multiprocessing's handler waits for the processes
        try:
            for device in devices:
                own_settings = settings.model_copy(update={"run": settings.run.model_copy(update={"device": device})})
                assignment = Assignment(
                    own_settings,
                    weights,
                    outbox.root,
                    outbox.process,
                    logging.getLogger().getEffectiveLevel(),
                    len(devices),
                )
                self._handles.append(ProcessHandle(assignment))
        except BaseException:
            self.close()
            raise

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """Render tasks; see `Stage.process`.

        Args:
            tasks: the tasks; None means that there is no next task at the moment, and the iterable is asked again soon.

        Raises:
            MachineError: the machine failed; finished pairs are published, and other pairs have no outcome.
            DeviceError: a device failed or its process died; finished pairs are published.
            Interrupted: the listener asked to stop; finished pairs are published, and pairs on the devices have
                checkpoints.
        """
        try:
            yield from _PoolCall(self._handles, self._listener, self._numbers).run(tasks)
        finally:
            self._add_up()

    def close(self) -> None:
        """End the processes. The pool cannot be used afterwards."""
        atexit.unregister(self.close)
        for handle in self._handles:
            handle.dismiss()
        for handle in self._handles:
            handle.join()

    def _add_up(self) -> None:
        """Add up the usage of the processes. Their times are comparable, since they use the same clock."""
        parts = [handle.usage for handle in self._handles if handle.usage]
        for name in USAGE_FIELDS if parts else ():
            known = [part[name] for part in parts if part[name] is not None]
            add = {"begin": min, "end": max, "peak_memory_bytes": max}.get(name, sum)
            setattr(self.usage, name, add(known) if known else None)


class _PoolCall:
    """One call of `StagePool.process`; everything happens in the calling thread."""

    def __init__(self, handles: Sequence[ProcessHandle], listener: Listener, numbers: Iterator[int]) -> None:
        self._handles, self._listener, self._numbers = handles, listener, numbers
        self.error: Exception | None = None
        """First error that ends the call; None while there is none."""
        self._is_halted = False
        """Whether all processes have been asked to stop at their next evaluation."""
        self._latest: tuple[str, ProcessHandle | None] = "", None
        """Optimisation of the latest task (see `optimisation_key`), and the handle of its process."""

    def run(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `StagePool.process`."""
        for handle in self._handles:
            handle.begin()
        try:
            yield from feed(tasks, self)
            for handle in self._handles:
                handle.send(EndOfTasks())
            while self._at_work:
                yield from self.receive(POLL_SECONDS)
        finally:  # the caller wants no further outcome
            self._halt(ExitCode.INTERRUPTED)
            while self._at_work:
                for _ in self.receive(POLL_SECONDS):
                    pass
        if self.error is not None:
            raise self.error

    @property
    def _at_work(self) -> list[ProcessHandle]:
        return [handle for handle in self._handles if handle.is_at_work]

    # Methods for `feed`

    @property
    def in_work(self) -> int:
        """Number of tasks that have begun and whose outcomes are not received yet."""
        return sum(len(handle.tasks) for handle in self._handles)

    @property
    def has_room(self) -> bool:
        """Whether another task may begin."""
        return self._free() is not None

    def begin(self, task: Task) -> None:
        """Give a task to a process."""
        handle = self._handle_for(task)
        if handle is not None:
            handle.give(next(self._numbers), task)

    def _free(self) -> ProcessHandle | None:
        """Return the process with the fewest pairs that takes another one; None if no process does."""
        free = [handle for handle in self._at_work if len(handle.tasks) < handle.max_in_work]
        return min(free, key=lambda handle: len(handle.tasks), default=None)

    def _handle_for(self, task: Task) -> ProcessHandle | None:
        """Return the process with the fewest pairs, or that of the previous task if one optimisation may serve both."""
        key = optimisation_key(task.pair, map(str, task.pair.files)) if task.pair.settings.colour.variants else ""
        latest_key, handle = self._latest
        if not key or key != latest_key or handle not in self._at_work:
            handle = self._free()
        self._latest = key, handle
        return handle

    def receive(self, seconds: float) -> Generator[Outcome]:
        """Wait at most `seconds` for messages of the processes, answer them, and yield the outcomes among them."""
        handles = {handle.pipe: handle for handle in self._at_work}
        for pipe in wait(list(handles), seconds):
            handle = handles[pipe]  # type: ignore[index]  # it returns some of the pipes it got
            try:
                message = handle.pipe.recv()
            except (EOFError, OSError):
                self._on_dead_process(handle)
                continue
            if isinstance(message, TaskDone):
                handle.usage = message.usage
                yield Outcome(handle.tasks.pop(message.number), message.record, message.error)
            else:
                self._on_message(handle, message)

    # Messages of the processes

    def _on_message(self, handle: ProcessHandle, message: object) -> None:
        match message:
            case FenceCheck(number):
                handle.send(FenceAnswer(number, _fence_error(handle.tasks[number])))
            case PairStarted(pair, max_in_work):
                handle.max_in_work = max_in_work
                self._call(lambda: self._listener.pair_started(pair), starting=handle)
            case Evaluated(pair, evaluation):
                self._call(lambda: self._listener.evaluated(pair, evaluation))
            case LogMessage(record):
                logging.getLogger(record.name).handle(record)
            case CallEnded(error, usage):
                handle.end()
                handle.usage = usage
                if error is not None and not (self.error is not None and isinstance(error, Interrupted)):
                    self.fail(error)  # otherwise the process was interrupted because this call has failed

    def _call(self, listener: Callable[[], None], starting: ProcessHandle | None = None) -> None:
        """Call the listener, which may ask to stop.

        If it asks when a pair starts, that handle stops at once, and other handles finish the pairs on their devices.

        Args:
            listener: calls a method of the listener.
            starting: the handle whose pair starts; None: a pair was evaluated.
        """
        if self._is_halted:
            return
        try:
            if starting is None or self.error is None:
                listener()
        except Interrupted as error:
            if starting is None:
                self.fail(error)
            self.error = self.error or error
        except Exception as error:  # noqa: BLE001 - the caller of `process` gets it
            self.fail(error)
        if starting is not None and self.error is not None:
            starting.halt(_code(self.error))

    def _on_dead_process(self, handle: ProcessHandle) -> None:
        """End the call. Any of the pairs of the process may have caused its death."""
        self.fail(handle.death(handle.end()))

    def fail(self, error: Exception) -> None:
        """End the call with this error, unless an earlier error has ended it."""
        self.error = self.error or error
        self._halt(_code(self.error))

    def _halt(self, code: ExitCode) -> None:
        if not self._is_halted:
            self._is_halted = True
            for handle in self._handles:
                handle.halt(code)


def _code(error: Exception) -> ExitCode:
    return error.code if isinstance(error, Interrupted) else ExitCode.INTERRUPTED


def _fence_error(task: Task) -> ImpastoError | None:
    try:
        task.fence()
    except ImpastoError as error:
        return error
    except Exception as error:
        logger.exception("the fence of %s failed", task.pair.name)
        return internal_error(error)
    return None
