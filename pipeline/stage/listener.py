"""The interfaces through which the stage tells what happens on its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.pair import Pair
    from pipeline.transfer.state import Evaluation


class Display(Protocol):
    """How a run shows itself."""

    def start(self, pairs: int | None) -> None:
        """So many pairs will be rendered; None if nobody knows."""

    def expect(self, pairs: int) -> None:
        """So many it will be after all."""

    def pair_started(self, pair: Pair) -> None:
        """The device begins with this pair."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """One evaluation of the pair on the device is over."""

    def pair_finished(self, name: str, failure: str | None) -> None:
        """A pair is published, or has failed for this reason."""

    def stop(self) -> None:
        """Leave the terminal as it was."""


class Listener(Protocol):
    """Who wants to know what happens on the device, in the device's thread; what it raises ends the run."""

    def pair_started(self, pair: Pair) -> None:
        """The device begins with this pair."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """One evaluation of the pair on the device is over."""
