"""Checkpoints: the state of a pair in progress, on disk, from which a later process continues."""

from __future__ import annotations

import contextlib
import logging
import time
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

from pipeline.stage.paint.interval import WriteInterval
from pipeline.transfer.state import OptimisationState

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.outbox.working_files import CheckpointFiles

logger = logging.getLogger(__name__)


class Checkpoint:
    """The checkpoint of one pair. A failing disk causes only a warning, since the pair itself continues."""

    def __init__(  # noqa: PLR0913 - what it writes, where, and how often
        self,
        files: CheckpointFiles | None,
        key: str,
        identity: dict[str, Any],
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        batch: int = 1,
    ) -> None:
        """Prepare, without reading or writing.

        Args:
            files: files of all checkpoints; None: no checkpoint is read or written.
            key: key of the pair.
            identity: further numbers and strings that must be equal to continue from a checkpoint.
            seconds: seconds between two writes.
            clock: returns the time in seconds.
            batch: number of pairs that advance together.
        """
        self._files, self._key, self._identity = files, key, identity
        self._interval = WriteInterval(seconds, clock, batch)
        self.warnings: list[str] = []
        """Reasons why checkpoints could not be used or written, without repetitions."""

    def read(self) -> tuple[OptimisationState, tuple[int, ...]] | None:
        """Return the state of the pair, and the evaluations that were planned for it at each scale.

        Returns:
            None if there is no checkpoint, or if it cannot be used, which causes a warning.
        """
        if self._files is None:
            return None
        try:
            with self._files.opened(self._key) as file:
                if file is None:
                    return None
                _check_sums(file)
                found = torch.load(file, map_location="cpu", weights_only=True)
            if found["identity"] == self._identity:
                return OptimisationState.from_plain(found["state"]), tuple(found["evaluations"])
            reason = f"it was made with {found['identity']}"
        except Exception as error:  # noqa: BLE001 - torch does not document what it raises for a damaged file
            reason = str(error).partition("\n")[0] or type(error).__name__
        self._warn(f"a checkpoint could not be used, so the pair began again: {reason}")
        return None

    def drop(self, error: Exception) -> None:
        """Remove the checkpoint, from which the engine could not continue, with a warning."""
        reason = str(error).partition("\n")[0] or type(error).__name__
        self._warn(f"a checkpoint could not be used, so the pair began again: {reason}")
        if self._files is not None:
            with contextlib.suppress(OSError):  # the next one replaces it
                self._files.remove(self._key)

    def write_if_due(self, state: Callable[[], OptimisationState], evaluations: tuple[int, ...]) -> bool:
        """Write the state of the pair if the interval since the last write is over; return whether it was written."""
        is_due = self._files is not None and self._interval.is_over
        return is_due and self.write(state(), evaluations)

    def write(self, state: OptimisationState, evaluations: tuple[int, ...]) -> bool:
        """Write the state of the pair; return whether it was written. A failing disk causes a warning."""
        files = self._files
        if files is None:
            return False
        with self._interval.writing():
            plain = {"identity": self._identity, "evaluations": list(evaluations), "state": state.to_plain()}
            try:
                files.write(self._key, lambda file: torch.save(plain, file))
            except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError when the disk is full
                self._warn(f"no checkpoint could be written: {error}")
                is_written = False
            else:
                is_written = True
        return is_written

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            logger.warning("%s", text)
            self.warnings.append(text)


def _check_sums(file: BinaryIO) -> None:
    """Compare the checksums of the parts of a file that torch wrote, a zip, since torch itself ignores them.

    Raises:
        BadZipFile: a part is damaged, or the file is no zip.
    """
    damaged = zipfile.ZipFile(file).testzip()
    if damaged is not None:
        msg = f"its part {damaged} is damaged"
        raise zipfile.BadZipFile(msg)
    file.seek(0)
