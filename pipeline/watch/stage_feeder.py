"""Feeds the stage with the tasks of claimed jobs, and handles their outcomes."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Protocol

from pipeline.disk import as_storage_error
from pipeline.errors import DeviceError, Interrupted, MachineError, UnreadableError
from pipeline.run.observer import explain_failure
from pipeline.watch.jobs.open_job import Retry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipeline.stage.summary import Usage
    from pipeline.stage.task import Outcome, Task
    from pipeline.watch.backoff import Backoff
    from pipeline.watch.device_listener import DeviceListener
    from pipeline.watch.jobs.lifecycle import Jobs
    from pipeline.watch.jobs.open_job import OpenJob
    from pipeline.watch.jobs.queue import JobQueue
    from pipeline.watch.scan_thread import ScanThread
    from pipeline.watch.workplace import Workplace

logger = logging.getLogger(__name__)


class Renderer(Protocol):
    """The part of a stage's interface that a watcher uses."""

    usage: Usage
    """Times and memory of the stage."""
    isolates: bool
    """Whether a pair that must be alone gets a process of its own, beside which others go on."""

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """See `Stage.process`."""


class StageFeeder:
    """Takes jobs from the queue, renders their pairs, and adds jobs that will be tried again to the queue.

    Only the thread that renders calls it.
    """

    def __init__(  # noqa: PLR0913 - the parts and settings of the loop
        self,
        workplace: Workplace,
        jobs: Jobs,
        queue: JobQueue,
        scan_thread: ScanThread,
        *,
        listener: DeviceListener,
        backoff: Backoff,
        is_draining: bool,
    ) -> None:
        """Prepare to feed a stage.

        Args:
            workplace: the shared objects of the watcher.
            jobs: turns jobs into tasks, and handles their outcomes.
            queue: the claimed jobs.
            scan_thread: the thread that scans; after its failure no more tasks follow.
            listener: the listener of the stage.
            backoff: wait after errors of the outbox or of an input.
            is_draining: whether jobs that cannot be read are left for the next drain.
        """
        self._workplace, self._jobs, self._queue, self._scan_thread = workplace, jobs, queue, scan_thread
        self._listener, self._backoff, self._is_draining = listener, backoff, is_draining
        self.set_aside: list[OpenJob] = []
        """Jobs that are left for the next drain."""

    def render(self, stage: Renderer) -> None:
        """Render all that can be rendered now.

        Raises:
            DeviceError: the device does not work any more.
            MachineError: the disk failed while draining.
        """
        self._jobs.isolates = stage.isolates
        tasks = self._tasks()
        try:
            # The tasks are closed here, too: otherwise a job could stay half handed out until memory is collected.
            with contextlib.closing(tasks), contextlib.closing(stage.process(tasks)) as outcomes:
                for outcome in outcomes:
                    try:
                        self._finish(outcome)
                    finally:
                        self._listener.pair_left(outcome.pair.name)
        except Interrupted:
            pass  # no further task begins, and the caller notices the request to stop
        except DeviceError as error:
            self._jobs.attempts.keep(error.suspects)
            raise
        except MachineError as error:
            if self._is_draining:  # the next drain continues the work
                raise
            self._backoff.begin(str(error), self._workplace.clock())
        finally:
            self._recall()

    def _tasks(self) -> Generator[Task | None]:
        """Yield the tasks that can be rendered now, and None while the stage must continue without a further one."""
        while self._workplace.stop_request.requested is None and self._scan_thread.error is None:
            if not self._listener.pair_name:  # while a pair is on the device, only evaluations are signs of activity
                self._listener.note_activity()
            open_job = None if self._backoff.lasts(self._workplace.clock()) else self._queue.take()
            if open_job is not None:
                yield from self._tasks_of(open_job)
                self._workplace.wake.set()
            elif self._jobs.in_stage:
                yield None
            else:
                return

    def _tasks_of(self, open_job: OpenJob) -> Iterator[Task]:
        with self._kept(open_job):
            has_ended = True
            for task in self._jobs.prepare(open_job):
                has_ended = False
                if isinstance(task, Retry):
                    self._retry_later(open_job, task)
                elif isinstance(task, UnreadableError):
                    self._retry_unreadable(open_job, task)
                else:
                    yield task
            if has_ended:  # the disk works again, if it had failed
                self._backoff.end()

    @contextlib.contextmanager
    def _kept(self, open_job: OpenJob) -> Iterator[None]:
        """Keep a job if the machine fails. A defect fails the job, since otherwise every start would end there.

        Raises:
            MachineError: the machine failed.
        """
        try:
            yield
        except OSError as error:
            self._queue.put(open_job)
            raise as_storage_error(error, open_job.job.folder) from error
        except MachineError:
            self._queue.put(open_job)
            raise
        except Exception as error:  # noqa: BLE001 - a defect, see above
            self._jobs.fail(open_job, error)

    def _finish(self, outcome: Outcome) -> None:
        """Handle an outcome, and take the next step of its job."""
        entry = self._jobs.in_stage.find(outcome.pair.file_name)
        if entry is None:  # the job has failed because of a defect meanwhile
            self._jobs.attempts.take_back_one(outcome)
            return
        open_job, index = entry
        verdict = None
        with self._kept(open_job):
            verdict = self._jobs.finish(open_job, index, outcome)
        if isinstance(verdict, UnreadableError):
            self._retry_unreadable(open_job, verdict)
            return
        if verdict is not None:
            self._retry_later(open_job, verdict)
        self._backoff.end()
        failure = explain_failure(outcome)
        if verdict is not None and failure is not None:  # without a failure, the job waits for another of its pairs
            logger.info("%s It is tried again in %.0f s.", failure, verdict.seconds)
        self._workplace.wake.set()

    def _retry_later(self, open_job: OpenJob, retry: Retry) -> None:
        """Try a job again later, or leave it for the next drain if a file of it could not be read."""
        if self._is_draining and open_job in self.set_aside:
            self._set_aside(open_job)
        else:
            self._queue.put(open_job, retry.seconds)

    def _retry_unreadable(self, open_job: OpenJob, error: UnreadableError) -> None:
        """Try a job again after a longer wait than other jobs, so that one file does not delay all others."""
        if self._is_draining:
            logger.error("%s", error)
            self._set_aside(open_job)
        else:
            open_job.is_unreadable = True
            self._queue.put(open_job, 2 * self._backoff.begin(str(error), self._workplace.clock()))

    def _set_aside(self, open_job: OpenJob) -> None:
        if open_job not in self.set_aside:
            self.set_aside.append(open_job)

    def _recall(self) -> None:
        """Add the jobs that were in the stage when it ended to the queue, and take back their attempts."""
        self._listener.pair_left()
        for open_job in self._jobs.in_stage.clear():
            self._queue.put(open_job)
        try:
            self._jobs.attempts.take_back()
        except MachineError as error:  # the attempts stay open, and the next call takes them back
            logger.debug("%s", error)
