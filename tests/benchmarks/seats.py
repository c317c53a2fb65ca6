"""Whether one driver keeps many seats busy, and what a pair costs it.

python -m tests.benchmarks.seats simulated [--seats 64] [--milliseconds 50]    seats that only wait; how busy are they?
python -m tests.benchmarks.seats local [--pairs 12] [--size 192]               two seats of this machine and one process
python -m tests.benchmarks.seats overhead [--pairs 40] [--cluster ADDRESS]     the driver's time for a pair
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import pickle
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pipeline  # noqa: F401 - imported before torch, for large pages

# isort: split
import torch

from pipeline.errors import ImpastoError
from pipeline.outbox.publish import Outbox
from pipeline.pair import Pair
from pipeline.settings.all_settings import Settings
from pipeline.settings.pair_settings import PairSettings
from pipeline.settings.run_settings import RunSettings
from pipeline.stage.pool.crew import Crew
from pipeline.stage.pool.handshake import facts_here
from pipeline.stage.pool.messages import (
    Begin,
    CallEnded,
    EndOfTasks,
    FenceAnswer,
    FenceCheck,
    PairStarted,
    Ready,
    TaskDone,
    TaskMessage,
    TaskReceived,
)
from pipeline.stage.pool.pipe_venue import PipeVenue
from pipeline.stage.pool.pool_call import PoolCall
from pipeline.stage.pool.seats import Place
from pipeline.stage.pool.stage_pool import StagePool, assignment_for, make_stage
from pipeline.stage.resources import PAIRS_AHEAD
from pipeline.stage.stage import Stage
from pipeline.stage.summary import Usage
from pipeline.stage.task import Task, failure_of
from pipeline.transfer.weights import find_weights
from tests.stage.pool.venue_contract import pictures

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pipeline.transfer.state import Evaluation

FACTS: Final = facts_here("simulated", "0" * 64, None)


class Quiet:
    """A listener that ignores all events."""

    def check(self, *, in_progress: bool) -> None:
        """Go on."""

    def pair_started(self, pair: Pair) -> None:
        """Ignore it."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Ignore it."""


@dataclass(eq=False)
class SimulatedSeat:
    """A seat whose device takes the same time for each pair. Messages are pickled, as between processes."""

    place: Place
    venue: SimulatedVenue
    waiting: deque[tuple[int, Task]] = field(default_factory=deque)
    is_painting: bool = False
    busy_seconds: float = 0.0
    tasks: dict[int, Task] = field(default_factory=dict)

    def send(self, message: object) -> None:
        """Take a message at once."""
        match pickle.loads(pickle.dumps(message)):  # noqa: S301 - of this process
            case Begin():
                pass
            case TaskMessage(number, task):
                self.tasks[number] = task
                self.say(TaskReceived(number))
                self.waiting.append((number, task))
                self.paint()
            case FenceAnswer(number):
                task = self.tasks.pop(number)
                self.say(TaskDone(number, failure_of(task, _stand_in()), None, {}))
            case EndOfTasks():
                self.say(CallEnded(None, {}))

    def paint(self) -> None:
        """Begin with the next pair if the device is free."""
        if self.is_painting or not self.waiting:
            return
        number, task = self.waiting.popleft()
        self.is_painting = True
        self.say(PairStarted(task.pair, PAIRS_AHEAD))
        self.venue.later(self, number)

    def painted(self, number: int, seconds: float) -> None:
        """End a pair, whose result is then saved beside the next one."""
        self.busy_seconds += seconds
        self.is_painting = False
        self.say(FenceCheck(number))
        self.paint()

    def say(self, message: object) -> None:
        """Put a message where the driver finds it."""
        self.venue.said.append((self, pickle.dumps(message)))

    def kill(self) -> None:
        """Do nothing."""

    dismiss = kill


def _stand_in() -> ImpastoError:
    return ImpastoError("It stands for a result, since metadata is long.")


class SimulatedVenue:
    """Seats that wait. Their time passes while the driver waits or works."""

    def __init__(self, count: int, seconds: float) -> None:
        self._places = [Place(number, f"seat {number}") for number in range(count)]
        self._seconds, self._order = seconds, itertools.count()
        self._due: list[tuple[float, int, SimulatedSeat, int]] = []
        self.said: deque[tuple[SimulatedSeat, bytes]] = deque()
        self.seats: list[SimulatedSeat] = []

    def places(self) -> list[Place]:
        """See `Venue`."""
        return self._places

    def start(self, place: Place) -> SimulatedSeat:
        """See `Venue`."""
        seat = SimulatedSeat(place, self)
        self.seats.append(seat)
        seat.say(Ready(FACTS))
        return seat

    def later(self, seat: SimulatedSeat, number: int) -> None:
        """Let a seat's device work."""
        heapq.heappush(self._due, (time.perf_counter() + self._seconds, next(self._order), seat, number))

    def hear(self, seats: Collection[SimulatedSeat], seconds: float) -> Iterator[tuple[SimulatedSeat, object]]:
        """See `Venue`."""
        del seats
        if not self.said and self._due:
            time.sleep(max(0.0, min(seconds, self._due[0][0] - time.perf_counter())))
        while self._due and self._due[0][0] <= time.perf_counter():
            _, _, seat, number = heapq.heappop(self._due)
            seat.painted(number, self._seconds)
        for _ in range(len(self.said)):
            seat, message = self.said.popleft()
            yield seat, pickle.loads(message)  # noqa: S301 - of this process

    def close(self) -> None:
        """Do nothing."""


