"""The process of one device of a pool: a stage of its own, which takes its tasks from a pipe.

The process shares nothing with the pool but the pipe and the disk; the pool calls fences and listener.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import queue
import signal
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch

from pipeline.disk import Disk
from pipeline.errors import ExitCode, ImpastoError, Interrupted, internal_error
from pipeline.outbox.publish import Outbox
from pipeline.stage.device.devices import describe_device
from pipeline.stage.pool.handshake import facts_here
from pipeline.stage.pool.messages import (
    SIGNALS,
    USAGE_FIELDS,
    Alive,
    Assignment,
    Begin,
    CallEnded,
    Evaluated,
    FenceAnswer,
    FenceCheck,
    Halt,
    LogMessage,
    NotReady,
    PairStarted,
    Ready,
    TaskDone,
    TaskMessage,
    TaskReceived,
)
from pipeline.stage.pool.watchdog import Watchdog
from pipeline.stage.stage import Stage
from pipeline.stage.summary import Usage
from pipeline.transfer.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.pair import Pair
    from pipeline.stage.task import Outcome, Task
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)

ALIVE_SECONDS: Final = 5.0
"""Seconds between two signs of life."""


class Pipe(Protocol):
    """An end of a pipe."""

    def send(self, message: object, /) -> None:
        """Send a message; raise OSError if the other end is closed."""

    def recv(self) -> object:
        """Wait for a message; raise EOFError or OSError if the other end is closed."""


def serve(pipe: Pipe, assignment: Assignment) -> None:
    """Run the process of a device, until the pool closes the pipe or dies."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    DeviceProcess(pipe, assignment).run()


