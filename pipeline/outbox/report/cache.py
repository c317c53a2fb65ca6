"""The cache of the report: the fields that the page needs from each file, so that no file is read twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.disk import make_folders
from pipeline.errors import ErrorClass  # noqa: TC001 - pydantic reads it
from pipeline.outbox.listing import Stamp  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk


CACHE_VERSION: Final = 3


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Part):
    """A photograph or a painting: its path in the metadata, and the SHA-256 that names its thumbnail."""

    path: str
    sha256: str


class Curve(_Part):
    """The course of the objective at one scale."""

    size: tuple[int, int] = Field(description="width and height in px")
    evaluations: int
    first: float | None = Field(description="rounded to five digits; null: not finite")
    best: float | None = Field(description="rounded to five digits; null: not finite")
    heights: str = Field(description="see `curve.quantise`")


class PairRecord(_Part):
    """The fields that done and failed pairs share."""

    style: str = Field(description="path of the painting, or of a blend's folder")
    preset: str
    settings: str = Field(description="name of the settings in the cache")
    attempt: int


class FramePlace(_Part):
    """The place of a result in a sequence, and how much it flickers."""

    clip: str
    number: int
    frames: int
    follows: bool = Field(description="whether it started from the result of the frame before")
    renewed: bool
    flicker: float
    flicker_of_photographs: float


class Result(PairRecord):
    """A finished picture."""

    kind: Literal["done"] = "done"
    content: Input
    paintings: tuple[Input, ...]
    output_sha256: str
    size: tuple[int, int] = Field(description="width and height in px")
    curves: tuple[Curve, ...] = Field(description="one for each scale, coarse to fine")
    evaluations: int
    device_seconds: float
    warnings: tuple[str, ...]
    started: str
    finished: str
    frame: FramePlace | None = None


class FailedPair(PairRecord):
    """A pair without a picture."""

    kind: Literal["failed"] = "failed"
    content: str
    error_class: ErrorClass
    reason: str
    remedy: str
    failed: str


class DamagedFile(_Part):
    """A file that is not a complete result."""

    kind: Literal["damaged"] = "damaged"
    reason: str
    remedy: str


class ForeignFile(_Part):
    """A JSON file of another program, which the page leaves out."""

    kind: Literal["foreign"] = "foreign"


class CachedFile(_Part):
    """The record in a JSON file, which is valid while the file and the picture beside it have these stamps."""

    stamp: Stamp
    picture: Stamp | None
    record: Annotated[Result | FailedPair | DamagedFile | ForeignFile, Field(discriminator="kind")]


class Cache(_Part):
    """All files, by `links.href` of their paths, and the settings that they refer to by name."""

    version: Literal[3] = CACHE_VERSION
    files: dict[str, CachedFile] = {}
    settings: dict[str, dict[str, dict[str, Any]]] = {}


def load_cache(path: Path, disk: Disk) -> Cache:
    """Return the cache of the last report, or an empty one if there is none that this version can read.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        return Cache.model_validate_json(disk.read(path))
    except (FileNotFoundError, ValidationError):  # of another version, or damaged: every file is read again
        return Cache()


def save_cache(path: Path, cache: Cache, disk: Disk, temporary: Path) -> None:
    """Write the cache for the next report. It is not synced: after a power cut every file is read again.

    Raises:
        OSError: it cannot be written.
    """
    make_folders(disk, path.parent)
    disk.write(temporary, cache.model_dump_json().encode())
    disk.rename(temporary, path)
