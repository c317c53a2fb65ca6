"""The messages between the pool and the process of each device.

To the process of a device: `Begin`, `TaskMessage`, `FenceAnswer`, `Halt`, `EndOfTasks`.
From it: `Ready` or `NotReady` first, then `Alive`, `TaskReceived`, `PairStarted`, `Evaluated`, `FenceCheck`,
`TaskDone`, `LogMessage`, `CallEnded`.
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
    from pipeline.stage.pool.handshake import Facts
    from pipeline.stage.task import Task
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.weights import WeightsSource


SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that a terminal or a service manager sends to the child processes, too. Only the parent acts on them."""

USAGE_FIELDS: Final = tuple(
    each.name for each in fields(Usage) if each.name not in {"begin", "end", "devices", "_lock"}
)
"""Fields of `Usage` that each process reports: sums of seconds and counts, since clocks of machines differ."""
REPORT_SECONDS: Final = 0.2
"""Shortest time in seconds between two evaluations that a process reports, with up to `_SEATS_AT_FULL_RATE` of them."""
_SEATS_AT_FULL_RATE: Final = 8


def report_seconds(seats: int) -> float:
    """Return the shortest time in seconds between two reported evaluations: longer, the more seats there are."""
    return REPORT_SECONDS * max(1.0, seats / _SEATS_AT_FULL_RATE)


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
    nonce: Path | None = None
    """File in the outbox by which the process sees that it has the same outbox; None: it is on the same machine."""
    report_seconds: float = REPORT_SECONDS
    """Shortest time in seconds between two evaluations that the process reports."""


@dataclass(frozen=True)
class Ready:
    """The process has opened its stage, and can take tasks."""

    facts: Facts


@dataclass(frozen=True)
class NotReady:
    """The process cannot open its stage, and ends."""

    error: ImpastoError


@dataclass(frozen=True)
class Alive:
    """The process lives; sent every `process.ALIVE_SECONDS` during a call."""

    is_stuck: bool
    """Whether the evaluation in progress takes far longer than it should."""


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
class TaskReceived:
    """The process has a task, so that it may die during it from now on."""

    number: int


@dataclass(frozen=True)
class PairStarted:
    """The device begins with a pair."""

    pair: Pair
    max_in_work: int
    """Largest number of pairs that the process takes at once from now on."""


@dataclass(frozen=True)
class Evaluated:
    """A device has made an evaluation of a pair. Most evaluations are left out, see `Assignment`."""

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
