"""Long pairs survive: where a pair is, on disk, every so often."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import torch

from pipeline.transfer.state import OptimisationState

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.outbox.working_files import CheckpointFiles

logger = logging.getLogger(__name__)

LARGEST_SHARE: Final = 0.05
"""Of the time that writing may take: where the disk is slow, checkpoints are rarer than they should be."""


class Checkpoint:
    """That of one pair."""

    def __init__(
        self,
        files: CheckpointFiles | None,
        key: str,
        identity: dict[str, Any],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            files: where they are; None: nothing is ever written.
            key: of the pair.
            identity: what must be equal besides to go on from it, as numbers and strings.
            seconds: between two.
            clock: in seconds.
        """
        self._files, self._key, self._identity, self._seconds, self._clock = files, key, identity, seconds, clock
        self._last, self._wait = clock(), seconds
        self.warnings: list[str] = []

    def read(self) -> tuple[OptimisationState, tuple[int, ...]] | None:
        """Where the pair was, and the evaluations that were planned at each scale.

        None if it was not begun, or if what is there is of no use, which is a warning.
        """
        if self._files is None:
            return None
        try:
            with self._files.opened(self._key) as file:
                if file is None:
                    return None
                found = torch.load(file, map_location="cpu", weights_only=True)
            if found["identity"] == self._identity:
                return OptimisationState.from_plain(found["state"]), tuple(found["evaluations"])
            reason = f"it is of {found['identity']}"
        except Exception as error:  # noqa: BLE001 - what torch raises for a damaged file is not told
            reason = str(error).partition("\n")[0] or type(error).__name__
        self._warn(f"a checkpoint could not be used, the pair began anew: {reason}")
        return None

    def write_if_due(self, state: Callable[[], OptimisationState], evaluations: tuple[int, ...]) -> bool:
        """Write where the pair is, if that was last done long ago; whether it is on disk now."""
        is_due = self._files is not None and self._clock() - self._last >= self._wait
        return is_due and self.write(state(), evaluations)

    def write(self, state: OptimisationState, evaluations: tuple[int, ...]) -> bool:
        """Write where the pair is; a disk that fails is a warning (False), since the pair itself goes on."""
        files = self._files
        if files is None:
            return False
        begin = self._clock()
        plain = {"identity": self._identity, "evaluations": list(evaluations), "state": state.to_plain()}
        is_written = True
        try:
            files.write(self._key, lambda file: torch.save(plain, file))
        except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError when the disk is full
            self._warn(f"no checkpoint could be written: {error}")
            is_written = False
        self._last = self._clock()
        self._wait = max(self._seconds, (self._last - begin) / LARGEST_SHARE)
        return is_written

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            logger.warning("%s", text)
            self.warnings.append(text)
