"""The pool's end of a device's process: starts it, gives it its tasks, and ends it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from dataclasses import replace
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import DeviceError
from pipeline.stage.pool.messages import SIGNALS, Assignment, Begin, Halt, TaskMessage, no_fence
from pipeline.stage.pool.process import serve
from pipeline.stage.resources import PAIRS_AHEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.errors import ExitCode
    from pipeline.stage.task import Task

END_SECONDS: Final = 30.0
"""A process that has not ended after so long is killed."""

_SPAWN: Final = multiprocessing.get_context("spawn")  # CUDA does not survive a fork


class Worker:
    """The parent's end of one device's process."""

    def __init__(self, assignment: Assignment) -> None:
        """The process starts now.

        Raises:
            DeviceError: it cannot.
        """
        self.device = assignment.settings.run.device
        self.tasks: dict[int, Task] = {}
        """In work there."""
        self.max_in_work = PAIRS_AHEAD
        self.is_at_work = False
        """A call of `process` lasts there."""
        self.usage: dict[str, Any] = {}
        """As it was told last."""
        self.pipe, far_end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=serve, args=(far_end, assignment), name=self.device, daemon=True)
        try:
            with _signals_held():
                self.process.start()
        except OSError as error:
            raise DeviceError(
                f"{self.device}: no process can be started for it: {error.strerror}.",
                "Free memory, or raise the limit of processes.",
            ) from error
        finally:
            far_end.close()

    def send(self, message: object) -> bool:
        """Whether there is anybody to hear it; reading tells why not."""
        try:
            self.pipe.send(message)
        except OSError:
            return False
        return True

    def begin(self) -> None:
        """A call of `process`."""
        self.is_at_work = True
        self.send(Begin())

    def give(self, number: int, task: Task) -> None:
        """Something to do."""
        if self.send(TaskMessage(number, replace(task, fence=no_fence))):
            self.tasks[number] = task

    def halt(self, code: ExitCode) -> None:
        """Stop at the next evaluation."""
        if self.is_at_work:
            self.send(Halt(code))

    def end(self) -> list[Task]:
        """The call of `process` is over there; gives what came to no end."""
        self.is_at_work = False
        unfinished = list(self.tasks.values())
        self.tasks.clear()
        return unfinished

    def dismiss(self) -> None:
        """Let the process end: at once if it is idle, else at the next evaluation."""
        if not self.is_at_work:
            self.process.kill()  # nothing of it is half done, and it would take its time
        self.end()
        self.pipe.close()

    def join(self) -> None:
        """Wait until it has ended."""
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def death(self) -> DeviceError:
        """How the process ended that should not have."""
        self.process.join(END_SECONDS)
        code = self.process.exitcode
        cause = signal.strsignal(-code) if code is not None and code < 0 else f"exit code {code}"
        return DeviceError(
            f"{self.device}: its process ended unexpectedly ({cause}).",
            "Look for what ended it, a lack of memory for instance; then run the same command again to continue.",
        )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """What starts now is born deaf to signals, since until it ignores them itself they would end it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
