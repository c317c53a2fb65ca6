"""The parent's side of a device's process: starts it, gives it tasks, and ends it."""

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
"""Seconds after which a process that should end is killed."""

_SPAWN: Final = multiprocessing.get_context("spawn")  # CUDA does not survive a fork


class ProcessHandle:
    """The process of one device, for its parent. Only one thread uses it."""

    def __init__(self, assignment: Assignment) -> None:
        """Start the process.

        Raises:
            DeviceError: the process cannot be started.
        """
        self.device = assignment.settings.run.device
        self.tasks: dict[int, Task] = {}
        """Tasks without an outcome, by number."""
        self.max_in_work = PAIRS_AHEAD
        """Largest number of tasks that the process takes at once."""
        self.is_at_work = False
        """Whether a call of `process` is running in the process."""
        self.usage: dict[str, Any] = {}
        """Last reported usage of the process, by `USAGE_FIELDS`."""
        self.pipe, far_end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=serve, args=(far_end, assignment), name=self.device, daemon=True)
        try:
            with _signals_blocked():
                self.process.start()
        except OSError as error:
            raise DeviceError(
                f"{self.device}: no process can be started for it: {error.strerror}.",
                "Free memory, or raise the limit of processes.",
            ) from error
        finally:
            far_end.close()

    def send(self, message: object) -> bool:
        """Send a message; return False if the process has died, which the next read from the pipe shows, too."""
        try:
            self.pipe.send(message)
        except OSError:
            return False
        return True

    def begin(self) -> None:
        """Begin a call of `process`."""
        self.is_at_work = True
        self.send(Begin())

    def give(self, number: int, task: Task) -> None:
        """Give the process a task."""
        if self.send(TaskMessage(number, replace(task, fence=no_fence))):
            self.tasks[number] = task

    def halt(self, code: ExitCode) -> None:
        """Ask the process to stop at its next evaluation."""
        if self.is_at_work:
            self.send(Halt(code))

    def end(self) -> list[Task]:
        """End the call of `process`; return the tasks that have no outcome."""
        self.is_at_work = False
        unfinished = list(self.tasks.values())
        self.tasks.clear()
        return unfinished

    def dismiss(self) -> None:
        """End the process: at once if it is idle, otherwise at its next evaluation."""
        if not self.is_at_work:
            self.process.kill()  # nothing is unfinished, and the process would take long to end by itself
        self.end()
        self.pipe.close()

    def join(self) -> None:
        """Wait until the process has ended."""
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def death(self, unfinished: list[Task]) -> DeviceError:
        """Return an error that says how the process died, during these tasks."""
        self.process.join(END_SECONDS)
        code = self.process.exitcode
        cause = signal.strsignal(-code) if code is not None and code < 0 else f"exit code {code}"
        return DeviceError(
            f"{self.device}: its process ended unexpectedly ({cause}).",
            "Find the cause, a lack of memory for instance; then run the same command again to continue.",
            suspects=tuple(task.pair.file_name for task in unfinished),
        )


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals while the child starts, since a signal would kill it before it has installed its own handlers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # otherwise it would start now, and unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
