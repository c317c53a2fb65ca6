"""The process that has one device of a pool: a stage of its own, which takes its tasks from a pipe.

What it says and hears goes through the pipe, and nothing else is shared: the parent calls fences and listener.
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
from pipeline.errors import ExitCode, ImpastoError, Interrupted
from pipeline.outbox.publish import Outbox
from pipeline.stage.pool.messages import (
    ADDED,
    SIGNALS,
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
    defect,
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

TELL_SECONDS: Final = 0.2
"""Between two evaluations that the parent hears of."""
# What the parent says


# What the process says


def serve(pipe: Connection, assignment: Assignment) -> None:
    """The whole life of the process; it ends when the parent closes the pipe, or is gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    DeviceProcess(pipe, assignment).run()


class DeviceProcess:
    """One thread reads the pipe; the calling thread and the stage's write to it."""

    def __init__(self, pipe: Connection, assignment: Assignment) -> None:
        self._pipe, self._assignment = pipe, assignment
        self._outbox = Outbox(assignment.outbox, Disk(), f"{assignment.parent}/{os.getpid()}")
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        """Ends with None."""
        self._verdicts: dict[int, queue.SimpleQueue[ImpastoError | None]] = {}
        self._halted: ExitCode | None = None
        self._is_orphan = False
        self._stage: Stage | None = None
        self._in_work = 0
        self._heard_at: dict[str, float] = {}
        """When the parent last heard of each pair on the device."""

    def run(self) -> None:
        """Serve until the pipe is closed."""
        logging.basicConfig(
            level=self._assignment.log_level, handlers=[_ToParent(self.send)], format="%(message)s", force=True
        )
        logging.captureWarnings(capture=True)
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        with contextlib.suppress(Exception):  # who asks for it will meet that again
            self._open_stage()
        while (message := self._inbox.get()) is not None:
            if isinstance(message, Begin):
                self.send(CallEnded(self._process(), self._usage()))

    def send(self, message: object) -> None:
        """Say something to the parent, if it is there."""
        with self._sending, contextlib.suppress(OSError):  # the thread that reads finds out
            self._pipe.send(message)

    def _open_stage(self) -> Stage:
        if self._stage is None:
            torch.set_num_threads(max(1, torch.get_num_threads() // self._assignment.devices))
            settings = self._assignment.settings
            self._stage = Stage.from_settings(settings, self._assignment.weights, self._outbox, self)
        return self._stage

    def _process(self) -> ImpastoError | None:
        """One call of `process`; gives what ended it."""
        self._in_work = 0
        self._heard_at.clear()
        try:
            stage = self._open_stage()
            with self._outbox.opened(), contextlib.closing(stage.process(self._tasks())) as outcomes:
                for outcome in outcomes:
                    self._tell(outcome)
        except ImpastoError as error:
            return error
        except Exception as error:
            logger.exception("%s failed", self._assignment.settings.run.device)
            return defect(error)
        return None

    def _tasks(self) -> Iterator[Task | None]:
        while True:
            try:
                message = self._inbox.get(block=not self._in_work)
            except queue.Empty:
                yield None
                continue
            if not isinstance(message, TaskMessage):
                if message is None:
                    self._inbox.put(None)
                return
            self._in_work += 1
            yield replace(message.task, fence=_Fence(message.number, self._ask))

    def _tell(self, outcome: Outcome) -> None:
        fence = outcome.task.fence
        assert isinstance(fence, _Fence)  # noqa: S101 - `_tasks` gave it
        self._in_work -= 1
        self._heard_at.pop(outcome.pair.file_name, None)
        self.send(TaskDone(fence.number, outcome.record, outcome.error, self._usage()))

    def _usage(self) -> dict[str, Any]:
        usage = self._stage.usage if self._stage is not None else Usage()
        return {name: getattr(usage, name) for name in ADDED}

    # The thread that reads

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._hear(self._pipe.recv())
        self._halted, self._is_orphan = ExitCode.INTERRUPTED, True
        for answer in list(self._verdicts.values()):
            answer.put(Interrupted(ExitCode.INTERRUPTED))
        self._inbox.put(None)

    def _hear(self, message: object) -> None:
        if isinstance(message, FenceAnswer):
            self._verdicts.pop(message.number).put(message.error)
            return
        if isinstance(message, Begin):
            self._halted = None
        elif isinstance(message, Halt):
            self._halted = message.code
        self._inbox.put(message)

    # The threads that save

    def _ask(self, number: int) -> None:
        answer: queue.SimpleQueue[ImpastoError | None] = queue.SimpleQueue()
        self._verdicts[number] = answer
        if self._is_orphan:  # looked at after the answer can be found
            raise Interrupted(ExitCode.INTERRUPTED)
        self.send(FenceCheck(number))
        error = answer.get()
        if error is not None:
            raise error

    # The stage's listener

    def pair_started(self, pair: Pair) -> None:
        """The device begins with this pair, unless it is to halt."""
        self._check()
        self._heard_at[pair.file_name] = float("-inf")
        self.send(PairStarted(pair, self._open_stage().resources.max_in_work))

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """One evaluation is over; the pairs of a batch share what the parent hears."""
        self._check()
        now = time.monotonic()
        if now - self._heard_at.get(pair.file_name, now) >= TELL_SECONDS * len(self._heard_at):
            self._heard_at[pair.file_name] = now
            self.send(Evaluated(pair, evaluation))

    def _check(self) -> None:
        if self._halted is not None:
            raise Interrupted(self._halted)


@dataclass(frozen=True)
class _Fence:
    """Asks the parent for a task's fence."""

    number: int
    ask: Callable[[int], None]

    def __call__(self) -> None:
        self.ask(self.number)


class _ToParent(logging.handlers.QueueHandler):
    """The parent's log has the child's lines, above its bars if it has any."""

    def __init__(self, send: Callable[[object], None]) -> None:
        super().__init__(queue.SimpleQueue())
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(LogMessage(record))
