"""The next step of a job, decided from the states of its pairs."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class PairStatus(Enum):
    """State of a pair of a job, described by the values."""

    TO_DO = "to do"
    BLOCKED = "another job works on the same result"
    DONE = "done"
    DUPLICATE = "was done before"
    FAILED = "failed"


class JobAction(StrEnum):
    """The next step of a job."""

    REMOVE = "remove"
    FINISH_FAILING = "finish failing"
    WAIT = "wait"
    RENDER = "render"
    QUARANTINE = "quarantine"
    RETIRE = "retire"


def decide_job(pairs: Sequence[PairStatus], *, has_files: bool = True, has_reason: bool = False) -> JobAction:
    """Return the next step of a job. After a restart the same rule decides about each job in the spool.

    Args:
        pairs: the state of each of its pairs.
        has_files: whether the job's folder has any file. A crash before the claim, or after the last file was put back,
            leaves an empty folder.
        has_reason: whether the job has a reason.json, because a process ended while it moved the job to `failed`.
    """
    if not has_files:
        return JobAction.REMOVE
    if has_reason:
        return JobAction.FINISH_FAILING
    if PairStatus.TO_DO in pairs:
        return JobAction.RENDER
    if PairStatus.BLOCKED in pairs:
        return JobAction.WAIT
    return JobAction.QUARANTINE if PairStatus.FAILED in pairs else JobAction.RETIRE
