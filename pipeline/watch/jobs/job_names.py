"""The names of one job's results, as its records in the spool have them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pipeline.text import now
from pipeline.watch.spool.records import JobRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.watch.spool.records import Job
    from pipeline.watch.spool.spool import Spool

PAIRS_PER_RECORD: Final = 100
"""Number of pairs whose names are in one record, so that a name of a large ticket costs no more than one of a small."""


class JobNames:
    """File names in the outbox by the index of the pair, read from the spool once, and written with each new name."""

    def __init__(self, spool: Spool, job: Job) -> None:
        """Read the records of a job.

        Raises:
            OSError: a record cannot be read.
        """
        self._spool, self.job = spool, job
        self._records = spool.records(job)
        self._names: dict[str, str] = {}
        for _, record in sorted(self._records.items()):
            self._names |= record.results
        self._counts = Counter(self._names.values())

    def get(self, index: int) -> str | None:
        """Return the name of a pair's result; None if it has none yet."""
        return self._names.get(str(index))

    def all(self) -> Iterable[str]:
        """Return the names of all results."""
        return self._names.values()

    def has_another(self, index: int, file_name: str) -> bool:
        """Whether another pair of the job has a name."""
        return self._counts[file_name] > (self._names.get(str(index)) == file_name)

    def choose(self, index: int, file_name: str) -> None:
        """Give a pair's result a name, durably.

        Raises:
            OSError: the record cannot be written.
        """
        part = index // PAIRS_PER_RECORD
        record = self._records.get(part) or JobRecord(job=self.job.id, claimed=now())
        record = record.model_copy(update={"results": {**record.results, str(index): file_name}})
        self._spool.write_record(self.job, record, part)
        self._records[part] = record
        self._counts[self._names.get(str(index), "")] -= 1
        self._counts[file_name] += 1
        self._names[str(index)] = file_name
