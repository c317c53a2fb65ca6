"""What the page needs of each file of the outbox, and where that is kept, so that nothing is read twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.disk import make_folders
from pipeline.errors import ErrorClass  # noqa: TC001 - pydantic reads it
from pipeline.outbox.listing import Stamp  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk


CACHE_VERSION: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Part):
    """A photograph or a painting: its path as the metadata has it, and the SHA-256 that names its thumbnail."""

    path: str
    sha256: str


class Curve(_Part):
    """The objective at one scale."""

    size: tuple[int, int]
    evaluations: int
    first: float | None = Field(description="null: not finite")
    best: float | None
    heights: str = Field(description="see `curve.quantise`")


class PairRecord(_Part):
    """What is known of every pair."""

    style: str = Field(description="path of the painting, or of a blend's folder")
    preset: str
    settings: str = Field(description="which of the cache's")
    attempt: int


class Result(PairRecord):
    """A picture that is done."""

    kind: Literal["done"] = "done"
    content: Input
    paintings: tuple[Input, ...]
    output_sha256: str
    size: tuple[int, int]
    curves: tuple[Curve, ...] = Field(description="coarse to fine")
    evaluations: int
    device_seconds: float
    warnings: tuple[str, ...]
    started: str
    finished: str


class Failed(PairRecord):
    """A pair that has no picture."""

    kind: Literal["failed"] = "failed"
    content: str
    error_class: ErrorClass
    reason: str
    remedy: str
    failed: str


class Damaged(_Part):
    """A file that is neither, or a half of a result."""

    kind: Literal["damaged"] = "damaged"
    reason: str
    remedy: str


class Read(_Part):
    """What a file said when it had these stamps, and the picture beside it these."""

    stamp: Stamp
    picture: Stamp | None
    record: Annotated[Result | Failed | Damaged, Field(discriminator="kind")]


class Cache(_Part):
    """All that was read, by `links.href` of the JSON's path; settings are shared, since most results have the same."""

    version: Literal[1] = CACHE_VERSION
    files: dict[str, Read] = {}
    settings: dict[str, dict[str, dict[str, Any]]] = {}


def load_cache(path: Path, disk: Disk) -> Cache:
    """That of the last report; an empty one if there is none, or one that cannot be used.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return Cache.model_validate_json(disk.read(path))
    except (FileNotFoundError, ValidationError):  # of another version, or damaged: all is read again, nothing is lost
        return Cache()


def save_cache(path: Path, cache: Cache, disk: Disk, temporary: Path) -> None:
    """Keep it for the next report. It is not synced: after a power cut all is read again.

    Raises:
        OSError: it cannot be written.
    """
    make_folders(disk, path.parent)
    disk.write(temporary, cache.model_dump_json().encode())
    disk.rename(temporary, path)
