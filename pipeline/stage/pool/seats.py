"""The interface between the pool and the places where its devices are: processes of this machine, or of a cluster.

A seat is one device somewhere, with a stage of its own. A venue starts seats and hears their messages. The pool's
policy (`crew`, `stage_pool`) knows no more of them than this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable


@dataclass(frozen=True)
class Place:
    """Where a seat can be: one device of one machine. A venue gives the same device the same place each time."""

    key: Hashable
    """Identity of the place."""
    label: str
    """Name for people, such as `cuda:1` or `GPU 0 of render-3`."""


class Seat(Protocol):
    """A device with a stage of its own. Only the thread of the pool calls the methods; none of them raises."""

    place: Place

    def send(self, message: object) -> None:
        """Send a message; `Venue.hear` tells if the seat is gone."""

    def kill(self) -> None:
        """End the seat at once."""

    def dismiss(self) -> None:
        """End the seat: at its next evaluation, with checkpoints, if the venue can; else at once."""


SeatType = TypeVar("SeatType", bound=Seat)


@dataclass(frozen=True)
class Gone:
    """The last message of a seat: nothing else will come from it."""

    why: str
    """Cause for people, such as `Killed` or `its machine went away`."""
    blames_pair: bool
    """Whether its process died, perhaps because of a pair; False if its machine went away."""


class Venue(Protocol[SeatType]):
    """Starts seats and hears them. Only the thread of the pool calls the methods."""

    def places(self) -> Iterable[Place]:
        """Return the places where seats can be now, occupied or not."""

    def start(self, place: Place) -> SeatType:
        """Start a seat; its first message is `Ready` or `NotReady`.

        Raises:
            DeviceError: the seat cannot be started.
        """

    def hear(self, seats: Collection[SeatType], seconds: float) -> Iterable[tuple[SeatType, object]]:
        """Return messages of these seats, in each seat's order; if there are none, wait at most `seconds` for some."""

    def close(self) -> None:
        """Wait until all seats have ended. The venue cannot be used afterwards."""
