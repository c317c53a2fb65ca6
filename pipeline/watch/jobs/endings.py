"""The ends of a job: its files are retired (archived, deleted or returned), quarantined or put back, and counted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pipeline.outbox.metadata import JobFailure
from pipeline.text import now, printable
from pipeline.watch.jobs.decisions import JobAction, PairStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.errors import ImpastoError
    from pipeline.run.observer import Observer
    from pipeline.watch.jobs.open_job import OpenJob
    from pipeline.watch.jobs.result_names import ResultNames
    from pipeline.watch.spool.records import FileFacts
    from pipeline.watch.workplace import Workplace

logger = logging.getLogger(__name__)

Retire = Literal["archive", "delete", "return"]
"""Treatment of the files of a finished job, by the setting `watch.retire`."""


class JobEndings:
    """Ends jobs. Only the thread that renders calls it.

    Methods raise StorageError or OSError if the disk fails; the job then stays open, and may be ended again.
    """

    def __init__(
        self,
        workplace: Workplace,
        names: ResultNames,
        retire: Retire,
        basis_of: Callable[[str, Mapping[Path, FileFacts | None]], str],
        observer: Observer,
    ) -> None:
        self._spool, self._accounting, self._disk = workplace.spool, workplace.accounting, workplace.disk
        self._names, self._retire, self._basis_of, self._observer = names, retire, basis_of, observer

    def end(self, open_job: OpenJob, action: JobAction) -> None:
        """End a job by any action except `WAIT` and `RENDER`."""
        job = open_job.job
        if action is JobAction.REMOVE:
            self._spool.put_back(job)
            self._accounting.vanish(job)
        elif action is JobAction.FINISH_FAILING:
            self._names.unmark(job)
            self._accounting.finish(job, "failed", self._spool.quarantine(job, None), self._disk)
        elif action is JobAction.QUARANTINE:
            failure = self._failure(open_job)
            self._names.unmark(job)
            self._accounting.finish(job, "failed", self._spool.quarantine(job, failure), self._disk)
        else:
            is_duplicate = all(state is PairStatus.DUPLICATE for state in open_job.states)
            kept_at = self._retire_files(open_job)
            self._accounting.finish(job, "duplicate" if is_duplicate else "done", kept_at, self._disk)

    def fail(self, open_job: OpenJob, error: ImpastoError) -> None:
        """Quarantine a job because of an error of its own: its pairs could not be found, or there is a defect."""
        open_job.error = error
        open_job.failures.append(error.message)
        logger.error("%s", error)
        self._observer.failed_job(self._failure(open_job))
        self.end(open_job, JobAction.QUARANTINE)

    def lose(self, open_job: OpenJob) -> None:
        """Account for a job that is gone: another worker has it, somebody removed it, or it ended before an error."""
        folder = self._spool.find(open_job.job.id)
        fate = self._spool.fate(folder) if folder is not None else "elsewhere"
        if fate == "elsewhere":
            what = "another worker has taken it over" if folder is not None else "it was removed from the spool"
            logger.warning("job %s: %s", open_job.job.id, what)
        self._accounting.finish(open_job.job, fate, folder, self._disk)

    def put_back(self, open_job: OpenJob) -> str:
        """Put the files of an unfinished job back into the inbox.

        Returns:
            Why the job stays claimed; empty if it does not.
        """
        job = open_job.job
        if not self._spool.holds(job):
            self.lose(open_job)
            return ""
        if self._names.is_begun(job):
            return "work on it has begun"  # a process died during it, or its result lacks metadata
        self._names.unmark(job)
        with self._accounting.putting_back(job, lambda: self._spool.files(job)):
            is_put_back = self._spool.put_back(job)
        return "" if is_put_back else "another file has its name in the inbox"

    def _retire_files(self, open_job: OpenJob) -> Path | None:
        """Archive, delete or return the files; return the folder in which they are kept, or None."""
        job = open_job.job
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        if self._retire == "delete":
            self._spool.delete(job, date)
            return None
        if self._retire == "return" and self._return_files(open_job):
            return None
        return self._spool.archive(job, date)

    def _return_files(self, open_job: OpenJob) -> bool:
        names = self._spool.files(open_job.job)
        # A ticket is not painted again when one of many paintings changes: it may name them in the inbox.
        basis = self._basis_of(names[0], open_job.shared) if len(names) == 1 else ""
        return self._spool.return_files(open_job.job, basis, open_job.results.values())

    def _failure(self, open_job: OpenJob) -> JobFailure:
        error = open_job.error
        return JobFailure(
            job=open_job.job.id,
            files=tuple(printable(name) for name in self._spool.files(open_job.job)),
            error_class=error.error_class if error else "internal",
            reason=" ".join(open_job.failures),
            remedy=(error.remedy if error else "") or "Correct it, and put it into the inbox again.",
            attempts=max(1, *open_job.tries.values(), 0),
            failed=now(),
        )
