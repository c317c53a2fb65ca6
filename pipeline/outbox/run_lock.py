"""The locks of runs: one run works on an outbox, or several that share its manifest, each with a shard.

A run without shards holds `lock`. A run with a shard holds `lock-I-of-N`. Each first takes its own lock, then looks
whether one is held that excludes it: so of two that begin at once at most one goes on, and never both.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from filelock import FileLock, Timeout

from pipeline.errors import LockedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATTERN: Final = re.compile(r"(\d+)/(\d+)")
_LOCK_OF_SHARD: Final = re.compile(r"lock-\d+-of-(\d+)")
_LOOK_SECONDS: Final = 2.0
"""Longest wait in seconds for a lock that another process may hold for a moment, only to see whether it is held."""


@dataclass(frozen=True)
class Shard:
    """One of the parts into which the pairs of a manifest are divided, by the names of their results."""

    number: int
    """Number of the part, from 1."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that `I/N` describes.

        Raises:
            UsageError: it is no such text, or I is not within 1 … N.
        """
        found = _PATTERN.fullmatch(text)
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(
                f"--shard {text}: expected I/N, with I from 1 to N.",
                "The first of four parts is 1/4. Where indices begin with 0, add 1: $((INDEX + 1))/4.",
            )
        return shard

    def has(self, name: str) -> bool:
        """Whether the result, or the sequence, of this name is in this part: the same everywhere and in every run."""
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    @property
    def name(self) -> str:
        """Name of the part in names of files."""
        return f"{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@contextlib.contextmanager
def run_lock(state: Path, shard: Shard | None) -> Iterator[None]:
    """Hold the lock of a run.

    Args:
        state: the outbox's folder of impasto's own files.
        shard: the run's shard; None: it has none, and no other run works at the same time.

    Raises:
        LockedError: another run works on the outbox that excludes this one.
        OSError: the lock cannot be made.
    """
    outbox = state.parent
    with _held(state / ("lock" if shard is None else f"lock-{shard.name}"), outbox, shard):
        others = {path for path in state.glob("lock-*-of-*") if shard is None or path.name != f"lock-{shard.name}"}
        for path in sorted(others):
            found = _LOCK_OF_SHARD.fullmatch(path.name)
            if found is not None and (shard is None or int(found[1]) != shard.count) and _stays_held(path):
                raise LockedError(
                    f"{outbox}: another run works on this outbox, in {found[1]} shards.",
                    "Wait for it, give all runs the same number of shards, or use another outbox.",
                )
        if shard is not None and _stays_held(state / "lock"):
            raise _locked(outbox, None)
        yield


@contextlib.contextmanager
def _held(path: Path, outbox: Path, shard: Shard | None) -> Iterator[None]:
    lock = FileLock(path, timeout=0 if shard is None else _LOOK_SECONDS)  # another shard may look at it for a moment
    try:
        lock.acquire()
    except Timeout as error:
        raise _locked(outbox, shard) from error
    try:
        yield
    finally:
        lock.release()


def _locked(outbox: Path, shard: Shard | None) -> LockedError:
    if shard is not None:
        remedy = "Give each run a shard of its own, or wait for it."
        return LockedError(f"{outbox}: another run works on this outbox with shard {shard}.", remedy)
    return LockedError(f"{outbox}: another run works on this outbox.", "Wait for it, or use another outbox.")


def _stays_held(path: Path) -> bool:
    """Whether a lock is held for longer than another shard holds it that looks at it, too."""
    lock = FileLock(path, timeout=_LOOK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False
