"""What is written about a job, and the job itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pathlib import Path


class JobRecord(BaseModel):
    """job.json: what a restart cannot tell from the files."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job: str
    claimed: str = Field(description="UTC, ISO 8601")
    results: dict[str, str] = Field(default={}, description="file name in the outbox of each pair, by its place")


class Reason(BaseModel):
    """reason.json: why a job failed, and what to do about it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job: str
    files: tuple[str, ...] = Field(description="paths in the inbox; below in/ here")
    error_class: Literal["input", "environment", "internal"]
    reason: str
    remedy: str
    attempts: int
    failed: str = Field(description="UTC, ISO 8601")


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
