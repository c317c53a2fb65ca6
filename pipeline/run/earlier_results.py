"""Results of earlier runs, recognised by their metadata: what they were made of, and whether a file is one of them."""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.disk import Disk, as_storage_error
from pipeline.errors import MACHINE_ERRNOS
from pipeline.outbox.films import is_painted_film
from pipeline.outbox.ownership import own_claim
from pipeline.outbox.paths import FAILED_FOLDER
from pipeline.outbox.publish import Outbox

_MAX_BYTES: Final = 1 << 26
"""Size in bytes of the largest file that can be metadata."""
PROOF_GENERATOR: Final = "impasto proof"
"""Name of the program in the files that `impasto proof` writes."""
_BEGINNING_OF_PNG: Final = 128
"""Number of bytes at the beginning of a PNG in which a proof sheet names its program."""


@dataclass(frozen=True)
class Origin:
    """The inputs of a result, or of a pair that failed, by their names in the metadata."""

    content: str
    style: str
    content_sha256: str = ""
    """Hash of the photograph; empty if the pair failed."""

    def is_of(self, content: str, style: str) -> bool:
        """Whether photograph and style have these names, in whatever Unicode form."""
        return self.is_of_content(content) and _normal(self.style) == _normal(style)

    def is_of_content(self, content: str) -> bool:
        """Whether the photograph has this name, in whatever Unicode form."""
        return _normal(self.content) == _normal(content)


@dataclass(frozen=True)
class EarlierResults:
    """The results of earlier runs in an outbox, which need not exist."""

    outbox: Path | None = None
    """The outbox; None: there is none, and only metadata beside a file shows that it is a result."""

    def origin(self, file_name: str) -> Origin | None:
        """Return the origin of the result of a name; None if there is no such result.

        Raises:
            StorageError: the disk or the network failed.
        """
        return None if self.outbox is None else _origin_of(self.outbox / f"{file_name}.json")

    def origin_of_failure(self, name: str) -> Origin | None:
        """Return the origin of the failed pair of a name without extension; None if there is no failure record.

        Raises:
            StorageError: the disk or the network failed.
        """
        return None if self.outbox is None else _origin_of(self.outbox / FAILED_FOLDER / f"{name}.json")

    def is_result(self, path: Path) -> bool:
        """Whether a picture is a result of impasto: its metadata lies beside it, or was about to be written.

        A proof sheet is a result, too, and so is a painted film.

        Raises:
            StorageError: the disk or the network failed.
        """
        try:
            has_metadata = own_claim(Disk(), path.parent, path.name) is not None
            return has_metadata or self._is_half_published(path) or _is_proof(path) or is_painted_film(path)
        except OSError as error:
            raise as_storage_error(error, path) from error

    def _is_half_published(self, path: Path) -> bool:
        """Whether a run or a watcher died after it had put this picture into the outbox, before its metadata."""
        if self.outbox is None:
            return False
        root = self.outbox.resolve()
        real = Path(os.path.realpath(path.parent)) / path.name
        if not real.is_relative_to(root):
            return False
        return Outbox(root).marks.is_half_result(real.relative_to(root))


IN_NO_OUTBOX: Final = EarlierResults()
"""Recognises results by the metadata beside them alone."""


def _is_proof(path: Path) -> bool:
    """Whether a file is a proof sheet; one that may not be read, or is gone by now, is none, and its pair will fail."""
    if path.suffix.lower() != ".png" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING_OF_PNG)
    except (PermissionError, FileNotFoundError):
        return False
    return b"tEXtSoftware\0" + PROOF_GENERATOR.encode() in beginning


def _origin_of(record: Path) -> Origin | None:
    """Return the origin in a metadata file or a failure record; None if the file is neither, or does not exist."""
    try:
        status = record.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            return None
        values = json.loads(record.read_bytes())
    except OSError as error:
        if error.errno in MACHINE_ERRNOS:
            raise as_storage_error(error, record) from error
        return None
    except (ValueError, RecursionError):  # some other program's file
        return None
    try:
        return _origin_in(values)
    except (KeyError, TypeError):
        return None


def _origin_in(values: Any) -> Origin | None:
    """Return the origin in a record; KeyError or TypeError if it is no record of impasto."""
    content, style = values["pair"]["content"], values["pair"]["style"]
    if values["status"] == "failed":
        origin = Origin(content, style)
    elif values["status"] == "done" and values["key"] and values["output"]["sha256"]:
        origin = Origin(content["path"], style["path"], content["sha256"])
    else:
        return None
    are_names = isinstance(origin.content, str) and isinstance(origin.style, str)
    return origin if are_names else None


def _normal(label: str) -> str:
    return unicodedata.normalize("NFC", label)
