"""A job in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.errors import ImpastoError
    from pipeline.pair import Pair
    from pipeline.watch.jobs.decisions import PairStatus
    from pipeline.watch.jobs.frames import JobFrames
    from pipeline.watch.spool.records import Claimed, FileFacts, Job


@dataclass(eq=False)
class OpenJob:
    """The data of a claimed job. Lists and counters are indexed by the pair's index in the job."""

    claimed: Claimed
    since: float
    """Time at which the job was handed out, by the watcher's clock."""
    not_before: float = 0.0
    """Earliest time at which the job may begin, by the watcher's clock."""
    tries: Counter[int] = field(default_factory=Counter)
    """Failed attempts so far, by index of the pair."""
    pairs: list[Pair] = field(default_factory=list)
    """Pairs of the job; empty until they are found."""
    results: dict[int, str] = field(default_factory=dict)
    """File name of each pair's result in the outbox, by the pair's index, as far as it is chosen."""
    states: list[PairStatus] = field(default_factory=list)
    """State of each pair."""
    error: ImpastoError | None = None
    """Last error of a pair, or of the job itself."""
    failures: list[str] = field(default_factory=list)
    """Reasons of all failures, in their order."""
    frames: JobFrames | None = None
    """The frames of a film; None: the job has no film."""
    shared: dict[Path, FileFacts | None] = field(default_factory=dict)
    """Facts of each painting and mask before it was read; None for one that did not exist."""
    ticket: str = ""
    """Path in the inbox of the job's ticket; empty if the job is a photograph."""
    stuck_since: float | None = None
    """Time since which the job lacks a file and cannot be put back, by the watcher's clock; None if that is not so."""
    is_outdated: bool = False
    """Whether the pairs must be found again, since a file of the job was written to."""
    was_tried: bool = False
    """Whether the job has begun before."""
    is_unreadable: bool = False
    """Whether the machine failed to read a file of the job at the last attempt."""
    is_being_prepared: bool = False
    """Whether more pairs of the job may enter the stage."""

    @property
    def is_ticket(self) -> bool:
        """Whether the job is a ticket with its files, and not one photograph."""
        return len(self.claimed.facts) > 1

    @property
    def is_of_one_photograph(self) -> bool:
        """Whether all pairs have the same photograph."""
        return all(pair.content == self.pairs[0].content for pair in self.pairs)

    @property
    def job(self) -> Job:
        """The job in the spool."""
        return self.claimed.job


@dataclass(frozen=True)
class Retry:
    """A later attempt at a job."""

    seconds: float
    """Seconds until the attempt."""
