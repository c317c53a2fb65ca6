"""Ownership of the files in an outbox: a file is impasto's own if its content says so, whatever its name or neighbours.

A picture is a result if the JSON file beside it is metadata of impasto that names the picture. Other programs write
such JSON files, too, for instance `IMG_1.jpg.json`; what they say of a picture makes it no result. Links are never
impasto's own, since it makes none.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.metadata import SHA256_PATTERN
from pipeline.outbox.paths import FAILED_FOLDER, existing

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.disk import Disk

LARGEST_RECORD_BYTES: Final = 32 << 20
"""Size in bytes of the largest JSON file that is read; impasto's own are a hundred times smaller."""

_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of a path at which no file can be."""
_CLOSED: Final = frozenset({errno.EACCES, errno.EPERM})

Origin = Literal["ours", "misplaced", "foreign", "unreadable"]
"""Origin of a JSON file: impasto's for the picture beside it, impasto's for another picture, another program's, or
unknown because it is no JSON."""


class _Claim(BaseModel):
    """The fields by which impasto knows its own JSON files, of this and of other versions."""

    model_config = ConfigDict(frozen=True)

    schema_version: int


class _Output(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str = Field(pattern=SHA256_PATTERN)


class ResultClaim(_Claim):
    """The fields of metadata."""

    status: Literal["done"]
    key: str = Field(pattern=SHA256_PATTERN)
    output: _Output


class _Inputs(BaseModel):
    model_config = ConfigDict(frozen=True)

    content: str
    style: str


class FailureClaim(_Claim):
    """The fields of a failure record."""

    status: Literal["failed"]
    key: str | None = None
    pair: _Inputs


def origin_of_metadata(data: bytes, file_name: str) -> Origin:
    """Return the origin of the JSON file beside a picture.

    Args:
        data: content of the JSON file.
        file_name: name of the picture, with or without folders.
    """
    try:
        claim = ResultClaim.model_validate_json(data)
    except ValidationError as error:
        return _origin_of_other(error)
    return "ours" if names_same_file(claim.output.path, file_name) else "misplaced"


def origin_of_failure(data: bytes) -> Origin:
    """Return the origin of a JSON file in the folder of failures; it is never `misplaced`."""
    try:
        FailureClaim.model_validate_json(data)
    except ValidationError as error:
        return _origin_of_other(error)
    return "ours"


def origin_of_file(disk: Disk, root: Path, path: str) -> Origin:
    """Return the origin of a JSON file of an outbox, by its path there; links are followed.

    Raises:
        OSError: the machine failed to read it.
    """
    try:
        data = disk.read(root / path)
    except OSError as error:
        if error.errno in MACHINE_ERRNOS:
            raise
        return "unreadable"
    if path.startswith(f"{FAILED_FOLDER}/"):
        return origin_of_failure(data)
    return origin_of_metadata(data, path.removesuffix(".json"))


def _origin_of_other(error: ValidationError) -> Origin:
    return "unreadable" if error.errors(include_url=False)[0]["type"] == "json_invalid" else "foreign"


def names_same_file(name: str, other: str) -> bool:
    """Whether two names are those of one file, wherever its folder was moved.

    Names that some file system does not distinguish count as the same.
    """
    return _comparable(name) == _comparable(other)


def _comparable(name: str) -> str:
    base = PurePosixPath(name).name.encode(errors="replace").decode()
    return unicodedata.normalize("NFC", base).casefold()


def own_claim(disk: Disk, root: Path, file_name: str) -> ResultClaim | None:
    """Return the metadata of a result as far as it shows that the result is impasto's own; None if it is not.

    Raises:
        OSError: the machine failed to read the metadata.
    """
    try:
        claim = ResultClaim.model_validate_json(read_own(disk, root / f"{file_name}.json") or b"")
    except ValidationError:
        return None
    return claim if names_same_file(claim.output.path, file_name) else None


def own_failure(disk: Disk, path: Path) -> FailureClaim | None:
    """Return a failure record as far as it shows that it is impasto's own; None if it is not, or does not exist.

    Raises:
        OSError: the machine failed to read it.
    """
    try:
        return FailureClaim.model_validate_json(read_own(disk, path) or b"")
    except ValidationError:
        return None


def read_own(disk: Disk, path: Path) -> bytes | None:
    """Return the content of a file that may be impasto's own; None if it cannot be, or does not exist.

    Raises:
        OSError: the machine failed to read it.
    """
    try:
        status = disk.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_RECORD_BYTES:
            return None
        return disk.read(path)
    except OSError as error:
        if error.errno in _NOT_THERE or (error.errno in _CLOSED and _is_closed(path)):
            return None
        raise


def _is_closed(path: Path) -> bool:
    """Whether a file belongs to somebody who does not let impasto read it."""
    return not os.access(existing(path.parent), os.X_OK) or (os.path.lexists(path) and not os.access(path, os.R_OK))
