"""Which step a job takes next, decided from the states of its pairs. Pure functions."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class PairStatus(Enum):
    """How far a pair of a job is."""

    TO_DO = "to do"
    BLOCKED = "another job works on the same result"
    DONE = "done"
    DUPLICATE = "was done before"
    FAILED = "failed"


class JobAction(StrEnum):
    """What to do with a job."""

    REMOVE = "remove"
    FINISH_FAILING = "finish failing"
    WAIT = "wait"
    RENDER = "render"
    QUARANTINE = "quarantine"
    RETIRE = "retire"


def decide_job(pairs: Sequence[PairStatus], *, has_files: bool = True, has_reason: bool = False) -> JobAction:
    """What to do with a job, at any time; after a restart it is asked of all that lie in the spool.

    Args:
        pairs: how far each of its pairs is.
        has_files: whether any file lies in it; a crash before the claim, or after the last file was put back, leaves an
            empty folder.
        has_reason: whether it is being moved to `failed`.
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
