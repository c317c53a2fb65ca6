"""Seats in memory, with connections that repeat, delay and reorder messages; every step is chosen by the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import ImpastoError
from pipeline.stage.pool.handshake import Facts, facts_here
from pipeline.stage.pool.messages import (
    Alive,
    Begin,
    CallEnded,
    EndOfTasks,
    FenceAnswer,
    FenceCheck,
    Halt,
    PairStarted,
    Ready,
    TaskDone,
    TaskMessage,
    TaskReceived,
)
from pipeline.stage.pool.numbered import Heard, Numbered, Sent
from pipeline.stage.pool.seats import Gone, Place
from pipeline.stage.task import Task, failure_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Iterator

FACTS = facts_here("", "w" * 64, None)
AHEAD = 3


@dataclass(eq=False)
class FakeSeat:
    """A seat and, behind its connection, the process that it stands for."""

    place: Place
    facts: Facts = FACTS
    state: str = "alive"
    """`alive`, `dead`, `frozen`, or `away`: it works on, but the pool has been told that its machine is gone."""
    gone: Gone | None = None
    """The end that the pool will hear of, behind the messages that it has heard."""
    to_seat: list[Numbered] = field(default_factory=list)
    """Messages on their way to the process, perhaps several times and in any order."""
    pool_sent: Sent = field(default_factory=Sent)
    pool_heard: Heard = field(default_factory=Heard)
    seat_sent: Sent = field(default_factory=Sent)
    seat_heard: Heard = field(default_factory=Heard)
    tasks: dict[int, Task] = field(default_factory=dict)
    progress: dict[int, str] = field(default_factory=dict)
    """`queued`, `started`, `asked`, `permitted`, by number of the task."""
    is_complete: bool = False
    is_at_work: bool = False
    published: list[str] = field(default_factory=list)
    """Names of the pairs that the process has published."""

    def __post_init__(self) -> None:
        self.say(Ready(self.facts))

    # The pool's side

    def send(self, message: object) -> None:
        self.to_seat.append(self.pool_sent.add(message))

    def kill(self) -> None:
        if self.state != "away":  # nobody can reach that machine
            self.state = "dead"

    dismiss = kill

    # The process's side

    def say(self, message: object) -> None:
        self.seat_sent.add(message)

    def hear(self, chance: random.Random) -> None:
        """Take some of the messages on their way, some of them not for the last time."""
        some = [each for each in self.to_seat if chance.random() < 0.7]
        chance.shuffle(some)
        self.to_seat = [each for each in self.to_seat if each not in some or chance.random() < 0.2]
        for message in self.seat_heard.accept(some):
            self._on_message(message)

    def _on_message(self, message: object) -> None:
        match message:
            case Begin():
                self.is_at_work, self.is_complete = True, False
            case TaskMessage(number, task):
                assert self.is_at_work
                self.tasks[number], self.progress[number] = task, "queued"
                self.say(TaskReceived(number))
            case FenceAnswer(number, error):
                if error is None:
                    self.progress[number] = "permitted"
                else:
                    self._end(number, error)
            case EndOfTasks():
                self.is_complete = True
            case Halt():
                self.tasks.clear()
                self.progress.clear()
                self.is_complete = True

    def work(self, chance: random.Random) -> None:
        """Take the next step of a pair, or end the call."""
        if self.state not in ("alive", "away"):
            return
        self.hear(chance)
        if self.is_at_work:
            self.say(Alive(is_stuck=False))
        numbers = [number for number, step in self.progress.items() if step != "asked"]
        if numbers:
            self._advance(chance.choice(numbers))
        elif self.is_at_work and self.is_complete and not self.tasks:
            self.is_at_work = False
            self.say(CallEnded(None, {}))

    def _advance(self, number: int) -> None:
        step, task = self.progress[number], self.tasks[number]
        if step == "queued":
            self.progress[number] = "started"
            self.say(PairStarted(task.pair, AHEAD))
        elif step == "started":
            self.progress[number] = "asked"
            self.say(FenceCheck(number))
        else:
            self.published.append(task.pair.name)
            self._end(number, None)

    def _end(self, number: int, error: ImpastoError | None) -> None:
        task = self.tasks.pop(number)
        del self.progress[number]
        record = failure_of(task, error or ImpastoError("It stands for metadata."))
        self.say(TaskDone(number, record, error, {}))

    def fail(self, gone: Gone, state: str) -> None:
        self.gone, self.state = gone, state


class FakeVenue:
    """Seats in memory."""

    def __init__(self, places: int, chance: random.Random) -> None:
        self.free = [Place(number, f"seat {number}") for number in range(places)]
        self.chance = chance
        self.seats: list[FakeSeat] = []
        """All seats that were ever started."""
        self.facts_of: Callable[[Place], Facts] = lambda _: FACTS
        self.is_closed = False

    def places(self) -> list[Place]:
        return list(self.free)

    def start(self, place: Place) -> FakeSeat:
        seat = FakeSeat(place, self.facts_of(place))
        self.seats.append(seat)
        return seat

    def hear(self, seats: Collection[FakeSeat], seconds: float) -> Iterator[tuple[FakeSeat, Any]]:
        del seconds
        for seat in list(seats):
            if seat.state != "frozen":
                kept = seat.seat_sent.after(seat.pool_heard.known if self.chance.random() < 0.5 else 0)
                some = [each for each in kept if self.chance.random() < 0.8]
                self.chance.shuffle(some)
                for message in list(seat.pool_heard.accept(some)):
                    yield seat, message
            if seat.gone is not None and self.chance.random() < 0.5:
                gone, seat.gone = seat.gone, None
                yield seat, gone

    def close(self) -> None:
        self.is_closed = True
