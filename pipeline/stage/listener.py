"""The interface through which the stage tells what happens on its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.pair import Pair
    from pipeline.transfer.state import Evaluation


class Listener(Protocol):
    """Hears from the stage what its devices do, and can stop it: an error that a method raises ends the stage's work.

    The thread that has the device calls both methods; a pool of devices calls them from the thread that called
    `process`. No two calls overlap.
    """

    def pair_started(self, pair: Pair) -> None:
        """A device begins with a pair; its evaluations follow.

        Raises:
            Interrupted: the stage is to stop; the pair has not begun.
        """

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """An evaluation of a pair on a device is over. Called in the order of the evaluations.

        Raises:
            Interrupted: the stage is to stop; the pair is given up, and where it is can be resumed.
        """
