"""What to do with a file in the inbox and with a job in the spool, from what is known of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.text import printable

if TYPE_CHECKING:
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
