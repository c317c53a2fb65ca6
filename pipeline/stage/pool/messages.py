"""The messages between the main process and the process of each device.

To the process of a device: `Begin`, `TaskMessage`, `FenceAnswer`, `Halt`, `EndOfTasks`.
From it: `PairStarted`, `Evaluated`, `FenceCheck`, `TaskDone`, `LogMessage`, `CallEnded`.
A call of `StagePool.process` is one call of `Stage.process` in each process, from `Begin` to `CallEnded`.
"""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pipeline.stage.summary import Usage

if TYPE_CHECKING:
    import logging.handlers
    from pathlib import Path

    from pipeline.errors import ExitCode, ImpastoError
    from pipeline.outbox.metadata import Failure, Metadata
    from pipeline.pair import Pair
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.task import Task
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.weights import WeightsSource


SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that a terminal or a service manager sends to the child processes, too. Only the parent acts on them."""

USAGE_FIELDS: Final = tuple(each.name for each in fields(Usage) if each.name not in {"devices", "_lock"})
"""Fields of `Usage` that each process reports."""


@dataclass(frozen=True)
class Assignment:
    """The values with which the process of a device builds its stage."""

    settings: Settings
    """Settings, with the one device of the process."""
    weights: WeightsSource
    outbox: Path
    """Folder of the outbox."""
    parent: str
    """Name of the parent's folder for temporary files. The process has a folder of its own in it, which is removed
    together with it if the process is killed."""
    log_level: int
    """Level of the parent's log."""
    devices: int
    """Number of devices that share the processor."""


@dataclass(frozen=True)
class Begin:
    """A call of `process` begins."""


@dataclass(frozen=True)
class TaskMessage:
    """A task to be rendered. Its fence stays with the parent; see `FenceCheck`."""

    number: int
    """Number of the task, which the answers to this message repeat."""
    task: Task


@dataclass(frozen=True)
class EndOfTasks:
    """No further tasks will come in this call; finish the tasks that have begun."""


@dataclass(frozen=True)
class Halt:
    """Stop at the next evaluation, with checkpoints."""

    code: ExitCode
    """Exit code of the command."""


@dataclass(frozen=True)
class FenceAnswer:
    """The answer to `FenceCheck`."""

    number: int
    error: ImpastoError | None
    """Error that the fence raised; None if the result is wanted."""


@dataclass(frozen=True)
class PairStarted:
    """The device begins with a pair."""

    pair: Pair
    max_in_work: int
    """Largest number of pairs that the process takes at once from now on."""


@dataclass(frozen=True)
class Evaluated:
    """A device has made an evaluation of a pair. Most evaluations are left out, see `process.REPORT_SECONDS`."""

    pair: Pair
    evaluation: Evaluation


@dataclass(frozen=True)
class FenceCheck:
    """A result is about to be published: the parent must call the fence of its task and send a `FenceAnswer`."""

    number: int


@dataclass(frozen=True)
class TaskDone:
    """A task has an outcome."""

    number: int
    record: Metadata | Failure
    error: ImpastoError | None
    usage: dict[str, Any]
    """Usage of the process so far, by `USAGE_FIELDS`."""


@dataclass(frozen=True)
class LogMessage:
    """A line for the parent's log."""

    record: logging.LogRecord


@dataclass(frozen=True)
class CallEnded:
    """A call of `process` is over."""

    error: ImpastoError | None
    """Error that ended it; None if all tasks have outcomes."""
    usage: dict[str, Any]
    """Usage of the process so far, by `USAGE_FIELDS`."""


def no_fence() -> None:
    """Do nothing; a substitute for a task's fence, which cannot be sent to another process."""
