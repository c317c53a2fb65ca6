"""The process of one device of a pool: a stage of its own, which takes its tasks from a pipe.

The process shares nothing with its parent but the pipe and the disk; the parent calls fences and listener.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch

from pipeline.disk import Disk
from pipeline.errors import ExitCode, ImpastoError, Interrupted, internal_error
from pipeline.outbox.publish import Outbox
from pipeline.stage.pool.messages import (
    SIGNALS,
    USAGE_FIELDS,
    Assignment,
    Begin,
    CallEnded,
    Evaluated,
    FenceAnswer,
    FenceCheck,
    Halt,
    LogMessage,
    PairStarted,
    TaskDone,
    TaskMessage,
)
from pipeline.stage.stage import Stage
from pipeline.stage.summary import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from pipeline.pair import Pair
    from pipeline.stage.task import Outcome, Task
    from pipeline.transfer.state import Evaluation

logger = logging.getLogger(__name__)

REPORT_SECONDS: Final = 0.2
"""Shortest time in seconds between two evaluations that a process reports to its parent."""


def serve(pipe: Connection, assignment: Assignment) -> None:
    """Run the process of a device, until the parent closes the pipe or dies."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    DeviceProcess(pipe, assignment).run()


class DeviceProcess:
    """Runs a stage for its parent.

    The main thread calls `run`, which calls the stage. Another thread reads the pipe. The stage's device thread calls
    `pair_started` and `evaluated`; its threads that save check fences. All of them write to the pipe by `send`.
    """

    def __init__(self, pipe: Connection, assignment: Assignment) -> None:
        self._pipe, self._assignment = pipe, assignment
        self._outbox = Outbox(assignment.outbox, Disk(), f"{assignment.parent}/{os.getpid()}")
        self._sending = threading.Lock()
        """Lock of the pipe for writing."""
        self._messages: queue.SimpleQueue[object] = queue.SimpleQueue()
        """Messages for the main thread; None when there will be no more."""
        self._fence_answers: dict[int, queue.SimpleQueue[ImpastoError | None]] = {}
        """Queues from which threads take the answers to their fence checks, by number of the task."""
        self._halt_code: ExitCode | None = None
        """Exit code of the parent's request to stop; None if there is none."""
        self._is_orphan = False
        """Whether the pipe is closed."""
        self._stage: Stage | None = None
        self._in_work = 0
        """Number of tasks in the stage."""
        self._reported: dict[str, float] = {}
        """Time of the last report of each pair on the device, by `time.monotonic`."""

    def run(self) -> None:
        """Serve until the pipe is closed."""
        logging.basicConfig(
            level=self._assignment.log_level, handlers=[_ParentLogHandler(self.send)], format="%(message)s", force=True
        )
        logging.captureWarnings(capture=True)
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        torch.set_num_threads(max(1, torch.get_num_threads() // self._assignment.devices))
        with contextlib.suppress(Exception):  # the first call of `process` raises the error again
            self._open_stage()
        while (message := self._messages.get()) is not None:
            if isinstance(message, Begin):
                self.send(CallEnded(self._process(), self._usage()))

    def send(self, message: object) -> None:
        """Send a message to the parent; do nothing if the parent has died."""
        with self._sending, contextlib.suppress(OSError):  # the thread that reads notices the end of the pipe
            self._pipe.send(message)

    def _open_stage(self) -> Stage:
        if self._stage is None:
            given = self._assignment
            self._stage = Stage.from_settings(given.settings, given.weights, self._outbox, self, given.devices)
        return self._stage

    def _process(self) -> ImpastoError | None:
        """Make one call of `Stage.process`; return the error that ended it."""
        self._in_work = 0
        self._reported.clear()
        try:
            stage = self._open_stage()
            with self._outbox.opened(), contextlib.closing(stage.process(self._tasks())) as outcomes:
                for outcome in outcomes:
                    self._send_outcome(outcome)
        except ImpastoError as error:
            return error
        except Exception as error:
            logger.exception("%s failed", self._assignment.settings.run.device)
            return internal_error(error)
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
            yield replace(message.task, fence=_Fence(message.number, self._check_fence))

    def _send_outcome(self, outcome: Outcome) -> None:
        fence = outcome.task.fence
        assert isinstance(fence, _Fence)  # noqa: S101 - set by `_tasks`
        self._in_work -= 1
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

    def pair_started(self, pair: Pair) -> None:
        """Report the pair to the parent; raise Interrupted if the parent asked to stop."""
        self._check()
        self._reported[pair.file_name] = float("-inf")
        self.send(PairStarted(pair, self._open_stage().resources.max_in_work))

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Report an evaluation to the parent, unless the last report is recent; raise Interrupted if it asked to stop.

        A batch of any size is reported as often as a single pair.
        """
        self._check()
        now = time.monotonic()
        if now - self._reported.get(pair.file_name, now) >= REPORT_SECONDS * len(self._reported):
            self._reported[pair.file_name] = now
            self.send(Evaluated(pair, evaluation))

    def _check(self) -> None:
        if self._halt_code is not None:
            raise Interrupted(self._halt_code)


@dataclass(frozen=True)
class _Fence:
    """The fence of a task, which the parent calls."""

    number: int
    check: Callable[[int], None]

    def __call__(self) -> None:
        self.check(self.number)


class _ParentLogHandler(logging.handlers.QueueHandler):
    """Sends lines of the log to the parent, which writes them above its progress bars."""

    def __init__(self, send: Callable[[object], None]) -> None:
        super().__init__(queue.SimpleQueue())
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(LogMessage(record))
