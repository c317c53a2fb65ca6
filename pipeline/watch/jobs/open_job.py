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
    """A job in memory."""

    claimed: Claimed
    opened: float
    not_before: float = 0.0
    tries: Counter[int] = field(default_factory=Counter)
    """That came to an end in vain, by the place of the pair."""
    pairs: list[Pair] = field(default_factory=list)
    states: list[PairStatus] = field(default_factory=list)
    error: ImpastoError | None = None
    """The last one of a pair."""
    failures: list[str] = field(default_factory=list)
    is_outdated: bool = False
    """Its pairs are to be found anew."""
    was_begun: bool = False
    """It was tried before."""
    is_being_prepared: bool = False
    """Further pairs of it may follow into the stage."""

    @property
    def job(self) -> Job:
        """In the spool."""
        return self.claimed.job


@dataclass(frozen=True)
class Again:
    """A job is to be looked at again so many seconds later."""

    seconds: float
    is_hopeless: bool = False
    """Nothing is likely to change as long as nobody does anything about it."""
