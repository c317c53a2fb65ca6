"""Marks: who works on a result's name, and how often that was begun."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from pipeline.disk import Disk

RUN: Final = "run"
"""The owner of names that a manifest gives; there is at most one such process at a time."""


class Mark(BaseModel):
    """Who works on a name."""

    model_config = ConfigDict(frozen=True)

    owner: str = RUN
    key: str | None = None
    attempts: int = Field(0, ge=0, description="begun and not ended")
    publishing: bool = Field(default=False, description="a picture of this name is ours, though it has no metadata")


Owner = Literal["we", "at work", "stranger"]
"""Of a name's mark: the one who asks, another who will come to an end, or one of whom nothing is known."""

NameState = Literal["ours", "in work", "taken", "free"]
"""Of a result's name: we work on it already; somebody else does, on the same key; it is not to be had; it is."""


class MarkFiles:
    """A file for each mark; names that some file system takes for the same have one."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder, self._disk = folder, disk

    def path(self, file_name: str) -> Path:
        """Where the mark of a result is."""
        return self.folder / short_name(Path(unicodedata.normalize("NFC", file_name).casefold()))

    def read(self, file_name: str) -> Mark | None:
        """Who works on a name; None if nobody does."""
        try:
            return Mark.model_validate_json(self._disk.read(self.path(file_name)))
        except FileNotFoundError:
            return None
        except ValidationError:  # of a version that left it empty
            return Mark(publishing=True)


def short_name(path: Path) -> str:
    """Of one length for all paths."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
