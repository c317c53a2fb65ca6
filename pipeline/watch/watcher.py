"""Watch an inbox, or drain it: one process from its first scan to its summary.

A watcher has two threads, besides those of the stage. The thread of `ScanThread` scans the inbox and claims jobs. The
thread that calls `run` renders them with `StageFeeder`, and decides when to wait and when to stop. They share the queue
of claimed jobs and the `Workplace`. If other machines share the spool, a third thread sends heartbeats.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from pipeline.disk import storage_errors
from pipeline.errors import ExitCode, ImpastoError
from pipeline.run.picture_files import listed
from pipeline.stage.summary import Summary, Usage
from pipeline.text import printable
from pipeline.watch.backoff import Backoff
from pipeline.watch.device_listener import DeviceListener
from pipeline.watch.jobs.open_job import OpenJob
from pipeline.watch.jobs.queue import JobQueue
from pipeline.watch.scan_thread import LONGEST_WAIT_SECONDS, ScanThread
from pipeline.watch.stage_feeder import StageFeeder
from pipeline.watch.status import Activity, StatusFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.run.observer import Observer
    from pipeline.watch.jobs.lifecycle import Jobs
    from pipeline.watch.spool.accounting import Balance
    from pipeline.watch.stage_feeder import Renderer
    from pipeline.watch.systemd import SystemdNotifier
    from pipeline.watch.workplace import Workplace

logger = logging.getLogger(__name__)


class Watcher:
    """One process that works on one inbox. The thread that calls `run` renders, and calls all other methods, too."""

    def __init__(  # noqa: PLR0913 - the parts and settings of a watcher
        self,
        workplace: Workplace,
        jobs: Jobs,
        observer: Observer,
        notifier: SystemdNotifier,
        *,
        prefetch: int,
        grace_seconds: float,
        drain_seconds: float | None = None,
    ) -> None:
        """Connect the parts of a watcher.

        Args:
            workplace: the shared objects of the threads.
            jobs: turns claimed jobs into tasks, and handles their outcomes.
            observer: receives the events of the watcher.
            notifier: sends messages to systemd.
            prefetch: largest number of fresh jobs that are claimed ahead.
            grace_seconds: seconds that the pair in progress has after a stop is requested.
            drain_seconds: seconds within which a file must be seen to be drained; None: watch without end.
        """
        self.workplace, self._jobs, self._observer, self._notifier = workplace, jobs, observer, notifier
        self._drain_seconds = drain_seconds
        self._queue = JobQueue(workplace.clock)
        self._backoff = Backoff()
        self._stage: Renderer | None = None
        self.listener = DeviceListener(workplace.stop_request, grace_seconds, observer, workplace.clock)
        self.status_file = StatusFile(workplace, notifier, self._activity, observer)
        is_draining = drain_seconds is not None
        self.scan_thread = ScanThread(
            workplace,
            self._queue,
            render_backoff=self._backoff,
            prefetch=prefetch,
            is_draining=is_draining,
            on_scan=lambda: self.status_file.tell_systemd(self.listener.idle_seconds),
            on_beat=self.status_file.write,
        )
        self.feeder = StageFeeder(
            workplace,
            jobs,
            self._queue,
            self.scan_thread,
            listener=self.listener,
            backoff=self._backoff,
            is_draining=is_draining,
        )

    def _activity(self) -> Activity:
        reason = self._backoff.reason or self.scan_thread.backoff.reason
        state = "stopping" if self.workplace.stop_request.requested else "paused" if reason else "running"
        return Activity(state, reason, self.listener.pair_name, len(self._queue) + self._jobs.in_stage.count_jobs())

    def run(self, make_stage: Callable[[], Renderer]) -> Summary:
        """Work until a signal comes or, when draining, until all files are done.

        Args:
            make_stage: makes the stage; called once, at the latest when there is something to render.

        Raises:
            MachineError: the device failed or, when draining, the disk; nothing is lost.
            UsageError: the spool is on another file system than the inbox.
        """
        workplace = self.workplace
        begin = workplace.clock()
        if self._drain_seconds is None:  # a drain may have nothing to render
            self._stage = make_stage()
        with contextlib.ExitStack() as stack:
            self.enter(stack)
            self._observer.began()
            self._observer.rendering_started(None)
            stack.callback(self._observer.rendering_ended)
            self.scan_thread.start()
            try:
                while self._wait_for_jobs():
                    self._stage = self._stage or make_stage()
                    self.feeder.render(self._stage)
            finally:
                self.scan_thread.end()
                self.put_back()
            with storage_errors(workplace.spool.root):
                balance = workplace.accounting.balance(workplace.inbox, workplace.spool, workplace.disk)
        counts = {name: count for name, count in vars(balance).items() if name != "missing"}
        usage = self._stage.usage if self._stage is not None else Usage()
        return Summary(counts, workplace.clock() - begin, self._exit_code(balance), usage, balance.missing)

    def enter(self, stack: contextlib.ExitStack) -> None:
        """Become a worker of the spool, take over the jobs of dead workers, and look at the whole inbox.

        Args:
            stack: gets the callbacks that undo these steps.

        Raises:
            StorageError: the spool, the outbox or the inbox cannot be used.
            UsageError: the spool is on another file system than the inbox.
        """
        workplace = self.workplace
        with storage_errors(workplace.spool.root):
            workplace.spool.worker.enter()
            stack.callback(self._leave)
            stack.enter_context(workplace.outbox.opened())
            workplace.scanner.start()
            stack.callback(workplace.scanner.stop)
            self.scan_thread.take_over()
        if self._drain_seconds is not None:
            workplace.scanner.closes_at = workplace.clock() + self._drain_seconds
        logger.info("Watching %s by %s.", workplace.inbox, workplace.scanner.mode)
        self._notifier.send("READY=1")
        stack.callback(self._notifier.send, "STOPPING=1")

    def _leave(self) -> None:
        with storage_errors(self.workplace.spool.root):
            self.workplace.spool.worker.leave()

    def _wait_for_jobs(self) -> bool:
        """Wait until a job is ready; return False if there will be no more jobs."""
        while True:
            self.listener.note_activity()
            if self.scan_thread.error is not None:
                raise self.scan_thread.error
            if self.workplace.stop_request.requested is not None:
                return False
            if self._queue.ready() and not self._backoff.lasts(self.workplace.clock()):
                return True
            if self._drain_seconds is not None and self.is_drained():
                return False
            self._queue.changed.wait(LONGEST_WAIT_SECONDS)
            self._queue.changed.clear()

    def is_drained(self) -> bool:
        """Whether a drain has nothing left to do."""
        closes_at = self.workplace.scanner.closes_at or 0.0
        is_all_claimed = self.scan_thread.last_success >= closes_at and not self.scan_thread.is_settling
        return is_all_claimed and not len(self._queue) and not self._jobs.in_stage

    def put_back(self) -> None:
        """Put the files of unfinished jobs back into the inbox."""
        scanner = self.workplace.scanner
        for name, missing in scanner.waiting_tickets().items():
            if missing:  # else its manifest could not be read, which was logged, or its files were being claimed
                logger.warning("%s is put back: it waits for %s.", printable(name), printable(listed(missing)))
        tickets = [OpenJob(ticket.claimed, self.workplace.clock()) for ticket in scanner.tickets]
        for open_job in [*self._queue.clear(), *self.feeder.set_aside, *tickets]:
            try:
                why_not = self._jobs.endings.put_back(open_job)
            except (OSError, ImpastoError) as error:
                why_not = str(error)
            if why_not:
                logger.warning("%s stays claimed until the next start: %s", open_job.job.folder, why_not)

    def _exit_code(self, balance: Balance) -> ExitCode:
        if not balance.is_even:
            return ExitCode.INTERNAL
        if self.workplace.stop_request.requested is not None:
            return self.workplace.stop_request.requested
        if self.feeder.set_aside or self.scan_thread.unreadable_jobs or self.workplace.scanner.has_unreadable_inputs:
            return ExitCode.ENVIRONMENT
        is_partial = balance.failed or self.workplace.scanner.needs_action
        return ExitCode.PARTIAL if is_partial else ExitCode.OK
