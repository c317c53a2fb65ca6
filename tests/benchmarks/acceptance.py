"""Steps of an acceptance test: each is run in another process, for a limited time, and records what it finds."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

_SPAWN: Final = multiprocessing.get_context("spawn")  # CUDA does not survive a fork

Result = Literal["pass", "fail", "not run"]


@dataclass(frozen=True)
class Check:
    """One thing that a step has checked."""

    name: str
    """What was checked."""
    result: Result
    text: str
    """What was measured, or why the check failed or was not run."""


def judged(name: str, text: str, *, is_good: bool) -> Check:
    """Return a check that passes if it is good."""
    return Check(name, "pass" if is_good else "fail", text)


def not_run(name: str, reason: str) -> Check:
    """Return a check that was not run."""
    return Check(name, "not run", reason)


def attempted(name: str, work: Callable[[], Check]) -> Check:
    """Return the check that some work makes; a failed one if it raises an error, so that others can follow it."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of the check
        return Check(name, "fail", in_words(error))


def in_words(error: Exception) -> str:
    """Return the type and the first line of an error; those of CUDA have further lines of general advice."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


@dataclass(frozen=True)
class Step:
    """A part of an acceptance test."""

    name: str
    function: Callable[[Any], Iterator[Check]]
    """Function of a module, which takes the plan of the test; its checks are kept even if it fails later."""
    limit_seconds: float
    """Time after which the step is stopped and has failed."""


@dataclass(frozen=True)
class StepReport:
    """The outcome of a step."""

    name: str
    seconds: float
    checks: tuple[Check, ...]


class StepRunner:
    """Runs steps in one other process, which is replaced after a step that failed: its device may be unusable then."""

    def __init__(self, plan: object) -> None:
        """Begin without a process.

        Args:
            plan: what every step is called with.
        """
        self._plan = plan
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def run(self, step: Step) -> StepReport:
        """Run a step to its end, to its error, or until its time is over."""
        begin, checks = time.monotonic(), []
        try:
            pipe = self._open()
            pipe.send(step.function)
            while True:
                if not pipe.poll(max(0.0, begin + step.limit_seconds - time.monotonic())):
                    failure: str | None = f"not done after {step.limit_seconds:g} s"
                    break
                message = pipe.recv()
                if not isinstance(message, Check):
                    failure = message
                    break
                checks.append(message)
        except (EOFError, OSError):
            failure = "the process of the step died"
        if not checks and failure is None:
            failure = "nothing was checked"
        if failure is not None:
            checks.append(Check("the step as a whole", "fail", failure))
        if any(check.result == "fail" for check in checks):
            self.close()
        return StepReport(step.name, time.monotonic() - begin, tuple(checks))

    def _open(self) -> Connection:
        """Return the pipe to the process, which is started if there is none."""
        if self._pipe is None:
            self._pipe, theirs = _SPAWN.Pipe()
            self._process = _SPAWN.Process(target=_serve, args=(self._plan, theirs), daemon=True)
            self._process.start()
            theirs.close()
        return self._pipe

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None


def _serve(plan: object, pipe: Connection) -> None:
    """Run the functions that come through a pipe, and send their checks, then None or the error's text."""
    while True:
        try:
            function = pipe.recv()
        except EOFError:
            return
        try:
            for check in function(plan):
                pipe.send(check)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of the step
            pipe.send(in_words(error))
        else:
            pipe.send(None)
