"""Detects whether the files of a job were written to after they were claimed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pipeline.errors import ChangedError, UnreadableError
from pipeline.watch.inbox.names import is_ticket
from pipeline.watch.inbox.walk import status_of
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from pipeline.disk import Disk
    from pipeline.pair import Pair
    from pipeline.watch.jobs.open_job import OpenJob


class ChangeDetector:
    """Compares the files of jobs with their last known facts.

    The thread that renders calls `was_written_to`, and threads that save call `check_unchanged`.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._lock = threading.Lock()
        """Lock that is held while a job's files are compared."""

    def was_written_to(self, open_job: OpenJob, files: tuple[str, ...]) -> bool:
        """Whether one of a job's files was written to since the last call, whose facts are then replaced.

        Raises:
            OSError: the status of a file cannot be read.
        """
        with self._lock:
            open_job.ticket = next((name for name in files if is_ticket(name)), "")
            return self._compare(open_job, files)

    def check_unchanged(self, open_job: OpenJob, pair: Pair) -> None:
        """Check that a result is that of the photograph as it is now.

        Only the pair's own files and the ticket are looked at; other files of the job are, when their pairs are saved.

        Raises:
            ChangedError: a file of the pair, or the ticket, was written to while the pair was painted.
            UnreadableError: the status of a file cannot be read.
        """
        try:
            with self._lock:
                if self._compare(open_job, _files_of(open_job, pair)):
                    open_job.is_outdated = True
                if not open_job.is_outdated:
                    return
        except OSError as error:
            raise UnreadableError(f"{pair.content_label}: cannot be read: {error.strerror}.") from error
        raise ChangedError(f"{pair.content_label}: was written to while it was painted.", "It is painted again.")

    def _compare(self, open_job: OpenJob, files: tuple[str, ...]) -> bool:
        statuses = {name: status_of(self._disk, open_job.job.path(name)) for name in files}
        # A file without a status was removed, or another worker has taken the job over.
        facts = {name: FileFacts.of(status) for name, status in statuses.items() if status is not None}
        known = open_job.claimed.facts
        has_changed = any(name in known and not now.same_content(known[name]) for name, now in facts.items())
        known.update(facts)
        return has_changed


def _files_of(open_job: OpenJob, pair: Pair) -> tuple[str, ...]:
    """Return the files of a job on which a pair depends, by their paths in the inbox."""
    folder = open_job.job.path("")
    film = pair.frame.film if pair.frame is not None else None
    files = (*pair.files, *([film.source] if film is not None else []))
    own = (path.relative_to(folder).as_posix() for path in files if path.is_relative_to(folder))
    return (*own, *([open_job.ticket] if open_job.ticket else []))
