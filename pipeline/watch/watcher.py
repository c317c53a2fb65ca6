"""Watch an inbox, or drain it: connects intake, stage and outbox, and owns waiting, pausing and stopping.

One thread looks at the inbox and claims; the calling thread has the device and finishes jobs. They share a queue of
claimed jobs and nothing else that either changes.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Protocol

from pipeline.disk import as_storage_error, storage_errors
from pipeline.errors import (
    DeviceError,
    ExitCode,
    ImpastoError,
    Interrupted,
    MachineError,
    UnreadableError,
)
from pipeline.run.observer import explain_failure
from pipeline.stage.summary import Summary, Usage
from pipeline.text import printable
from pipeline.watch.backoff import Backoff
from pipeline.watch.jobs.open_job import Again, OpenJob
from pipeline.watch.jobs.queue import JobQueue
from pipeline.watch.scan_thread import LONGEST_WAIT_SECONDS, ScanThread
from pipeline.watch.status import Activity, StatusFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from pipeline.disk import Disk
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.run.observer import Observer
    from pipeline.signals import StopRequest
    from pipeline.stage.attempts import Attempts
    from pipeline.stage.task import Outcome, Task
    from pipeline.transfer.state import Evaluation
    from pipeline.watch.inbox.scanner import Scanner
    from pipeline.watch.jobs.lifecycle import Jobs
    from pipeline.watch.spool.accounting import Balance, FileAccounting
    from pipeline.watch.spool.spool import Spool
    from pipeline.watch.systemd import SystemdNotifier

logger = logging.getLogger(__name__)


class Renderer(Protocol):
    """What renders: the stage."""

    usage: Usage
    """Where its time went."""

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `Stage.process`."""


