"""One call of `StagePool.process`: the seats' messages, and what becomes of the tasks of a lost seat.

A process that dies, or a device that fails, may have done so because of a pair: the outcome of its pairs is a
`ProcessDiedError`, and the caller tries each of them again as a suspect, alone on a seat.
A machine that goes away is no pair's fault: its pairs go to other seats, and nothing is counted.
A seat that is silent or stuck for too long is killed. Its pairs go to other seats once; a second time over the same
pair counts like a death.
A task that must be alone gets a seat of its own. The other seats go on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Generic

from pipeline.errors import (
    DeviceError,
    ExitCode,
    ImpastoError,
    Interrupted,
    MachineError,
    ProcessDiedError,
    SupersededError,
    internal_error,
)
from pipeline.stage.feeding import POLL_SECONDS, feed
from pipeline.stage.pool.allotment import Allotment
from pipeline.stage.pool.crew import LOOK_SECONDS
from pipeline.stage.pool.messages import (
    Alive,
    Begin,
    CallEnded,
    EndOfTasks,
    Evaluated,
    FenceAnswer,
    FenceCheck,
    Halt,
    LogMessage,
    NotReady,
    PairStarted,
    Ready,
    TaskDone,
    TaskReceived,
)
from pipeline.stage.pool.seats import Gone, SeatType
from pipeline.stage.task import Outcome, Task, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from pipeline.stage.listener import Listener
    from pipeline.stage.pool.crew import Crew, Worker
    from pipeline.stage.summary import Usage

logger = logging.getLogger(__name__)

CONTINUE: Final = "Run the same command again to continue."
_STRAGGLING: Final = 5.0
"""Time that a seat has to stop, as a multiple of the seconds of silence that it may keep: an evaluation may be long."""


class PoolCall(Generic[SeatType]):
    """One call of `StagePool.process`; everything happens in the calling thread."""

    isolates = True

    def __init__(
        self,
        crew: Crew[SeatType],
        listener: Listener,
        numbers: Iterator[int],
        usage: Usage,
        silence_seconds: float,
    ) -> None:
        """Prepare a call.

        Args:
            crew: the seats.
            listener: receives the events of the devices.
            numbers: numbers for tasks, which no other task has had.
            usage: gets the times of the first start and of the latest outcome.
            silence_seconds: seconds without a message after which a seat at work is killed.
        """
        self._crew, self._listener, self._usage = crew, listener, usage
        self._silence_seconds = silence_seconds
        self.error: Exception | None = None
        """First error that ends the call; None while there is none."""
        self._is_over = False
        """Whether no seat may begin any more, since no further task will."""
        self._is_halted = False
        """Whether all seats have been asked to stop at their next evaluation."""
        self._looks_after_halt = 0
        self._allotment = Allotment(crew, numbers)
        self._outcomes: deque[Outcome] = deque()
        """Outcomes that the caller has not received yet."""
        self._silences: Counter[str] = Counter()
        """Number of silent seats that had each pair, by file name of the result."""

    def run(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `StagePool.process`."""
        self._crew.begin_call()
        for worker in self._crew.ready:
            self._begin_call_of(worker)
        try:
            yield from feed(tasks, self)
            self._is_over = True
            for worker in self._crew.at_work:
                worker.seat.send(EndOfTasks())
            while self._crew.at_work:
                yield from self.receive(POLL_SECONDS)
            yield from self._take_outcomes()
        finally:  # the caller wants no further outcome
            self._is_over = True
            self._halt(ExitCode.INTERRUPTED)
            while self._crew.at_work:
                for _ in self.receive(POLL_SECONDS):
                    pass
        if self.error is not None:
            raise self.error

    def _begin_call_of(self, worker: Worker[SeatType]) -> None:
        worker.is_at_work, worker.is_reserved = True, False
        self._crew.note(worker)
        worker.seat.send(Begin())

    # Methods for `feed`

    @property
    def in_work(self) -> int:
        """Number of tasks that have begun and whose outcomes are not received yet."""
        return self._allotment.in_work + len(self._outcomes)

    @property
    def has_room(self) -> bool:
        """Whether another task may begin."""
        return self._allotment.has_room

    def begin(self, task: Task) -> None:
        """Give a task to a seat, or keep it until a seat is free for it."""
        self._allotment.begin(task)

    def receive(self, seconds: float) -> Generator[Outcome]:
        """Wait at most `seconds` for messages of the seats, answer them, and yield the outcomes among them."""
        if self._outcomes:
            seconds = 0
        for seat, message in self._crew.venue.hear([worker.seat for worker in self._crew.workers], seconds):
            worker = next((each for each in self._crew.workers if each.seat is seat), None)
            if worker is not None:
                self._crew.note(worker)
                self._on_message(worker, message)
        if self._crew.begin_look():
            self._look()
        if self.error is None:
            self._allotment.assign()
        yield from self._take_outcomes()

    def _take_outcomes(self) -> Iterator[Outcome]:
        while self._outcomes:
            yield self._outcomes.popleft()

    # Seats

    def _look(self) -> None:
        """Replace seats that are gone or silent, while the call goes on."""
        for worker in self._crew.silent(self._silence_seconds):
            self._lose_silent(worker, f"no sign of life for {self._silence_seconds:.0f} s")
        for worker in self._crew.stalled():
            self._lose_silent(worker, "has not become ready")
        if self._is_halted:
            self._end_stragglers()
        if self.error is None:
            self._call(lambda: self._listener.check(in_progress=bool(self._crew.at_work)))
        if self.error is None and not self._is_over:
            try:
                self._crew.check()
            except ImpastoError as error:
                self.fail(error)
            else:
                self._crew.fill()

    def _end_stragglers(self) -> None:
        """End seats that do not stop though they were asked to long ago: their files may be on a dead mount."""
        self._looks_after_halt += 1
        if self._looks_after_halt * LOOK_SECONDS > _STRAGGLING * self._silence_seconds:
            for worker in self._crew.at_work:
                self._lose_silent(worker, "does not stop")

    # Lost seats

    def _lose(
        self, worker: Worker[SeatType], error: ImpastoError, suspects: Callable[[Task], bool], *, has_failed: bool
    ) -> None:
        """Replace a seat; its suspects become outcomes, and its other tasks wait for another seat.

        Only tasks that its process had received can be suspects.

        After an error that ends the call nothing is counted: the process was killed because the call ends.
        """
        had = [worker.tasks[number].pair.file_name for number in sorted(worker.received)]
        label = worker.place.label
        names = [task.pair.name for task in worker.tasks.values()]
        logger.warning("%s%s", error.message, f" In progress: {', '.join(names)}." if names else "")
        for task in self._crew.lose(worker, error, has_failed=has_failed):
            if self.error is not None:
                continue
            if task.pair.file_name in had and suspects(task):
                cause = ProcessDiedError(
                    f"{task.pair.name}: {label} was lost during it: {error.message}",
                    "It is tried again alone.",
                    is_alone=len(had) == 1,
                )
                self._outcomes.append(Outcome(task, failure_of(task, cause), cause))
            else:
                self._allotment.give_back(task)

    def _lose_silent(self, worker: Worker[SeatType], why: str) -> None:
        names = {task.pair.file_name for task in worker.tasks.values()}
        self._silences.update(names)
        error = DeviceError(f"{worker.place.label}: {why}; it is replaced.", CONTINUE)
        self._lose(worker, error, lambda task: self._silences[task.pair.file_name] > 1, has_failed=False)

    # Messages of the seats

    def _on_message(self, worker: Worker[SeatType], message: object) -> None:
        match message:
            case TaskDone(number, record, error, usage):
                worker.usage = usage
                self._usage.end = time.perf_counter()
                task = self._crew.finish(worker, number)
                self._outcomes.append(Outcome(task, record, error))
            case TaskReceived(number):
                worker.received.add(number)
            case FenceCheck(number):
                worker.seat.send(FenceAnswer(number, self._fence_error(worker, number)))
            case PairStarted(pair, max_in_work):
                self._usage.started()
                worker.max_in_work = max_in_work
                self._call(lambda: self._listener.pair_started(pair), starting=worker)
            case Evaluated(pair, evaluation):
                self._call(lambda: self._listener.evaluated(pair, evaluation))
            case LogMessage(record):
                logging.getLogger(record.name).handle(record)
            case _:
                self._on_seat_message(worker, message)

    def _on_seat_message(self, worker: Worker[SeatType], message: object) -> None:
        match message:
            case Alive(is_stuck):
                if is_stuck:
                    self._lose_silent(worker, "the evaluation in progress does not end")
            case Ready(facts):
                if self._crew.greet(worker, facts) and self.error is None and not self._is_over:
                    self._begin_call_of(worker)
            case NotReady(error):
                self._crew.refuse(worker, error)
            case CallEnded(error, usage):
                worker.usage = usage
                self._on_call_ended(worker, error)
            case Gone(why, blames_pair):
                what = f"its process ended unexpectedly ({why})" if blames_pair else why
                error = DeviceError(f"{worker.place.label}: {what}.", CONTINUE)
                self._lose(worker, error, lambda _: blames_pair, has_failed=blames_pair)

    def _on_call_ended(self, worker: Worker[SeatType], error: ImpastoError | None) -> None:
        is_own_trouble = isinstance(error, DeviceError) or (isinstance(error, MachineError) and worker.is_remote)
        if error is not None and is_own_trouble:  # other seats may go on, but this one cannot
            suspects = frozenset(error.suspects if isinstance(error, DeviceError) else ())
            self._lose(worker, error, lambda task: task.pair.file_name in suspects, has_failed=True)
            return
        worker.is_at_work = False
        worker.tasks.clear()
        worker.received.clear()
        if error is not None and not (self.error is not None and isinstance(error, Interrupted)):
            self.fail(error)  # otherwise the seat was interrupted because this call has failed

    def _call(self, listener: Callable[[], None], starting: Worker[SeatType] | None = None) -> None:
        """Call the listener, which may ask to stop.

        If it asks when a pair starts, that seat stops at once, and other seats finish the pairs on their devices.

        Args:
            listener: calls a method of the listener.
            starting: the seat whose pair starts; None: a pair was evaluated.
        """
        if self._is_halted:
            return
        try:
            if starting is None or self.error is None:
                listener()
        except Interrupted as error:
            if starting is None:
                self.fail(error)
            self.error = self.error or error
        except Exception as error:  # noqa: BLE001 - the caller of `process` gets it
            self.fail(error)
        if starting is not None and self.error is not None and starting.is_at_work:
            starting.seat.send(Halt(_code(self.error)))

    def fail(self, error: Exception) -> None:
        """End the call with this error, unless an earlier error has ended it."""
        self.error = self.error or error
        self._halt(_code(self.error))

    def _halt(self, code: ExitCode) -> None:
        if not self._is_halted:
            self._is_halted = True
            for worker in self._crew.at_work:
                worker.seat.send(Halt(code))

    def _fence_error(self, worker: Worker[SeatType], number: int) -> ImpastoError | None:
        task = worker.tasks.get(number)
        if task is None:
            return SupersededError("Another seat has this pair.")
        try:
            task.fence()
        except ImpastoError as error:
            return error
        except Exception as error:
            logger.exception("the fence of %s failed", task.pair.name)
            return internal_error(error)
        return None


def _code(error: Exception) -> ExitCode:
    return error.code if isinstance(error, Interrupted) else ExitCode.INTERRUPTED
