"""The state of an outbox or an inbox, taken from the names of its files, so that it is quick even for many files.

A survey locks, makes and changes nothing, so it may be made at any time, during a run or after one that died.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.cli.status.inbox import InboxSurvey, survey_inbox
from pipeline.cli.status.outbox import OutboxSurvey, survey_outbox
from pipeline.disk import storage_errors
from pipeline.errors import UsageError
from pipeline.outbox.paths import STATE_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

Survey = OutboxSurvey | InboxSurvey


def survey(folder: Path) -> Survey:
    """Survey an outbox or an inbox.

    Raises:
        UsageError: the folder is neither.
        StorageError: the folder cannot be read.
    """
    with storage_errors(folder):
        if kind_of(folder) == "inbox":
            return survey_inbox(folder, folder / STATE_FOLDER)
        return survey_outbox(folder)


def kind_of(folder: Path) -> Literal["inbox", "outbox"]:
    """Return whether a folder is an inbox or an outbox.

    Raises:
        UsageError: the folder is neither.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder.", "Name an outbox, or the inbox of a watcher.")
    if (folder / STATE_FOLDER / "work").is_dir():
        return "inbox"
    if (folder / STATE_FOLDER).is_dir():
        return "outbox"
    raise UsageError(
        f"{folder}: is neither an outbox nor the inbox of a watcher: it has no folder {STATE_FOLDER}.",
        "Name the folder given to --outbox; it is known from there where an inbox with watch.spool has its files.",
    )
