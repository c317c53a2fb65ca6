"""The state of an outbox or an inbox, from the names of its files; of the files, only the JSON of an outbox is read.

A survey locks, makes and changes nothing, so it may be made at any time, during a run or after one that died.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.cli.status.inbox import InboxSurvey, survey_inbox
from pipeline.cli.status.outbox import OutboxSurvey, survey_outbox
from pipeline.disk import storage_errors
from pipeline.errors import UsageError
from pipeline.outbox.paths import STATE_FOLDER

if TYPE_CHECKING:
    from pipeline.settings.all_settings import Settings

Survey = OutboxSurvey | InboxSurvey


def survey(folder: Path, settings: Settings) -> Survey:
    """Survey an outbox or an inbox.

    Args:
        folder: the folder.
        settings: the settings of the watcher, of which `watch.spool` and `image.formats` count.

    Raises:
        UsageError: the folder is neither.
        StorageError: the folder cannot be read.
    """
    formats, spool = settings.image.kinds, Path(settings.watch.spool)
    with storage_errors(folder):
        has_state = (folder / STATE_FOLDER).is_dir()  # it is an outbox, or an inbox with a spool of its own
        if settings.watch.spool and not has_state and folder.is_dir() and (spool / "work").is_dir():
            return survey_inbox(folder, spool, formats)
        if kind_of(folder) == "inbox":
            return survey_inbox(folder, folder / STATE_FOLDER, formats)
        return survey_outbox(folder, formats)


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
        "Name the folder given to --outbox, which leads to the inboxes of its watchers; for status of an inbox that "
        "has its spool elsewhere, add --set watch.spool=FOLDER.",
    )
