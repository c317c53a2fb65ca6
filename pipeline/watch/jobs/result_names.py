"""The names of jobs' results in the outbox, and the states of pairs that follow from them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import OccupiedError
from pipeline.outbox.ledger import Fingerprint, Status, look_up
from pipeline.outbox.mark_files import Mark
from pipeline.run.result_names import alternatives
from pipeline.watch.jobs.decisions import PairStatus
from pipeline.watch.jobs.job_names import JobNames

if TYPE_CHECKING:
    from pipeline.outbox.marks import NameState, Owner
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.watch.spool.records import Job
    from pipeline.watch.spool.spool import Spool


def _is_name_of(pair: Pair, file_name: str) -> bool:
    """Whether a file name is one of the `alternatives` for a pair's result."""
    return re.fullmatch(rf"{re.escape(pair.name)}(-[0-9a-f]+)?\.{pair.extension}", file_name) is not None


class ResultNames:
    """Chooses the names of jobs' results. Only the thread that renders calls it.

    A name is written into the job's record and then marked in the outbox before work on the result begins.
    """

    def __init__(self, spool: Spool, outbox: Outbox) -> None:
        self._spool, self._outbox = spool, outbox

    def owner(self, job: Job) -> str:
        """Return the owner of a job's marks in the outbox; a worker that takes the job over is a different owner."""
        return f"{self._spool.worker.name}/{job.id}"

    def of(self, job: Job) -> JobNames:
        """Return the names of a job's results, to be used while the job's pairs are handed out.

        Raises:
            OSError: the spool cannot be read.
        """
        return JobNames(self._spool, job)

    def choose(
        self, names: JobNames, index: int, pair: Pair, fingerprint: Fingerprint | None
    ) -> tuple[PairStatus, str]:
        """Return the state of a pair and the name of its result; the name is marked if the pair must be rendered.

        Args:
            names: names of the job, which is in the spool.
            index: index of the pair in the job.
            pair: the pair, with the name that its result would have in an empty outbox.
            fingerprint: fingerprint of the pair; None if an input cannot be read.

        Raises:
            OccupiedError: all names that the result could have are taken.
            StorageError: the outbox cannot be read or written.
            OSError: the spool cannot be read or written.
        """
        job, key = names.job, fingerprint.key if fingerprint else None
        with self._outbox.marks.locked():
            known = names.get(index)
            if known is not None and not _is_name_of(pair, known):  # the job's pairs changed before a restart
                self._unmark(job, known)
                known = None
            if known is not None:
                named = replace(pair, name=known.removesuffix(f".{pair.extension}"))
                if look_up(self._outbox, named, fingerprint).status is Status.DONE:
                    self._unmark(job, known)
                    return PairStatus.DONE, named.name
                if self._state(job, known, key) in ("ours", "free"):
                    self._mark(job, known, key)
                    return PairStatus.TO_DO, named.name
            state, named = self._find(names, index, pair, fingerprint)
            if state is PairStatus.TO_DO:
                # The name is recorded before it is marked, so that each mark is in a record of its job.
                names.choose(index, named.file_name)
                self._mark(job, named.file_name, key)
        return state, named.name

    def _find(
        self, names: JobNames, index: int, pair: Pair, fingerprint: Fingerprint | None
    ) -> tuple[PairStatus, Pair]:
        job, key = names.job, fingerprint.key if fingerprint else None
        for name in alternatives(pair.name, key or hashlib.sha256(job.id.encode()).hexdigest()):
            named = replace(pair, name=name)
            if names.has_another(index, named.file_name):
                continue
            state = self._state(job, named.file_name, key)
            if state == "in work":
                return PairStatus.BLOCKED, pair
            if state in ("ours", "free"):
                return PairStatus.TO_DO, named
            if look_up(self._outbox, named, fingerprint).status is Status.DONE:
                return PairStatus.DUPLICATE, named
        raise OccupiedError(f"{pair.file_name}: all names that it could have are taken.")

    def is_begun(self, job: Job) -> bool:
        """Whether a process died during a job, or one of its pictures was published without metadata."""
        marks = (self._own_mark(job, file_name) for file_name in self.of(job).all())
        return any(mark.attempts or mark.publishing for mark in marks if mark is not None)

    def unmark(self, job: Job) -> None:
        """Remove all marks of a job, so that other jobs may have the names."""
        for file_name in self.of(job).all():
            self._unmark(job, file_name)

    def _unmark(self, job: Job, file_name: str) -> None:
        mark = self._own_mark(job, file_name)
        if mark is not None:
            self._outbox.marks.remove_half_result(file_name, mark.owner)
            self._outbox.marks.end_attempt(file_name, mark.owner)

    def _own_mark(self, job: Job, file_name: str) -> Mark | None:
        """Return the mark of a name if it is of this job."""
        mark = self._outbox.marks.read(file_name)
        return mark if mark is not None and self._whose(job, mark.owner) == "we" else None

    def _state(self, job: Job, file_name: str, key: str | None) -> NameState:
        return self._outbox.marks.name_state(file_name, key, lambda owner: self._whose(job, owner))

    def _mark(self, job: Job, file_name: str, key: str | None) -> None:
        """Mark a name, and keep the number of attempts of a worker that had the job before."""
        mark = self._outbox.marks.read(file_name) or Mark()
        self._outbox.marks.write(file_name, mark.owned_by(self.owner(job), key, self._spool.root))

    def _whose(self, job: Job, owner: str) -> Owner:
        other = owner.rpartition("/")[2]
        if other == job.id:
            return "we"
        return "at work" if "/" in owner and self._spool.is_in_work(other) else "stranger"
