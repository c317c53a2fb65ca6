"""Programs of the user's that are told what becomes of each pair, and of the whole.

They are started one after the other, by a thread of their own, so that the device waits for none of them; each gets
JSON on stdin, and what it prints goes into the log. Whatever they do, no pair fails of it: it is a warning, and the
closing line counts it.
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
import sys
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

MOST_WAITING: Final = 1000
"""Calls that wait for their turn; if more come, they are left out, since the device does not wait for hooks."""
POLITE_SECONDS: Final = 2.0
"""Between SIGTERM and SIGKILL."""
MOST_OUTPUT_BYTES: Final = 10_000
"""Of what a hook prints, per call."""
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Call:
    """A hook that is to be run."""

    hook: str
    """`on_pair` or `on_finish`."""
    command: tuple[str, ...]
    about: str
    """The pair's name, or the command's."""
    message: str
    """JSON."""


class Hooks(Observer):
    """Runs `hooks.on_pair` and `hooks.on_finish`."""

    def __init__(self, settings: HooksSettings, grace_seconds: float, most_waiting: int = MOST_WAITING) -> None:
        """After a signal, hooks have `grace_seconds` in all.

        Raises:
            UsageError: there is no such program.
        """
        for name, command in (("on_pair", settings.on_pair), ("on_finish", settings.on_finish)):
            if command and shutil.which(command[0]) is None:
                raise UsageError(
                    f"hooks.{name}: there is no program {command[0]!r} that could be started.",
                    "Give its whole path, and see that it may be executed.",
                )
        self._settings, self._grace_seconds, self._most_waiting = settings, grace_seconds, most_waiting
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._info: RunInfo | None = None
        self._counts: Counter[str] = Counter()
        self._runner = Runner(self._calls, settings.timeout_seconds)
        self._left_out = 0

    @property
    def failed(self) -> int:
        """Calls that did not end as they should."""
        return self._runner.failed

    @property
    def left_out(self) -> int:
        """Calls that were not made."""
        return self._left_out + self._runner.left_out

    def started(self, info: RunInfo) -> None:
        """From now on hooks may run."""
        self._info = info
        self._runner.start()

    def planned(self, item: PlannedPair) -> None:
        """For the counts after a signal."""
        self._counts[item.action.value] += 1

    def outcome(self, outcome: Outcome) -> None:
        """`on_pair`, with the record and where its files are."""
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
        """`on_pair`, too, though its pairs are not known."""
        self._counts["failed"] += 1
        message = {"event": "job", "status": "failed", **failure.model_dump(mode="json")}
        self._call("on_pair", self._settings.on_pair, ", ".join(failure.files), message)

    def finished(self, summary: Summary) -> None:
        """`on_finish`, when all the others have run.

        Raises:
            Interrupted: a signal came, and the rest was left out.
        """
        described = summary.describe()
        self._end(described, is_hasty=described["exit_code"] in {ExitCode.INTERRUPTED, ExitCode.TERMINATED})

    def aborted(self, error: BaseException) -> None:
        """`on_finish`, with what is known; not of one that had no turn, as cron's often has not."""
        if isinstance(error, LockedError):
            self._calls.put(None)
            return
        described = {**self._counts, "exit_code": int(exit_code_of(error)), "reason": str(error)}
        self._end(described, is_hasty=isinstance(error, Interrupted | KeyboardInterrupt))

    def _call(self, hook: str, command: Sequence[str], name: str, message: dict[str, Any]) -> None:
        if not command:
            return
        if hook == "on_pair" and self._calls.qsize() >= self._most_waiting:
            self._left_out += 1
            text = "%s of %s is left out: %d calls are waiting, since hooks are slower than pairs."
            logger.warning(text, hook, name, self._most_waiting, extra={"event": "hook", "hook": hook, "pair": name})
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
            self._give_up()
        if self._runner.error is not None:
            raise self._runner.error

    def _wait_until_done(self) -> None:
        with StopRequest() as stop:
            while self._runner.is_alive():
                self._runner.join(_POLL_SECONDS)
                stop.check(self._grace_seconds)
            stop.check()

    def _give_up(self) -> None:
        """Whatever is not done yet."""
        self._runner.is_over.set()
        self._runner.join()
        if self._runner.left_out:
            logger.warning(
                "%d hooks are left out, since there was no more time after the signal.",
                self._runner.left_out,
                extra={"event": "hook"},
            )


class Runner(threading.Thread):
    """The thread that runs hooks, until it is told that no more will come."""

    def __init__(self, calls: queue.SimpleQueue[Call | None], timeout_seconds: float) -> None:
        super().__init__(name="hooks", daemon=True)
        self._calls, self._timeout_seconds = calls, timeout_seconds
        self.is_over = threading.Event()
        """Set when there is no more time: the one that runs is ended, and the others are left out."""
        self.failed = self.left_out = 0
        self.error: Exception | None = None
        """A defect that ended the thread."""

    def run(self) -> None:
        """The life of the thread."""
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
        """What went wrong, or nothing.

        Raises:
            OSError: it could not be started.
        """
        # Files, not pipes: whether the hook reads and how much it prints does not matter then.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
            given.write(call.message.encode())
            given.seek(0)
            process = subprocess.Popen(  # noqa: S603 - the program is the user's, and no shell reads its arguments
                call.command, stdin=given, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
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
    """End a hook and all that it has started: kindly, then by force."""
    if sys.platform == "win32":
        process.kill()
    else:
        _signal_group(process, signal.SIGTERM)
        end = time.monotonic() + POLITE_SECONDS
        while _signal_group(process, 0) and time.monotonic() < end:
            process.poll()  # else what has ended would count as left
            time.sleep(_POLL_SECONDS)
        _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there is anybody left in it."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # the latter on macOS, of processes that have ended
        return False
    return True


def _log_output(call: Call, printed: BinaryIO) -> None:
    printed.seek(0, os.SEEK_END)
    surplus = printed.tell() - MOST_OUTPUT_BYTES
    printed.seek(0)
    for line in printed.read(MOST_OUTPUT_BYTES).decode(errors="replace").splitlines():
        text = printable(line.rstrip())
        if text:
            fields = {"event": "hook_output", "hook": call.hook, "pair": call.about}
            logger.info("%s: %s", call.hook, text, extra=fields)
    if surplus > 0:
        logger.info("%s printed %d bytes more.", call.hook, surplus, extra={"event": "hook_output", "hook": call.hook})
