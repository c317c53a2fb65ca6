"""What every venue promises to the pool, as checks that run over pipes and over Ray."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PIL import Image

from pipeline.errors import ExitCode, ImageError, Interrupted
from pipeline.outbox.metadata import Failure, Metadata
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.pool.messages import (
    Begin,
    CallEnded,
    EndOfTasks,
    FenceAnswer,
    FenceCheck,
    Halt,
    Ready,
    TaskDone,
    TaskMessage,
    TaskReceived,
    no_fence,
)
from pipeline.stage.pool.seats import Gone
from pipeline.stage.task import Task
from tests.conftest import photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 60.0


class Contract:
    """Checks of one venue with at least two places. Each begins with new seats."""

    def __init__(self, venue: Any, kill_process: Callable[[Any], None], pair: Callable[[str, int], Pair]) -> None:
        self.venue, self.kill_process, self.pair = venue, kill_process, pair
        self.heard: list[tuple[Any, Any]] = []

    def hear(self, seats: list[Any], wanted: Callable[[], bool]) -> None:
        """Hear seats until something has come."""
        end = time.monotonic() + SECONDS
        while not wanted():
            assert time.monotonic() < end, self.heard[-5:]
            self.heard += self.venue.hear(seats, 0.2)

    def of(self, seat: Any, kind: type) -> list[Any]:
        return [message for each, message in self.heard if each is seat and isinstance(message, kind)]

    def start(self, count: int) -> list[Any]:
        self.heard.clear()
        seats = [self.venue.start(place) for place in list(self.venue.places())[:count]]
        assert len(seats) == count
        self.hear(seats, lambda: all(self.of(seat, Ready) for seat in seats))
        for seat in seats:
            seat.send(Begin())
        return seats

    def check_pairs_are_rendered_in_a_call(self) -> None:
        seats = self.start(2)
        for number, seat in enumerate(seats):
            seat.send(TaskMessage(number, Task(self.pair(f"contract{number}", 2), 1, None, fence=no_fence)))
        self.hear(seats, lambda: all(self.of(seat, FenceCheck) for seat in seats))
        assert not any(self.of(seat, TaskDone) for seat in seats), "nothing is published without an answer"
        for seat in seats:
            (check,) = self.of(seat, FenceCheck)
            refusal = ImageError("It is not wanted any more.") if check.number else None
            seat.send(FenceAnswer(check.number, refusal))
            seat.send(EndOfTasks())
        self.hear(seats, lambda: all(self.of(seat, CallEnded) for seat in seats))
        for number, seat in enumerate(seats):
            (done,) = self.of(seat, TaskDone)
            assert done.number == number
            assert isinstance(done.record, Failure if number else Metadata)
            order = [type(message) for each, message in self.heard if each is seat]
            assert order.index(TaskReceived) < order.index(FenceCheck) < order.index(TaskDone) < order.index(CallEnded)
            seat.kill()

    def check_a_process_that_dies_is_gone_and_blamed(self) -> None:
        victim, other = self.start(2)
        victim.send(TaskMessage(7, Task(self.pair("endless", 20_000), 1, None, fence=no_fence)))
        self.hear([victim, other], lambda: bool(self.of(victim, TaskReceived)))
        self.kill_process(victim)
        self.hear([victim, other], lambda: bool(self.of(victim, Gone)))
        (gone,) = self.of(victim, Gone)
        assert gone.blames_pair
        assert gone.why
        victim.send(EndOfTasks())  # nothing is raised
        victim.kill()
        other.send(EndOfTasks())
        self.hear([other], lambda: bool(self.of(other, CallEnded)))
        other.kill()

    def check_a_halt_stops_a_pair(self) -> None:
        (seat,) = self.start(1)
        seat.send(TaskMessage(3, Task(self.pair("long", 20_000), 1, None, fence=no_fence)))
        self.hear([seat], lambda: bool(self.of(seat, TaskReceived)))
        seat.send(Halt(ExitCode.TERMINATED))
        self.hear([seat], lambda: bool(self.of(seat, CallEnded)))
        (ended,) = self.of(seat, CallEnded)
        assert isinstance(ended.error, Interrupted)
        seat.kill()

    def run_all(self) -> list[str]:
        """Run all checks, and return their names."""
        names = [name for name in dir(self) if name.startswith("check_")]
        for name in names:
            getattr(self, name)()
        return names


def pictures(folder: Path, size: int = 40) -> Callable[[str, int], Pair]:
    """Return a function that makes a small pair with a name and a number of evaluations; 0: those of the default."""

    def pair(name: str, evaluations: int) -> Pair:
        files = folder / f"{name}.png", folder / f"{name}-style.png"
        for path, seed in zip(files, (1, 2), strict=True):
            Image.fromarray(photo(size, size * 4 // 5, seed)).save(path)
        pyramid = {"evaluations": evaluations} if evaluations else {}
        settings = PairSettings.model_validate({"image": {"size": size}, "pyramid": pyramid})
        return Pair(files[0], (files[1],), files[0].name, files[1].name, name, settings)

    return pair
