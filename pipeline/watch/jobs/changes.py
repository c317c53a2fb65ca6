"""Detects whether the files of a job were written to after they were claimed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pipeline.errors import ChangedError, UnreadableError
from pipeline.watch.spool.records import FileFacts

if TYPE_CHECKING:
    from pipeline.disk import Disk
    from pipeline.pair import Pair
    from pipeline.watch.jobs.open_job import OpenJob
    from pipeline.watch.spool.spool import Spool


class ChangeDetector:
    """Compares the files of jobs with their last known facts.

    The thread that renders calls `was_written_to`, and threads that save call `check_unchanged`.
    """

    def __init__(self, spool: Spool, disk: Disk) -> None:
        self._spool, self._disk = spool, disk
        self._lock = threading.Lock()
        """Lock that is held while a job's files are compared."""

    def was_written_to(self, open_job: OpenJob, files: tuple[str, ...]) -> bool:
        """Whether one of a job's files was written to since the last call, whose facts are then replaced.

        Raises:
            OSError: the status of a file cannot be read.
        """
        with self._lock:
            return self._compare(open_job, files)

    def check_unchanged(self, open_job: OpenJob, pair: Pair) -> None:
        """Check that a result is that of the photograph as it is now.

        Raises:
            ChangedError: a file of the job was written to while the pair was painted.
            UnreadableError: the status of a file cannot be read.
        """
        try:
            with self._lock:
                if self._compare(open_job, self._spool.files(open_job.job)):
                    open_job.is_outdated = True
                if not open_job.is_outdated:
                    return
        except OSError as error:
            raise UnreadableError(f"{pair.content_label}: cannot be read: {error.strerror}.") from error
        raise ChangedError(f"{pair.content_label}: was written to while it was painted.", "It is painted again.")

    def _compare(self, open_job: OpenJob, files: tuple[str, ...]) -> bool:
        facts = {name: FileFacts.of(self._disk.lstat(open_job.job.path(name))) for name in files}
        before, open_job.claimed.facts = open_job.claimed.facts, {**open_job.claimed.facts, **facts}
        return any(name in before and not now.same_content(before[name]) for name, now in facts.items())
