"""The interface through which the stage reports the work of its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.pair import Pair
    from pipeline.transfer.state import Evaluation


class Listener(Protocol):
    """Receives events of the devices, and can stop the stage: an error that a method raises ends the stage's work.

    The thread that has the device calls the methods. A pool of several devices calls them in the thread that called
    `process`. Calls never overlap.
    """

    def check(self, *, in_progress: bool) -> None:
        """Called again and again by a pool of several devices, which may all be silent for long.

        Args:
            in_progress: whether a device has pairs, which a period of grace may let end.

        Raises:
            Interrupted: the stage must stop.
        """

    def pair_started(self, pair: Pair) -> None:
        """A device begins with a pair; its evaluations follow.

        Raises:
            Interrupted: the stage must stop; the pair does not begin.
        """

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """A device has made an evaluation of a pair. Called in the order of the evaluations.

        Raises:
            Interrupted: the stage must stop; the pair gets a checkpoint, from which it can be resumed.
        """
