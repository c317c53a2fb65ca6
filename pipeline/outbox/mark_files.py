"""The files of the marks, one for each name of a result on which somebody works."""

from __future__ import annotations

import os
import socket
import time
import unicodedata
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.disk import Disk, exists
from pipeline.outbox.paths import STATE_FOLDER
from pipeline.outbox.run_records import is_process_alive
from pipeline.outbox.writing import short_name
from pipeline.text import encodable

RUN: Final = "run"
"""Owner of the names of a manifest's results; at most one run works on an outbox at a time."""


class Mark(BaseModel):
    """The file that says which owner works on a name."""

    model_config = ConfigDict(frozen=True)

    owner: str = RUN
    key: str | None = None
    attempts: int = Field(0, ge=0, description="attempts that began and have not ended")
    alone: int = Field(0, ge=0, description="those of the attempts that began while no other pair was in progress")
    publishing: bool = Field(
        default=False, description="whether a picture of this name without metadata is a result of impasto"
    )
    pictures: tuple[str, ...] = Field(
        (), description="SHA-256 of the pictures that may be such a result; empty: any, in marks of earlier versions"
    )
    spool: str = Field("", description="absolute path of the owner's spool; empty: it has none, or is not known")
    host: str = Field("", description="machine of the owner")
    pid: int | None = Field(None, description="number of the owner's process")
    seen: float = Field(0.0, description="time at which the owner was alive, in seconds since 1970")

    def owned_by(self, owner: str, key: str | None, spool: Path) -> Mark:
        """Return this mark with this process as the owner's.

        Args:
            owner: name of the owner: that of a worker of the spool and, after the last `/`, that of its job.
            key: key of the pair; None if an input cannot be read.
            spool: spool of the job.
        """
        path = str(spool.absolute())
        place = {"spool": path if encodable(path) == path else ""}
        process = {"host": socket.gethostname(), "pid": os.getpid(), "seen": time.time()}
        return self.model_copy(update={"owner": owner, "key": key, **place, **process})

    @property
    def is_abandoned(self) -> bool:
        """Whether it is known that nobody will go on: the owner's process is dead, and its job is in no spool."""
        if not self.spool or self.pid is None or self.host != socket.gethostname():
            return False
        if is_process_alive(self.pid, self.seen):
            return False
        try:
            workers, disk = list((Path(self.spool) / "work").iterdir()), Disk()
            return not any(exists(disk, worker / self.owner.rpartition("/")[2]) for worker in workers)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # the spool, or a worker's folder in it, cannot be read at the moment
            return False


class MarkFiles:
    """The files of the marks, one for each name; names that some file system does not distinguish share one file."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self.folder, self._disk = root / STATE_FOLDER / "pending", disk

    def path(self, file_name: str) -> Path:
        """Return the path of a result's mark."""
        return self.folder / short_name(Path(unicodedata.normalize("NFC", file_name).casefold()))

    def read(self, file_name: str) -> Mark | None:
        """Return the mark of a name; None if nobody works on it.

        Raises:
            OSError: it cannot be read.
        """
        try:
            data = self._disk.read(self.path(file_name))
        except FileNotFoundError:
            return None
        try:
            return Mark.model_validate_json(data)
        except ValidationError:  # empty: of an older version; otherwise damaged
            return Mark(publishing=not data)
