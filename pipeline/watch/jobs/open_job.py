"""A job in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.errors import ImpastoError
    from pipeline.pair import Pair
    from pipeline.watch.jobs.decisions import PairStatus
    from pipeline.watch.spool.records import Claimed, Job


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
    states: list[PairStatus] = field(default_factory=list)
    """State of each pair."""
    error: ImpastoError | None = None
    """Last error of a pair, or of the job itself."""
    failures: list[str] = field(default_factory=list)
    """Reasons of all failures, in their order."""
    is_outdated: bool = False
    """Whether the pairs must be found again, since a file of the job was written to."""
    was_tried: bool = False
    """Whether the job has begun before."""
    is_being_prepared: bool = False
    """Whether more pairs of the job may enter the stage."""

    @property
    def job(self) -> Job:
        """The job in the spool."""
        return self.claimed.job


@dataclass(frozen=True)
class Retry:
    """A later attempt at a job."""

    seconds: float
    """Seconds until the attempt."""
    needs_action: bool = False
    """Whether the attempt is likely to fail unless a person acts before it."""
