"""What is written about a job, and the job itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pipeline.errors import ImpastoError


class JobRecord(BaseModel):
    """job.json: what a restart cannot tell from the files."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job: str
    claimed: str = Field(description="UTC, ISO 8601")
    results: dict[str, str] = Field(default={}, description="file name in the outbox of each pair, by its place")


class Returned(BaseModel):
    """A file that is done and lies in the inbox again."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    mtime_ns: int
    inode: int


class NotClaimedError(Exception):
    """A file could not be claimed: it is gone, or its writer still has it (`held`)."""

    def __init__(self, reason: str, *, held: bool) -> None:
        super().__init__(reason)
        self.reason, self.held = reason, held


@dataclass(frozen=True)
class Job:
    """A claimed file, or a ticket with its files."""

    id: str
    folder: Path

    def path(self, relative: str) -> Path:
        """Where a file of the job is, by its path in the inbox."""
        return self.folder / "in" / relative


@dataclass(frozen=True)
class FileFacts:
    """What tells that a file was written to, replaced or had its times set back."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileFacts:
        """Those of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    def same_content(self, other: FileFacts) -> bool:
        """Whether nothing was written in between; a rename, which we do ourselves, changes the ctime alone."""
        return replace(self, ctime_ns=0) == replace(other, ctime_ns=0)


@dataclass
class Claimed:
    """A job to be done."""

    job: Job
    facts: dict[str, FileFacts] = field(default_factory=dict)
    """Of its files when they were claimed; empty after a restart."""
    problem: ImpastoError | None = None
    """Why it cannot be done."""