def simulated(seats: int, milliseconds: float, seconds: float = 20.0) -> None:
    """Print how busy simulated seats are, and what a pair costs the driver, the simulation included."""
    venue = SimulatedVenue(seats, milliseconds / 1000)
    crew: Crew[Any] = Crew(venue, FACTS, Path("out"), RunSettings())
    call = PoolCall(crew, Quiet(), itertools.count(), Usage(), 120.0)
    pair = Pair(Path("a.png"), (Path("s.png"),), "a", "s", "a", PairSettings())
    begin, cpu, done = time.perf_counter(), time.process_time(), 0

    def tasks() -> Iterator[Task]:
        while time.perf_counter() - begin < seconds:
            yield Task(pair, 1, None)

    for _ in call.run(tasks()):
        done += 1
    elapsed = time.perf_counter() - begin
    busy = sum(seat.busy_seconds for seat in venue.seats) / elapsed / seats
    print(
        f"{seats} seats of {milliseconds:g} ms: {done} pairs in {elapsed:.1f} s, busy {100 * busy:.1f} %, "
        f"{1000 * (time.process_time() - cpu) / done:.2f} ms of the driver for a pair"
    )


def _seconds_of(stage: Stage | StagePool, outbox: Outbox, tasks: Iterable[Task]) -> float:
    """Return the seconds of a call after a first pair on each seat, which loads what is loaded once."""
    todo = list(tasks)
    with outbox.opened():
        list(stage.process(todo[:2]))
        begin = time.perf_counter()
        assert sum(outcome.error is None for outcome in stage.process(todo[2:])) == len(todo) - 2
        return time.perf_counter() - begin


def local(pairs: int, size: int) -> None:
    """Print the rate of two seats with one thread each, and that of one process with two."""
    rates: dict[str, list[float]] = {"one process": [], "two seats": []}
    weights = find_weights("packaged")
    for turn in range(2):
        for name, figures in rates.items():
            with tempfile.TemporaryDirectory() as folder:
                make = pictures(Path(folder), size)
                tasks = [Task(make(f"{turn}-{number}", 0), 1, None) for number in range(pairs + 2)]
                outbox = Outbox(Path(folder) / "out")
                whole = Settings.model_validate({"run": {"device": "cpu"}})
                if name == "one process":
                    torch.set_num_threads(2)
                    stage: Stage | StagePool = Stage.from_settings(whole, weights, outbox, Quiet())
                else:
                    venue = PipeVenue(["cpu", "cpu"], assignment_for(whole, weights, outbox, 2))
                    stage = StagePool(venue, whole, weights, outbox, Quiet())
                with contextlib.closing(stage):
                    figures.append(3600 * pairs / _seconds_of(stage, outbox, tasks))
    best = {name: max(figures) for name, figures in rates.items()}
    print(", ".join(f"{name} {rate:.0f} pairs/h" for name, rate in best.items()))
    print(f"two seats reach {best['two seats'] / best['one process']:.2f} of the rate of one process")


def overhead(pairs: int, cluster: str) -> None:
    """Print what a pair costs beside its work: with one seat, tiny pairs against one process."""
    weights, figures = find_weights("packaged"), {}
    for name in ("one process", "one seat"):
        with tempfile.TemporaryDirectory() as folder:
            make = pictures(Path(folder))
            tasks = [Task(make(f"{number}", 2), 1, None) for number in range(pairs + 2)]
            outbox = Outbox(Path(folder) / "out")
            settings = Settings.model_validate(
                {"run": {"device": "cpu", "cluster": cluster if name == "one seat" else ""}}
            )
            if name == "one process" or cluster:
                stage = make_stage(settings, weights, outbox, Quiet())
            else:
                venue = PipeVenue(["cpu"], assignment_for(settings, weights, outbox, 1))
                stage = StagePool(venue, settings, weights, outbox, Quiet())
            cpu = time.process_time()
            with contextlib.closing(stage):
                seconds = _seconds_of(stage, outbox, tasks)
            figures[name] = 1000 * seconds / pairs, 1000 * (time.process_time() - cpu) / pairs
    more = figures["one seat"][0] - figures["one process"][0]
    print(f"a pair in one process {figures['one process'][0]:.1f} ms, through a seat {figures['one seat'][0]:.1f} ms: "
          f"{more:.1f} ms more; {figures['one seat'][1]:.1f} ms of the driver's processor for a pair")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["simulated", "local", "overhead"])
    parser.add_argument("--seats", type=int, default=64)
    parser.add_argument("--milliseconds", type=float, default=50.0)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--cluster", default="")
    options = parser.parse_args()
    if options.what == "simulated":
        simulated(options.seats, options.milliseconds)
    elif options.what == "local":
        local(options.pairs, options.size)
    else:
        overhead(options.pairs, options.cluster)


if __name__ == "__main__":
    main()
