"""Hooks: programs of the user that run after each pair and at the end of the whole run.

A thread of its own runs them one after the other, so that the device never waits. Each hook gets JSON on stdin, and
its output goes into the log. A hook that fails causes a warning, which the closing line counts, and no pair fails.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pipeline.errors import ExitCode, Interrupted, LockedError, UsageError, exit_code_of
from pipeline.run.observer import Observer, RunInfo
from pipeline.signals import StopRequest
from pipeline.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.outbox.metadata import JobFailure
    from pipeline.run.plan import PlannedPair
    from pipeline.settings.run_settings import HooksSettings
    from pipeline.stage.summary import Summary
    from pipeline.stage.task import Outcome

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
"""Largest number of calls that wait for their turn; further calls are left out, since no device waits for hooks."""
TERMINATION_SECONDS: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
MAX_OUTPUT_BYTES: Final = 10_000
"""Bytes of a call's output that are logged; further bytes are only counted."""
_POLL_SECONDS: Final = 0.05
"""Seconds between two checks of a running hook."""


@dataclass(frozen=True)
class Call:
    """One run of a hook."""

    hook: str
    """`on_pair` or `on_finish`."""
    command: tuple[str, ...]
    about: str
    """Name of the pair, or of the command."""
    message: str
    """JSON for the hook's stdin."""


class Hooks(Observer):
    """Has `hooks.on_pair` run for each pair and `hooks.on_finish` at the end."""

    def __init__(self, settings: HooksSettings, grace_seconds: float, max_waiting: int = MAX_WAITING) -> None:
        """Check that the programs exist.

        Args:
            settings: the hooks.
            grace_seconds: seconds that all hooks together have after a signal.
            max_waiting: largest number of calls that wait for their turn.

        Raises:
            UsageError: a program does not exist.
        """
        for name, command in (("on_pair", settings.on_pair), ("on_finish", settings.on_finish)):
            if command and shutil.which(command[0]) is None:
                raise UsageError(
                    f"hooks.{name}: there is no program {command[0]!r} that could be started.",
                    "Give its whole path, and see that it may be executed.",
                )
        self._settings, self._grace_seconds, self._max_waiting = settings, grace_seconds, max_waiting
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._info: RunInfo | None = None
        self._counts: Counter[str] = Counter()
        self._runner = Runner(self._calls, settings.timeout_seconds)
        self._left_out = 0

    @property
    def failed(self) -> int:
        """Number of calls that failed, or took too long."""
        return self._runner.failed

    @property
    def left_out(self) -> int:
        """Number of calls that were not made."""
        return self._left_out + self._runner.left_out

    def started(self, info: RunInfo) -> None:
        """Start the thread that runs hooks."""
        self._info = info
        self._runner.start()

    def planned(self, item: PlannedPair) -> None:
        """Count the pair, for `on_finish` after an error."""
        self._counts[item.action.value] += 1

    def outcome(self, outcome: Outcome) -> None:
        """Call `on_pair` with the pair's record and the paths of its files."""
        self._counts[outcome.record.status] += 1
        assert self._info is not None  # noqa: S101 - it was started
        root, pair = self._info.outbox, outcome.pair
        if outcome.error is None:
            paths = {"picture": str(root / pair.file_name), "metadata": str(root / f"{pair.file_name}.json")}
        else:
            paths = {"metadata": str(root / "failed" / f"{pair.name}.json")}
        message = {"event": "pair", **outcome.record.model_dump(mode="json"), "paths": paths}
        self._call("on_pair", self._settings.on_pair, pair.name, message)

    def failed_job(self, failure: JobFailure) -> None:
        """Call `on_pair` for a job whose pairs are not known."""
        self._counts["failed"] += 1
        message = {"event": "job", "status": "failed", **failure.model_dump(mode="json")}
        self._call("on_pair", self._settings.on_pair, ", ".join(failure.files), message)

    def finished(self, summary: Summary) -> None:
        """Call `on_finish` after all other calls, and wait for it.

        Raises:
            Interrupted: a signal came, and the calls that were still waiting are left out.
        """
        described = summary.describe()
        self._end(described, is_hasty=described["exit_code"] in {ExitCode.INTERRUPTED, ExitCode.TERMINATED})

    def aborted(self, error: BaseException) -> None:
        """Call `on_finish` with the counts so far, unless another process held the lock, as often under cron."""
        if isinstance(error, LockedError):
            self._calls.put(None)
            return
        described = {**self._counts, "exit_code": int(exit_code_of(error)), "reason": str(error)}
        self._end(described, is_hasty=isinstance(error, Interrupted | KeyboardInterrupt))

    def _call(self, hook: str, command: Sequence[str], name: str, message: dict[str, Any]) -> None:
        if not command:
            return
        if hook == "on_pair" and self._calls.qsize() >= self._max_waiting:
            self._left_out += 1
            text = "%s of %s is left out: %d calls are waiting, since hooks are slower than pairs."
            logger.warning(text, hook, name, self._max_waiting, extra={"event": "hook", "hook": hook, "pair": name})
            return
        self._calls.put(Call(hook, tuple(command), name, json.dumps(message)))

    def _end(self, described: dict[str, Any], *, is_hasty: bool) -> None:
        assert self._info is not None  # noqa: S101 - it was started
        info = self._info
        places = {"source": os.fspath(info.source), "outbox": os.fspath(info.outbox)}
        message = {"event": "finish", "command": info.command, **places, **described}
        self._call("on_finish", self._settings.on_finish, info.command, message)
        self._calls.put(None)
        try:
            if is_hasty:  # the next signal ends the process at once
                self._runner.join(self._grace_seconds)
            else:
                self._wait_until_done()
        finally:
            self._leave_out_rest()
        if self._runner.error is not None:
            raise self._runner.error

    def _wait_until_done(self) -> None:
        with StopRequest() as stop:
            while self._runner.is_alive():
                self._runner.join(_POLL_SECONDS)
                stop.check(self._grace_seconds)
            stop.check()

    def _leave_out_rest(self) -> None:
        """End the hook that runs, and leave out the calls that are still waiting."""
        self._runner.is_over.set()
        self._runner.join()
        if self._runner.left_out:
            logger.warning(
                "%d hooks are left out, since there was no more time after the signal.",
                self._runner.left_out,
                extra={"event": "hook"},
            )


