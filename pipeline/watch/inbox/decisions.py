"""What to do with a file in the inbox and with a job in the spool, from what is known of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from pipeline.watch.inbox.names import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.watch.inbox.names import Candidate


class FileAction(StrEnum):
    """What to do with a file in the inbox."""

    WAIT = "wait"
    LEAVE = "leave"
    USE_AS_STYLE = "use as style"
    CLAIM = "claim"


@dataclass(frozen=True)
class FileView:
    """What is known of a file in the inbox."""

    candidate: Candidate
    is_empty: bool = False
    style_is_known: bool = False
    """Of the style that the photograph asks for, or of the default one."""
    style: str = ""
    """Its name; empty if there is none to ask for."""
    awaited: bool = False
    """A ticket waits for it."""


def decide_file(view: FileView) -> tuple[FileAction, str]:
    """What to do with a file that does not change any more, and why it is left, if it is."""
    form = view.candidate.form
    if view.awaited:
        return FileAction.WAIT, ""
    if reason := _why_left(view):
        return FileAction.LEAVE, reason
    return FileAction.USE_AS_STYLE if form == "style" else FileAction.CLAIM, ""


def _why_left(view: FileView) -> str:
    if view.candidate.form == "unknown":
        return "is no picture that can be read (JPEG, PNG, WebP, TIFF) and no manifest at the top of the inbox"
    if view.is_empty:
        return "is empty; it is taken when something has been written to it"
    if view.candidate.form == "photo" and not view.style:
        return "asks for no style: put it into a folder with a style's name, or set styles.default"
    if view.candidate.form == "photo" and not view.style_is_known:
        return (
            f"asks for the style {printable(view.style)!r}, which is not in styles.folder (--styles); "
            f"add it there, or drop a painting as {printable(view.style)}/_style.jpg"
        )
    return ""


class PairState(Enum):
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


def decide_job(pairs: Sequence[PairState], *, has_files: bool = True, has_reason: bool = False) -> JobAction:
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
    if PairState.TO_DO in pairs:
        return JobAction.RENDER
    if PairState.BLOCKED in pairs:
        return JobAction.WAIT
    return JobAction.QUARANTINE if PairState.FAILED in pairs else JobAction.RETIRE
