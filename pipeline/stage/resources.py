"""The parts that the threads of a stage share: loader, painter, saver and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExitCode, Interrupted
from pipeline.settings.pair_settings import ImageSettings

if TYPE_CHECKING:
    from pipeline.pair import Pair
    from pipeline.stage.listener import Listener
    from pipeline.transfer.state import Evaluation


AHEAD: Final = 4
"""Pairs in work at most, besides those of a batch."""


@dataclass(frozen=True)
class Limits:
    """How much is in work at once."""

    images: ImageSettings = field(default_factory=ImageSettings)
    """Which files are read."""
    batch: int = 0
    """Pairs that advance together on the device at most; 0: what is worth it."""
    max_reorder: int = 16
    """So many pairs may be begun before one that came first, for the sake of a batch."""
    memory_bytes: int | None = None
    """That a batch may take on the device; None: what is free."""
    checkpoint_seconds: float = 120.0
    preview_seconds: float = 0.0
    """Between two pictures of a pair in work; 0: none."""


class _StoppableListener:
    """Hears what another does, until the stage is closed."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.is_closed = False

    def pair_started(self, pair: Pair) -> None:
        self._check()
        self._listener.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        self._check()
        self._listener.evaluated(pair, evaluation)

    def _check(self) -> None:
        if self.is_closed:
            raise Interrupted(ExitCode.INTERRUPTED)