class DeviceProcess:
    """Runs a stage for a pool.

    The main thread calls `run`, which calls the stage. Another thread reads the pipe. The stage's device thread calls
    `pair_started` and `evaluated`; its threads that save check fences. All of them write to the pipe by `send`.
    """

    def __init__(self, pipe: Pipe, assignment: Assignment) -> None:
        self._pipe, self._assignment = pipe, assignment
        self._outbox = Outbox(assignment.outbox, Disk(), f"{assignment.parent}/{_process_name()}")
        self._sending = threading.Lock()
        """Lock of the pipe for writing."""
        self._messages: queue.SimpleQueue[object] = queue.SimpleQueue()
        """Messages for the main thread; None when there will be no more."""
        self._fence_answers: dict[int, queue.SimpleQueue[ImpastoError | None]] = {}
        """Queues from which threads take the answers to their fence checks, by number of the task."""
        self._halt_code: ExitCode | None = None
        """Exit code of the pool's request to stop; None if there is none."""
        self._is_orphan = False
        """Whether the pipe is closed."""
        self._weights = assignment.weights
        self._stage: Stage | None = None
        self._watchdog = Watchdog(assignment.settings.run.silence_seconds)
        self._in_work = 0
        """Number of tasks in the stage."""
        self._reported: dict[str, float] = {}
        """Time of the last report of each pair on the device, by `time.monotonic`."""

    def run(self) -> None:
        """Serve until the pipe is closed."""
        logging.basicConfig(
            level=self._assignment.log_level, handlers=[_PoolLogHandler(self.send)], format="%(message)s", force=True
        )
        logging.captureWarnings(capture=True)
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        torch.set_num_threads(max(1, torch.get_num_threads() // self._assignment.devices))
        given = self._assignment
        try:
            stage = self._open_stage()
            device = describe_device(stage.resources.painter.device)
            facts = facts_here(device, self._weights.sha256, given.nonce)
        except ImpastoError as error:
            self.send(NotReady(error))
            return
        except Exception as error:
            logger.exception("%s cannot be opened", self._assignment.settings.run.device)
            self.send(NotReady(internal_error(error)))
            return
        self.send(Ready(facts))
        while (message := self._messages.get()) is not None:
            if isinstance(message, Begin):
                with self._signs_of_life():
                    ended = CallEnded(self._process(stage), self._usage())
                self.send(ended)

    def send(self, message: object) -> None:
        """Send a message to the pool; do nothing if it has died."""
        with self._sending, contextlib.suppress(OSError):  # the thread that reads notices the end of the pipe
            self._pipe.send(message)

    def _open_stage(self) -> Stage:
        given = self._assignment
        # The file of another machine's package is elsewhere on this one.
        if given.weights.name in ("packaged", "torchvision"):
            self._weights = find_weights(given.weights.name)
        self._stage = Stage.from_settings(given.settings, self._weights, self._outbox, self, given.devices)
        return self._stage

    @contextlib.contextmanager
    def _signs_of_life(self) -> Iterator[None]:
        """Send `Alive` now and then, from a thread of its own."""
        is_over = threading.Event()

        def send() -> None:
            while not is_over.wait(ALIVE_SECONDS):
                self.send(Alive(self._watchdog.is_stuck))

        thread = threading.Thread(target=send, name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _process(self, stage: Stage) -> ImpastoError | None:
        """Make one call of `Stage.process`; return the error that ended it."""
        self._in_work = 0
        self._reported.clear()
        try:
            with self._outbox.opened(), contextlib.closing(stage.process(self._tasks())) as outcomes:
                for outcome in outcomes:
                    self._send_outcome(outcome)
        except ImpastoError as error:
            return error
        except Exception as error:
            logger.exception("%s failed", self._assignment.settings.run.device)
            return internal_error(error)
        finally:
            self._watchdog.rest()
        return None

    def _tasks(self) -> Iterator[Task | None]:
        while True:
            try:
                message = self._messages.get(block=not self._in_work)
            except queue.Empty:
                yield None
                continue
            if not isinstance(message, TaskMessage):
                if message is None:
                    self._messages.put(None)
                return
            self._in_work += 1
            self._watchdog.take()
            self.send(TaskReceived(message.number))
            yield replace(message.task, fence=_Fence(message.number, self._check_fence))

    def _send_outcome(self, outcome: Outcome) -> None:
        fence = outcome.task.fence
        assert isinstance(fence, _Fence)  # noqa: S101 - set by `_tasks`
        self._in_work -= 1
        self._watchdog.end(outcome.pair.file_name, self._in_work)
        self._reported.pop(outcome.pair.file_name, None)
        self.send(TaskDone(fence.number, outcome.record, outcome.error, self._usage()))

    def _usage(self) -> dict[str, Any]:
        usage = self._stage.usage if self._stage is not None else Usage()
        return {name: getattr(usage, name) for name in USAGE_FIELDS}

    # The thread that reads

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._on_message(self._pipe.recv())
        self._halt_code, self._is_orphan = ExitCode.INTERRUPTED, True
        for answer in list(self._fence_answers.values()):
            answer.put(Interrupted(ExitCode.INTERRUPTED))
        self._messages.put(None)

    def _on_message(self, message: object) -> None:
        if isinstance(message, FenceAnswer):
            self._fence_answers.pop(message.number).put(message.error)
            return
        if isinstance(message, Begin):
            self._halt_code = None
        elif isinstance(message, Halt):
            self._halt_code = message.code
        self._messages.put(message)

    # The threads that save

    def _check_fence(self, number: int) -> None:
        answer: queue.SimpleQueue[ImpastoError | None] = queue.SimpleQueue()
        self._fence_answers[number] = answer
        if self._is_orphan:  # checked after the queue exists, so that an end of the pipe in between is not missed
            raise Interrupted(ExitCode.INTERRUPTED)
        self.send(FenceCheck(number))
        error = answer.get()
        if error is not None:
            raise error

    # The stage's listener

    def check(self, *, in_progress: bool) -> None:  # noqa: ARG002 - the pool has asked its listener
        """Raise Interrupted if the pool asked to stop."""
        self._check()

    def pair_started(self, pair: Pair) -> None:
        """Report the pair to the pool; raise Interrupted if the pool asked to stop."""
        self._check()
        self._watchdog.begin(pair.file_name)
        self._reported[pair.file_name] = float("-inf")
        assert self._stage is not None  # noqa: S101 - it calls this method
        self.send(PairStarted(pair, self._stage.resources.max_in_work))

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Report an evaluation to the pool, unless the last report is recent; raise Interrupted if it asked to stop.

        A batch of any size is reported as often as a single pair.
        """
        self._check()
        self._watchdog.note(pair.file_name)
        now = time.monotonic()
        if now - self._reported.get(pair.file_name, now) >= self._assignment.report_seconds * len(self._reported):
            self._reported[pair.file_name] = now
            self.send(Evaluated(pair, evaluation))

    def _check(self) -> None:
        if self._halt_code is not None:
            raise Interrupted(self._halt_code)


def _process_name() -> str:
    """Return a name that no other process has on any machine."""
    host = "".join(each if each.isalnum() else "-" for each in socket.gethostname())
    return f"{host}-{os.getpid()}"


@dataclass(frozen=True)
class _Fence:
    """The fence of a task, which the pool calls."""

    number: int
    check: Callable[[int], None]

    def __call__(self) -> None:
        self.check(self.number)


class _PoolLogHandler(logging.handlers.QueueHandler):
    """Sends lines of the log to the pool, which writes them above its progress bars."""

    def __init__(self, send: Callable[[object], None]) -> None:
        super().__init__(queue.SimpleQueue())
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(LogMessage(record))
