"""Decisions about the files in the inbox, from their known properties. The functions are pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.text import printable
from pipeline.watch.inbox.names import TICKET_ENDINGS

if TYPE_CHECKING:
    from pipeline.watch.inbox.names import Candidate


class FileAction(StrEnum):
    """The next step for a file in the inbox."""

    WAIT = "wait"
    LEAVE = "leave"
    USE_AS_STYLE = "use as style"
    CLAIM = "claim"


@dataclass(frozen=True)
class FileView:
    """Properties of a file in the inbox that decide about the next step."""

    candidate: Candidate
    is_empty: bool = False
    style_is_known: bool = False
    """Whether a style named `style` exists."""
    style: str = ""
    """Name of the photograph's style, or of the default style; empty if there is neither."""
    damage: str = ""
    """Fault of the photograph's painting or mask; empty if none is known."""
    awaited: bool = False
    """Whether a ticket waits for the file."""


def decide_file(view: FileView) -> tuple[FileAction, str]:
    """Return the next step for a file that settles, and the reason if it is left.

    The caller checks afterwards whether the file is stable, before it claims the file or uses it as a style.
    """
    form = view.candidate.form
    if view.awaited:
        return FileAction.WAIT, ""
    if reason := _reason_to_leave(view):
        return FileAction.LEAVE, reason
    return FileAction.USE_AS_STYLE if form == "style" else FileAction.CLAIM, ""


def _reason_to_leave(view: FileView) -> str:
    if view.candidate.form == "unknown":
        return f"is no picture of image.formats and no manifest ({', '.join(TICKET_ENDINGS)}) at the top of the inbox"
    if view.is_empty:
        return "is empty; it is taken when something has been written to it"
    if view.candidate.form == "photo" and not view.style:
        return "asks for no style: put it into a folder with a style's name, or set styles.default"
    if view.candidate.form == "photo" and not view.style_is_known:
        return (
            f"asks for the style {printable(view.style)!r}, which is not in styles.folder (--styles); "
            f"add it there, or drop a painting as {printable(view.style)}/_style.jpg"
        )
    if view.damage:
        return f"waits for another painting or mask: {view.damage}"
    return ""
