"""A job, its files, and the records about it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.errors import ImpastoError


class JobRecord(BaseModel):
    """Content of job.json: the facts that a restart cannot find from the files.

    A ticket of many pairs has several records, each for some of its pairs.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job: str
    claimed: str = Field(description="UTC, ISO 8601")
    results: dict[str, str] = Field(default={}, description="file name in the outbox of each pair, by its index")


def record_name(number: int) -> str:
    """Return the file name of one of a job's records."""
    return f"job-{number}.json" if number else "job.json"


def read_records(disk: Disk, job: Job) -> dict[int, JobRecord]:
    """Return the valid records of a job by their numbers; older versions wrote the names of all pairs into the first.

    Raises:
        OSError: the job's folder or a record cannot be read.
    """
    try:
        names = [entry.name for entry in disk.entries(job.folder)]
    except FileNotFoundError:  # another worker has taken the job over
        return {}
    found = {}
    for match in filter(None, (re.fullmatch(r"job(?:-(\d+))?\.json", name) for name in names)):
        with contextlib.suppress(FileNotFoundError, ValidationError):
            found[int(match[1] or 0)] = JobRecord.model_validate_json(disk.read(job.folder / match[0]))
    return found


class ReturnedFile(BaseModel):
    """Record of a finished file that was returned to the inbox."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    mtime_ns: int
    inode: int
    basis: str = Field("", description="digest of all that its results depend on beside itself; empty: not known")
    results: tuple[str, ...] = Field((), description="file names of its results in the outbox")


def returned_name(relative: str) -> str:
    """Return the file name of the record of a returned file.

    Args:
        relative: path of the file in the inbox.
    """
    return f"{hashlib.sha256(os.fsencode(relative)).hexdigest()}.json"


class NotClaimedError(Exception):
    """A file could not be claimed, since it is gone or, if `held`, since it cannot be moved now."""

    def __init__(self, reason: str, *, held: bool) -> None:
        super().__init__(reason)
        self.reason, self.held = reason, held


class SpoolRemovedError(Exception):
    """The spool was removed while its inbox, on the same file system, is there."""


@dataclass(frozen=True)
class Job:
    """A claimed file, or a ticket with its files."""

    id: str
    folder: Path

    def path(self, relative: str) -> Path:
        """Return the path of a file of the job.

        Args:
            relative: path of the file in the inbox.
        """
        return self.folder / "in" / relative


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Properties of a file that change when it is written to or replaced, or when its times are set."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    links: int = 1
    """Number of names that the file has."""

    @classmethod
    def of(cls, status: os.stat_result) -> FileFacts:
        """Take the facts from a file's status."""
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev, status.st_nlink
        )

    def same_content(self, other: FileFacts) -> bool:
        """Whether nothing was written between two looks; a claim is a rename, which changes only the ctime."""
        return replace(self, ctime_ns=0, links=1) == replace(other, ctime_ns=0, links=1)

    def is_as(self, earlier: FileFacts) -> bool:
        """Whether a file has not changed since an earlier look.

        If it has several names, a rename or a removal of another name changes its ctime, too.
        """
        has_other_names = self.links > 1 or earlier.links > 1
        return self == earlier or (has_other_names and self.same_content(earlier))


@dataclass
class Claimed:
    """A job that this worker has claimed or taken over, in memory."""

    job: Job
    facts: dict[str, FileFacts] = field(default_factory=dict)
    """Facts of each file when it was claimed, by path in the inbox; empty for a job of an earlier process."""
    problem: ImpastoError | None = None
    """Error with which the job fails before it begins; None if there is none."""
