"""What an outbox and an inbox look like at the moment, from the names of their files: quick, whatever is in them.

Nothing is locked, made or changed, so it may be asked at any time, beside a run or after one that died.
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
    """Look at an outbox or an inbox.

    Raises:
        UsageError: it is neither.
        StorageError: it cannot be read.
    """
    with storage_errors(folder):
        if kind_of(folder) == "inbox":
            return survey_inbox(folder, folder / STATE_FOLDER)
        return survey_outbox(folder)


def kind_of(folder: Path) -> Literal["inbox", "outbox"]:
    """What a folder is.

    Raises:
        UsageError: it is neither.
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