class Runner(threading.Thread):
    """The thread that runs hooks, one after the other, until None comes out of the queue."""

    def __init__(self, calls: queue.SimpleQueue[Call | None], timeout_seconds: float) -> None:
        super().__init__(name="hooks", daemon=True)
        self._calls, self._timeout_seconds = calls, timeout_seconds
        self.is_over = threading.Event()
        """Event that ends the hook that runs, and leaves out the others."""
        self.failed = self.left_out = 0
        self.error: Exception | None = None
        """Defect that ended the thread."""

    def run(self) -> None:
        """Run calls until None comes."""
        try:
            while (call := self._calls.get()) is not None:
                if self.is_over.is_set():
                    self.left_out += 1
                else:
                    self._run(call)
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits for the end
            self.error = error

    def _run(self, call: Call) -> None:
        begin = time.monotonic()
        try:
            trouble = self._execute(call)
        except OSError as error:
            trouble = f"could not be run: {error}"
        fields = {
            "event": "hook",
            "hook": call.hook,
            "pair": call.about,
            "seconds": round(time.monotonic() - begin, 3),
            "reason": trouble or None,
        }
        if trouble:
            self.failed += 1
            logger.warning("%s of %s %s.", call.hook, call.about, trouble, extra=fields)
        else:
            logger.debug("%s of %s is done.", call.hook, call.about, extra=fields)

    def _execute(self, call: Call) -> str:
        """Run a hook; return what went wrong, or an empty text.

        Raises:
            OSError: the program could not be started.
        """
        # Files in place of pipes, so that the hook need not read its stdin, and may print any amount.
        with tempfile.TemporaryFile() as message, tempfile.TemporaryFile() as printed:
            message.write(call.message.encode())
            message.seek(0)
            process = subprocess.Popen(  # noqa: S603 - the program is the user's, and no shell reads its arguments
                call.command, stdin=message, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
            )
            trouble = self._wait_for(process)
            _log_output(call, printed)
        return trouble

    def _wait_for(self, process: subprocess.Popen[bytes]) -> str:
        end = time.monotonic() + self._timeout_seconds
        while not self.is_over.is_set() and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return _trouble(process.wait(min(left, _POLL_SECONDS)))
        _end_group(process)
        if self.is_over.is_set():
            return "was ended, since there was no more time after the signal"
        return f"was ended, since it took longer than hooks.timeout_seconds = {self._timeout_seconds:g}"


def _trouble(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.strsignal(-code)}"
    return f"ended with exit code {code}" if code else ""


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a hook and all processes that it has started: by SIGTERM, then by SIGKILL."""
    _signal_group(process, signal.SIGTERM)
    end = time.monotonic() + TERMINATION_SECONDS
    while _signal_group(process, 0) and time.monotonic() < end:
        process.poll()  # else a process that has ended would count as alive
        time.sleep(_POLL_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to a process group; return whether any process is left in it."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS raises the latter for processes that have ended
        return False
    return True


def _log_output(call: Call, printed: BinaryIO) -> None:
    printed.seek(0, os.SEEK_END)
    surplus = printed.tell() - MAX_OUTPUT_BYTES
    printed.seek(0)
    for line in printed.read(MAX_OUTPUT_BYTES).decode(errors="replace").splitlines():
        text = printable(line.rstrip())
        if text:
            fields = {"event": "hook_output", "hook": call.hook, "pair": call.about}
            logger.info("%s: %s", call.hook, text, extra=fields)
    if surplus > 0:
        logger.info("%s printed %d bytes more.", call.hook, surplus, extra={"event": "hook_output", "hook": call.hook})