class Watcher:
    """One process that works on one inbox."""

    def __init__(  # noqa: PLR0913 - who is to know of it
        self,
        *,
        intake: Scanner,
        spool: Spool,
        jobs: Jobs,
        attempts: Attempts,
        books: FileAccounting,
        outbox: Outbox,
        inbox: Path,
        stop: StopRequest,
        observer: Observer,
        notifier: SystemdNotifier,
        disk: Disk,
        wake: threading.Event,
        prefetch: int,
        grace_seconds: float,
        drain_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wake` is set, from any thread, when there is something new in the inbox.

        With `drain_seconds` only what is seen in this time is taken, and the end comes when it is done.
        """
        self._intake, self._spool, self._jobs, self._attempts, self._books = intake, spool, jobs, attempts, books
        self._outbox, self._inbox, self._stop, self._observer = outbox, inbox, stop, observer
        self._notifier, self._disk, self._clock, self._wake = notifier, disk, clock, wake
        self._grace_seconds, self._drain_seconds = grace_seconds, drain_seconds
        self._queue = JobQueue(clock)
        self._aside: list[OpenJob] = []
        """For the next drain."""
        self._pause = Backoff()
        """After the outbox or an input failed."""
        self._stage: Renderer | None = None
        self._last_tick = float("-inf")
        self._on_device = ""
        self._stop_was_told = False
        self.board = StatusFile(spool, intake, books, notifier, self._activity, observer)
        self.lookout = ScanThread(
            intake=intake,
            spool=spool,
            books=books,
            outbox=outbox,
            inbox=inbox,
            queue=self._queue,
            stop=stop,
            stage_pause=self._pause,
            wake=wake,
            prefetch=prefetch,
            is_draining=drain_seconds is not None,
            clock=clock,
            on_round=lambda: self.board.tell_systemd(clock() - self._last_tick),
            on_beat=self.board.write,
        )

    # The stage's listener

    def pair_started(self, pair: Pair) -> None:
        """The device begins with this pair, unless a stop was asked for."""
        self._tick()
        self._stop.check()
        self._on_device = pair.name
        self._observer.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """One evaluation is over; after a stop was asked for the pair has its time of grace."""
        self._tick()
        self._stop.check(self._grace_seconds)
        self._observer.evaluated(pair, evaluation)

    def _tick(self) -> None:
        self._last_tick = self._clock()
        if self._stop.requested is not None and not self._stop_was_told:
            self._stop_was_told = True
            logger.warning(
                "Stopping: the pair in work is finished if that takes at most %g s, the others go back into the inbox. "
                "A second signal ends at once, and the next start goes on.",
                self._grace_seconds,
            )

    def _activity(self) -> Activity:
        reason = self._pause.reason or self.lookout.pause.reason
        state = "stopping" if self._stop.requested else "paused" if reason else "running"
        flying = {id(opened) for opened, _ in list(self._jobs.flying.values())}
        return Activity(state, reason, self._on_device, len(self._queue) + len(flying))

    # Running

    def run(self, make_stage: Callable[[], Renderer]) -> Summary:
        """Work until a signal comes or, when draining, until all is done.

        Args:
            make_stage: called once, at the latest when there is something to render.

        Raises:
            MachineError: the device failed or, when draining, the disk; nothing is lost.
            UsageError: the spool cannot be where it should.
        """
        begin = self._clock()
        if self._drain_seconds is None:  # else there may be nothing to do
            self._stage = make_stage()
        with contextlib.ExitStack() as stack:
            self.enter(stack)
            self._observer.rendering_started(None)
            stack.callback(self._observer.rendering_ended)
            self.lookout.start()
            try:
                self._render_forever(make_stage)
            finally:
                self.lookout.end()
                self.put_back()
            with storage_errors(self._spool.root):
                balance = self._books.balance(self._inbox, self._spool, self._disk)
        usage = self._stage.usage if self._stage is not None else Usage()
        counts = {name: count for name, count in vars(balance).items() if name != "missing"}
        return Summary(counts, self._clock() - begin, self._exit_code(balance), usage, balance.missing)

    def enter(self, stack: contextlib.ExitStack) -> None:
        """Be a worker, take over what dead ones left, and look at the inbox for the first time.

        Raises:
            StorageError: the spool, the outbox or the inbox cannot be used.
            UsageError: the spool cannot be where it should.
        """
        with storage_errors(self._spool.root):
            self._spool.enter()
            stack.callback(self._leave)
            stack.enter_context(self._outbox.opened())
            self._intake.start()
            stack.callback(self._intake.stop)
            self.lookout.take_over()
        if self._drain_seconds is not None:
            self._intake.closes_at = self._clock() + self._drain_seconds
        logger.info("Watching %s by %s.", self._inbox, self._intake.mode)
        self._notifier.send("READY=1")
        stack.callback(self._notifier.send, "STOPPING=1")

    def _leave(self) -> None:
        with storage_errors(self._spool.root):
            self._spool.leave()

    def _exit_code(self, balance: Balance) -> ExitCode:
        if not balance.is_even:
            return ExitCode.INTERNAL
        if self._stop.requested is not None:
            return self._stop.requested
        if self._aside:
            return ExitCode.ENVIRONMENT
        return ExitCode.PARTIAL if balance.failed else ExitCode.OK

    # Rendering

    def _render_forever(self, make_stage: Callable[[], Renderer]) -> None:
        while self._wait_for_work():
            self._stage = self._stage or make_stage()
            self.render(self._stage)

    def render(self, stage: Renderer) -> None:
        """All that can be rendered now.

        Raises:
            DeviceError: the device does not work any more.
            MachineError: the disk failed, when draining.
        """
        try:
            with contextlib.closing(stage.process(self.tasks())) as outcomes:
                for outcome in outcomes:
                    self.finish(outcome)
        except Interrupted:
            pass  # nothing is begun any more, and the caller sees that a stop was asked for
        except DeviceError:
            raise
        except MachineError as error:
            self._wait_after(error)
        finally:
            self._recall()

    def _wait_for_work(self) -> bool:
        """False when there will be none."""
        while True:
            self._tick()
            if self.lookout.error is not None:
                raise self.lookout.error
            if self._stop.requested is not None:
                return False
            if self._queue.ready() and not self._pause.lasts(self._clock()):
                return True
            if self._drain_seconds is not None and self._is_drained():
                return False
            self._queue.woken.wait(LONGEST_WAIT_SECONDS)
            self._queue.woken.clear()

    def _is_drained(self) -> bool:
        closes = self._intake.closes_at or 0.0
        nothing_comes = self.lookout.last_look >= closes and not self.lookout.is_settling
        return nothing_comes and not len(self._queue) and not self._jobs.flying

    def tasks(self) -> Iterator[Task | None]:
        """What there is to render now; None before waiting, so that the stage does not wait for more."""
        while self._stop.requested is None and self.lookout.error is None:
            if not self._on_device:  # else only the device tells that it is alive
                self._tick()
            opened = None if self._pause.lasts(self._clock()) else self._queue.take()
            if opened is not None:
                yield from self._tasks_of(opened)
                self._wake.set()
            elif self._jobs.flying:
                yield None
            else:
                return

    def _tasks_of(self, opened: OpenJob) -> Iterator[Task]:
        with self._kept(opened):
            has_ended = True
            for task in self._jobs.prepare(opened):
                has_ended = False
                if isinstance(task, Again):
                    self._look_later(opened, task)
                elif isinstance(task, UnreadableError):
                    self._cannot_read(opened, task)
                else:
                    yield task
            if has_ended:  # by what had failed before
                self._pause.end()

    @contextlib.contextmanager
    def _kept(self, opened: OpenJob) -> Iterator[None]:
        """A job is kept when the machine fails; a defect of ours fails it, so that not each start ends there."""
        try:
            yield
        except OSError as error:
            self._queue.put(opened)
            raise as_storage_error(error, opened.job.folder) from error
        except MachineError:
            self._queue.put(opened)
            raise
        except Exception as error:  # noqa: BLE001 - see above
            self._jobs.fail(opened, error)

    def _look_later(self, opened: OpenJob, again: Again) -> None:
        """When it is time, or in the next drain."""
        if self._drain_seconds is not None and (again.is_hopeless or opened in self._aside):
            self._put_aside(opened)
        else:
            self._queue.put(opened, again.seconds)

    def _put_aside(self, opened: OpenJob) -> None:
        if opened not in self._aside:
            self._aside.append(opened)

    def finish(self, outcome: Outcome) -> None:
        """Do what an outcome asks for."""
        if self._on_device == outcome.pair.name:  # else the device has gone on to the next meanwhile
            self._on_device = ""
        if outcome.pair.file_name not in self._jobs.flying:  # its job has failed by a defect of ours meanwhile
            self._attempts.take_back_one(outcome)
            return
        opened, _ = self._jobs.flying[outcome.pair.file_name]
        verdict = None
        with self._kept(opened):
            verdict = self._jobs.finish(outcome)
        if isinstance(verdict, UnreadableError):
            self._cannot_read(opened, verdict)
            return
        if verdict is not None:
            self._look_later(opened, verdict)
        self._pause.end()
        if verdict is not None:
            logger.info("%s It is tried again in %.0f s.", explain_failure(outcome), verdict.seconds)
        self._wake.set()

    def _cannot_read(self, opened: OpenJob, error: UnreadableError) -> None:
        """Try again later, but do not let one file keep the others waiting for ever."""
        if self._drain_seconds is None:
            self._queue.put(opened, 2 * self._pause.begin(str(error), self._clock()))
        else:
            logger.error("%s", error)
            self._put_aside(opened)

    def _wait_after(self, error: MachineError) -> None:
        """Wait; a drain ends instead, since the next one goes on."""
        if self._drain_seconds is not None:
            raise error
        self._pause.begin(str(error), self._clock())

    def _recall(self) -> None:
        """What was in the stage when it ended is to be done again."""
        self._on_device = ""
        for opened, _ in list(self._jobs.flying.values()):
            self._queue.put(opened)
        self._jobs.flying.clear()
        try:
            self._attempts.take_back()
        except MachineError as error:  # they are still known as open, and are taken back with the next
            logger.debug("%s", error)

    def put_back(self) -> None:
        """Unfinished claims go back into the inbox."""
        for name, missing in self._intake.waiting_tickets().items():
            logger.warning("%s is put back: it waits for %s.", printable(name), printable(", ".join(missing)))
        tickets = [OpenJob(ticket.claimed, self._clock()) for ticket in self._intake.tickets]
        for opened in [*self._queue.clear(), *self._aside, *tickets]:
            try:
                self._jobs.give_up(opened)
            except (OSError, ImpastoError) as error:
                logger.warning("%s stays claimed until the next start: %s", opened.job.folder, error)
