"""The seats of a pool: started, replaced when they are lost, and given up where they never work.

A seat is started at every place that the venue has.
A seat that cannot open its stage, or that does not fit the driver, leaves its place. It is tried again after a
pause that doubles each time.
A seat that is lost is replaced at once, unless it had finished nothing: then as above.
A seat that does not become ready within `run.seat_seconds` is replaced, too.
When no seat has been ready for `run.seat_seconds`, the pool gives up with the latest cause. It does so at once if,
in the beginning, every place has failed, or if many devices in a row fail and no pair is finished by any; machines that
go away and seats that are silent do not count.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic

from pipeline.errors import DeviceError, ImpastoError
from pipeline.stage.pool.handshake import check_facts
from pipeline.stage.pool.seats import SeatType
from pipeline.stage.resources import PAIRS_AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.settings.run_settings import RunSettings
    from pipeline.stage.pool.handshake import Facts
    from pipeline.stage.pool.seats import Place, Venue
    from pipeline.stage.task import Task

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 2.0
"""Seconds until a place is tried again after its first failure."""
LONGEST_PAUSE_SECONDS: Final = 60.0
START_SECONDS: Final = 60.0
"""Seconds for which the other seats take one pair each while a seat starts."""
LOOK_SECONDS: Final = 0.2
"""Seconds between two looks at the places and at silent seats."""
PAUSE_SECONDS: Final = 5.0
"""Seconds between two looks after which this process itself is known to have paused, and not the seats."""


@dataclass(eq=False)
class Worker(Generic[SeatType]):
    """A seat, and what the pool knows of it."""

    seat: SeatType
    place: Place
    begun: float
    """Time of its start, on the monotonic clock."""
    heard: float
    """Time of its last message."""
    tasks: dict[int, Task] = field(default_factory=dict)
    """Tasks without an outcome, by number."""
    received: set[int] = field(default_factory=set)
    """Numbers of the tasks that its process is known to have."""
    max_in_work: int = PAIRS_AHEAD
    """Largest number of tasks that it takes at once."""
    is_ready: bool = False
    is_remote: bool = False
    """Whether it is on another machine than this process."""
    is_at_work: bool = False
    """Whether a call of `process` is running in it."""
    is_reserved: bool = False
    """Whether it gets no further task until a task that must be alone has had it."""
    finished: int = 0
    """Number of tasks that it has finished."""
    usage: dict[str, Any] = field(default_factory=dict)
    """Its last reported usage, by `USAGE_FIELDS`."""

    def has_room(self, ahead: int) -> bool:
        """Whether it takes another task, if it may have as many as `ahead`."""
        return self.is_at_work and not self.is_reserved and len(self.tasks) < min(ahead, self.max_in_work)


@dataclass
class _Trouble:
    """A place that has failed."""

    error: ImpastoError
    pause: float
    """Seconds until it is tried again."""
    until: float


class Crew(Generic[SeatType]):
    """All seats of a pool, in all of its calls. Only the thread of the pool uses it."""

    def __init__(
        self,
        venue: Venue[SeatType],
        facts: Facts,
        outbox: Path,
        run: RunSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without seats.

        Args:
            venue: where the seats are.
            facts: facts of this process, which those of every seat must fit.
            outbox: folder of the outbox, for messages.
            run: the settings of the run, of which `seat_seconds` and `max_attempts` count here.
            clock: returns seconds.
        """
        self.venue, self._facts, self._outbox = venue, facts, outbox
        self._clock = clock
        self._seat_seconds, self._max_deaths = run.seat_seconds, run.max_attempts
        self.workers: list[Worker[SeatType]] = []
        self.past_usage: list[dict[str, Any]] = []
        """Usage of the seats that are gone."""
        self.most = 0
        """Largest number of seats that were ready at once."""
        self._troubles: dict[Place, _Trouble] = {}
        self._failures: list[ImpastoError] = []
        """Errors of the devices and processes that failed since a task was finished anywhere."""
        self._ready_until = clock()
        """Last time at which a seat was ready."""
        self._next_look = float("-inf")
        self._looked = clock()
        """Time of the last look."""
        self._has_been_ready = False
        self._devices: set[str] = set()
        """Devices of all seats so far, in words."""

    @property
    def ready(self) -> list[Worker[SeatType]]:
        """Return the seats that are ready."""
        return [worker for worker in self.workers if worker.is_ready]

    @property
    def at_work(self) -> list[Worker[SeatType]]:
        """Return the seats in which a call of `process` is running."""
        return [worker for worker in self.workers if worker.is_at_work]

    @property
    def others_come_soon(self) -> bool:
        """Whether a seat has begun to start a short time ago, so that it should get its share of the first pairs.

        One whose place has failed before is not waited for.
        """
        now = self._clock()
        return any(
            not worker.is_ready and now - worker.begun < START_SECONDS and worker.place not in self._troubles
            for worker in self.workers
        )

    def begin_look(self) -> bool:
        """Return whether it is time to look at the seats, which begins the next interval.

        After a pause of this process, all seats count as just heard: their messages wait to be read.
        """
        now = self._clock()
        if now < self._next_look:
            return False
        if now - self._looked > PAUSE_SECONDS:
            for worker in self.workers:
                worker.heard = now
        self._looked, self._next_look = now, now + LOOK_SECONDS
        return True

    def fill(self) -> None:
        """Start a seat at every free place, unless it has failed a short time ago."""
        places = list(self.venue.places())
        now, occupied = self._clock(), {worker.place for worker in self.workers}
        self._troubles = {place: trouble for place, trouble in self._troubles.items() if place in places}
        for place in places:
            trouble = self._troubles.get(place)
            if place in occupied or (trouble is not None and now < trouble.until):
                continue
            try:
                seat = self.venue.start(place)
            except DeviceError as error:
                self._trouble(place, error)
            else:
                self.workers.append(Worker(seat, place, now, now))

    def greet(self, worker: Worker[SeatType], facts: Facts) -> bool:
        """Make a seat ready if it fits this process; return whether it does."""
        try:
            check_facts(self._facts, facts, self._outbox)
        except DeviceError as error:
            self.refuse(worker, error)
            return False
        worker.is_ready = self._has_been_ready = True
        worker.is_remote = facts.host != self._facts.host
        self._ready_until = self._clock()
        self.most = max(self.most, len(self.ready))
        if self._devices and facts.device not in self._devices:
            logger.warning(
                "%s is a %s; others are %s. Different devices round differently: the pictures of this run differ a "
                "little from those of one kind of device.",
                worker.place.label, facts.device, ", ".join(sorted(self._devices)),
            )  # fmt: skip
        self._devices.add(facts.device)
        return True

    def refuse(self, worker: Worker[SeatType], error: ImpastoError) -> None:
        """End a seat that cannot open its stage or does not fit this process."""
        logger.log(logging.WARNING if worker.place in self._troubles else logging.ERROR, "%s", error)
        self._trouble(worker.place, error)
        self._remove(worker)

    def lose(self, worker: Worker[SeatType], error: ImpastoError, *, has_failed: bool) -> list[Task]:
        """End a seat that is gone or must go; return its tasks without an outcome.

        Args:
            worker: the seat.
            error: the cause.
            has_failed: whether its device or process failed; False if its machine went away, or if it was silent.
        """
        if has_failed:
            self._failures.append(error)
        if not worker.finished:
            self._trouble(worker.place, error)
        elif worker.place in self._troubles:
            del self._troubles[worker.place]
        unfinished = list(worker.tasks.values())
        self._remove(worker)
        return unfinished

    def _remove(self, worker: Worker[SeatType]) -> None:
        self.workers.remove(worker)
        self.past_usage.append(worker.usage)
        worker.tasks.clear()
        worker.received.clear()
        worker.is_at_work = worker.is_ready = False
        worker.seat.kill()
        self._next_look = float("-inf")

    def _trouble(self, place: Place, error: ImpastoError) -> None:
        earlier = self._troubles.pop(place, None)  # so that the latest trouble is the last one
        pause = min(LONGEST_PAUSE_SECONDS, 2 * earlier.pause) if earlier is not None else FIRST_PAUSE_SECONDS
        self._troubles[place] = _Trouble(error, pause, self._clock() + pause)

    def silent(self, seconds: float) -> list[Worker[SeatType]]:
        """Return the seats at work from which no message has come for so long."""
        now = self._clock()
        return [worker for worker in self.at_work if now - worker.heard > seconds]

    def stalled(self) -> list[Worker[SeatType]]:
        """Return the seats that do not become ready."""
        now = self._clock()
        return [worker for worker in self.workers if not worker.is_ready and now - worker.begun > self._seat_seconds]

    def finish(self, worker: Worker[SeatType], number: int) -> Task:
        """Return the task of this number, which the seat has finished."""
        worker.finished += 1
        worker.received.discard(number)
        self._failures.clear()
        return worker.tasks.pop(number)

    def note(self, worker: Worker[SeatType]) -> None:
        """Record that a message of a seat has come."""
        worker.heard = self._clock()

    @property
    def _every_place_has_failed(self) -> bool:
        return all(worker.place in self._troubles for worker in self.workers)

    def check(self) -> None:
        """Check that there is still hope for a seat.

        Raises:
            ImpastoError: no seat has been ready for too long, or none can become ready.
        """
        now = self._clock()
        if self._failures and len(self._failures) > 2 * self._max_deaths + len(self.workers) + len(self._troubles):
            raise _without_suspects(self._failures[-1])
        if self.ready:
            self._ready_until = now
            return
        error = next((_without_suspects(trouble.error) for trouble in reversed(self._troubles.values())), None)
        if error is not None and not self._has_been_ready and self._every_place_has_failed:
            raise error
        if now - self._ready_until > self._seat_seconds:
            raise error or DeviceError(
                f"No device has been ready for {self._seat_seconds:.0f} s.",
                "Start machines, or raise run.seat_seconds; then run the same command again to continue.",
            )

    def begin_call(self) -> None:
        """Forget how long there was no seat, since nobody needed one until now, and the failures of earlier calls."""
        self._ready_until = self._looked = self._clock()
        self._failures.clear()
        self._next_look = float("-inf")

    def close(self) -> None:
        """End all seats: idle ones at once, others at their next evaluation."""
        for worker in self.workers:
            if worker.is_at_work:
                worker.seat.dismiss()
            else:
                worker.seat.kill()
        self.workers.clear()
        self.venue.close()


def _without_suspects(error: ImpastoError) -> ImpastoError:
    """Return the error that ends a call; its pairs have got other seats, or outcomes."""
    if isinstance(error, DeviceError):
        error.suspects = ()
    return error
