"""Decisions about the files in the inbox, from what is known of them. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.text import printable

if TYPE_CHECKING:
    from pipeline.watch.inbox.names import Candidate


class FileAction(StrEnum):
    """The next step with a file in the inbox."""

    WAIT = "wait"
    LEAVE = "leave"
    USE_AS_STYLE = "use as style"
    CLAIM = "claim"


@dataclass(frozen=True)
class FileView:
    """Properties of a file in the inbox that decide what is done with it."""

    candidate: Candidate
    is_empty: bool = False
    style_is_known: bool = False
    """Whether there is a style named `style`."""
    style: str = ""
    """Name of the style that the photograph asks for, or of the default one; empty if there is neither."""
    awaited: bool = False
    """Whether a ticket waits for the file."""


def decide_file(view: FileView) -> tuple[FileAction, str]:
    """Return what to do with a stable file and, if it is left, the reason."""
    form = view.candidate.form
    if view.awaited:
        return FileAction.WAIT, ""
    if reason := _reason_to_leave(view):
        return FileAction.LEAVE, reason
    return FileAction.USE_AS_STYLE if form == "style" else FileAction.CLAIM, ""


def _reason_to_leave(view: FileView) -> str:
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
