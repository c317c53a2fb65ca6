"""The pairs of jobs that are in the stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.watch.jobs.open_job import OpenJob


class PairsInStage:
    """The pairs in the stage, by their file names in the outbox. Only the thread that renders changes them."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[OpenJob, int]] = {}
        """Job of each pair, and index of the pair in the job."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, file_name: str, open_job: OpenJob, index: int) -> None:
        """Add a pair that goes into the stage."""
        self._entries[file_name] = open_job, index

    def remove(self, file_name: str) -> None:
        """Remove a pair that has left the stage."""
        del self._entries[file_name]

    def remove_job(self, open_job: OpenJob) -> None:
        """Remove all pairs of a job, so that their outcomes are ignored."""
        self._entries = {name: entry for name, entry in self._entries.items() if entry[0] is not open_job}

    def clear(self) -> list[OpenJob]:
        """Remove all pairs, and return their jobs, one for each pair."""
        jobs = [open_job for open_job, _ in self._entries.values()]
        self._entries.clear()
        return jobs

    def find(self, file_name: str) -> tuple[OpenJob, int] | None:
        """Return the job of a pair and the index of the pair in it; None if no job waits for the pair."""
        return self._entries.get(file_name)

    def has_job(self, open_job: OpenJob) -> bool:
        """Whether any pair of a job is in the stage."""
        return any(each is open_job for each, _ in self._entries.values())

    def has_pair(self, open_job: OpenJob, index: int) -> bool:
        """Whether a pair of a job is in the stage."""
        return (open_job, index) in self._entries.values()

    def count_jobs(self) -> int:
        """Return the number of jobs that have pairs in the stage. Any thread may call this."""
        return len({id(open_job) for open_job, _ in list(self._entries.values())})
