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
    """A claimed job and what is known of it. Lists and counters go by the index of the pair in the job."""

    claimed: Claimed
    since: float
    """Time at which the job was handed out, by the watcher's clock."""
    not_before: float = 0.0
    """Time before which the job is not begun, by the watcher's clock."""
    tries: Counter[int] = field(default_factory=Counter)
    """Failed attempts so far, by index of the pair."""
    pairs: list[Pair] = field(default_factory=list)
    """Pairs of the job; empty until they are found."""
    states: list[PairStatus] = field(default_factory=list)
    """State of each pair."""
    error: ImpastoError | None = None
    """Last error of a pair, or of the job itself."""
    failures: list[str] = field(default_factory=list)
    """Reasons of all failures, in the order in which they came."""
    is_outdated: bool = False
    """Whether the pairs must be found anew, since a file of the job was written to."""
    was_tried: bool = False
    """Whether the job was begun before."""
    is_being_prepared: bool = False
    """Whether more pairs of the job may follow into the stage."""

    @property
    def job(self) -> Job:
        """The job in the spool."""
        return self.claimed.job


@dataclass(frozen=True)
class Retry:
    """A job is to be tried again later."""

    seconds: float
    """Seconds until then."""
    needs_action: bool = False
    """Whether a person has to do something first, so that waiting alone is unlikely to help."""
