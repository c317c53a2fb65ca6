"""The messages between the main process and the process of each device."""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import ExitCode, ImpastoError
from pipeline.stage.summary import Usage

if TYPE_CHECKING:
    import logging.handlers
    from pathlib import Path

    from pipeline.outbox.metadata import Failure, Metadata
    from pipeline.pair import Pair
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.task import Task
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.weights import WeightsSource


SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""That a terminal or a service manager sends to the parent's children, too; it is for the parent to heed them."""


ADDED: Final = tuple(each.name for each in fields(Usage) if each.name not in {"devices", "_lock"})
"""Of a `Usage`, what the processes tell of theirs."""


@dataclass(frozen=True)
class Assignment:
    """What a process is to be."""

    settings: Settings
    """With its device."""
    weights: WeightsSource
    outbox: Path
    parent: str
    """The parent's folder for what is half written; ours lies in it, and is removed with it if we are killed."""
    log_level: int
    devices: int
    """That share the processor."""


@dataclass(frozen=True)
class Begin:
    """A call of `process`."""


@dataclass(frozen=True)
class TaskMessage:
    """A task, whose fence is the parent's."""

    number: int
    task: Task


@dataclass(frozen=True)
class EndOfTasks:
    """Tasks; what was begun is done."""


@dataclass(frozen=True)
class Halt:
    """At the next evaluation."""

    code: ExitCode


@dataclass(frozen=True)
class FenceAnswer:
    """What a fence said."""

    number: int
    error: ImpastoError | None


@dataclass(frozen=True)
class PairStarted:
    """A pair, on the device."""

    pair: Pair
    max_in_work: int


@dataclass(frozen=True)
class Evaluated:
    """A pair; not every evaluation is told."""

    pair: Pair
    evaluation: Evaluation


@dataclass(frozen=True)
class FenceCheck:
    """A fence."""

    number: int


@dataclass(frozen=True)
class TaskDone:
    """An outcome."""

    number: int
    record: Metadata | Failure
    error: ImpastoError | None
    usage: dict[str, Any]


@dataclass(frozen=True)
class LogMessage:
    """A line for the log."""

    record: logging.LogRecord


@dataclass(frozen=True)
class CallEnded:
    """A call of `process`."""

    error: ImpastoError | None
    usage: dict[str, Any]


def no_fence() -> None:
    """In place of a task's own, which cannot be sent."""


def defect(error: Exception) -> ImpastoError:
    """An error that is nobody's but ours, as one that can be sent."""
    return ImpastoError(f"{type(error).__name__}: {error}", "This is a defect of impasto; please report it.")
