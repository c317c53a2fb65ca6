"""The thread that scans: it scans the inbox, claims jobs, sends heartbeats, and takes over the jobs of dead workers."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.disk import as_storage_error
from pipeline.errors import EvictedError, MachineError, StorageError
from pipeline.watch.backoff import Backoff
from pipeline.watch.jobs.open_job import OpenJob
from pipeline.watch.spool.records import SpoolRemovedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.watch.jobs.queue import JobQueue
    from pipeline.watch.spool.records import Job
    from pipeline.watch.workplace import Workplace

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
"""Seconds between two heartbeats, and between two searches for dead workers."""
LONGEST_WAIT_SECONDS: Final = 0.5
"""Longest time in seconds that a thread waits before it checks again for a stop or an error."""


class ScanThread:
    """Owns the thread that scans and fills the queue of jobs.

    The thread that scans calls `scan`. If other machines share the spool, this object also owns a second thread, which
    sends heartbeats. The thread that renders calls `start`, `end` and, before `start`, `take_over`; it may read the
    attributes at any time.
    """

    def __init__(  # noqa: PLR0913 - the parts and settings of a scan
        self,
        workplace: Workplace,
        queue: JobQueue,
        *,
        render_backoff: Backoff,
        prefetch: int,
        is_draining: bool,
        on_scan: Callable[[], None],
        on_beat: Callable[[], None],
    ) -> None:
        """Prepare the thread.

        Args:
            workplace: the shared objects of the watcher.
            queue: queue for the claimed jobs.
            render_backoff: wait of the thread that renders, during which no file is claimed.
            prefetch: largest number of fresh jobs in the queue.
            is_draining: whether an error of the disk ends the thread instead of starting a wait.
            on_scan: called after each scan.
            on_beat: called after each heartbeat.
        """
        self._workplace, self._queue = workplace, queue
        self._render_backoff, self._prefetch, self._is_draining = render_backoff, prefetch, is_draining
        self._on_scan, self._on_beat = on_scan, on_beat
        self.backoff = Backoff()
        """Wait after errors of the inbox or the spool."""
        self.error: BaseException | None = None
        """Error that ended the thread."""
        self.last_success = float("-inf")
        """Time of the last scan without an error, by the clock of the workplace."""
        self.is_settling = True
        """Whether this drain may still claim files; False once all files that came in time are claimed."""
        self.unreadable_jobs: set[str] = set()
        """Unfinished jobs of earlier processes, by id, that could not be adopted since their folders cannot be read."""
        self._last_beat = float("-inf")
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        self._threads = [threading.Thread(target=self._scan_forever, name="scan", daemon=True)]
        if (
            self._workplace.spool.worker.is_shared
        ):  # in a thread of its own, since a scan may take longer than the lease
            self._threads.append(threading.Thread(target=self._beat_forever, name="beat", daemon=True))
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End the threads, and wait for them."""
        self._end.set()
        self._workplace.wake.set()
        for thread in self._threads:
            thread.join()

    def _scan_forever(self) -> None:
        workplace = self._workplace
        try:
            while not self._end.is_set():
                self.scan()
                waits = self.backoff.lasts(workplace.clock())
                seconds = LONGEST_WAIT_SECONDS if waits else workplace.scanner.seconds_until_next()
                workplace.wake.wait(min(max(seconds, 0.01), LONGEST_WAIT_SECONDS))
                workplace.wake.clear()
        except BaseException as error:  # noqa: BLE001 - the thread that renders raises it, which ends the process
            self.error = error
        self._queue.changed.set()

    def _beat_forever(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                self._workplace.spool.worker.beat()
            except (OSError, EvictedError, SpoolRemovedError) as error:
                logger.debug("%s", error)  # the thread that scans gets the same error

    def scan(self) -> None:
        """Scan the inbox once, claim ready files, and send a heartbeat if it is due.

        Raises:
            EvictedError: other workers took this one for dead.
            StorageError: the inbox or the spool failed while draining; otherwise a later scan tries again.
        """
        now = self._workplace.clock()
        if self._workplace.stop_request.rescan:
            self._workplace.stop_request.rescan = False
            self._workplace.scanner.try_again()
        if self.backoff.lasts(now):
            return
        try:
            self._scan_or_make_spool(now)
        except (OSError, MachineError) as error:
            self._last_beat = float("-inf")  # a job may have been left half claimed, which the next `take_over` finds
            storage = self._explain(error) if isinstance(error, OSError) else error
            if self._is_draining:
                raise storage from error
            self.backoff.begin(str(storage), now)
        else:
            self.backoff.end()
            self.last_success = now
        self._on_scan()

    def _scan_or_make_spool(self, now: float) -> None:
        workplace = self._workplace
        try:
            self._scan(now)
        except SpoolRemovedError:
            logger.warning(
                "%s was removed, and is made again. What was in it is lost to this inbox.", workplace.spool.root
            )
            workplace.spool.worker.enter()
            workplace.scanner.start_over()

    def _scan(self, now: float) -> None:
        workplace = self._workplace
        if now - self._last_beat >= BEAT_SECONDS:
            self._last_beat = now
            workplace.spool.worker.beat()
            self.take_over()
            self._on_beat()
        is_stopping = workplace.stop_request.requested is not None or self._end.is_set()
        may_claim = not is_stopping and not self._render_backoff.lasts(now)
        for claimed in workplace.scanner.round(self._queue.room(self._prefetch) if may_claim else 0):
            self._queue.put(OpenJob(claimed, now))
        self.is_settling = workplace.scanner.is_settling

    def _explain(self, error: OSError) -> StorageError:
        """Name the file or, in `watch`, the spool in place of a job's folder, so that every attempt has one message."""
        where = Path(str(error.filename or self._workplace.inbox))
        root = self._workplace.spool.root
        if where.is_relative_to(root) and not self._is_draining:
            where = root
        return as_storage_error(OSError(error.errno, error.strerror), where)

    def take_over(self) -> None:
        """Adopt the jobs of dead workers, and jobs of this worker that an error of the disk interrupted."""
        spool, accounting = self._workplace.spool, self._workplace.accounting
        spool.worker.take_over(self._clear_temporary)
        unknown = [job for job in spool.jobs() if not accounting.knows(job)]
        left_jobs = [job for job in unknown if spool.holds(job)]  # a job that is gone has been finished meanwhile
        adopted = [job for job in left_jobs if self._adopt(job)]
        self.unreadable_jobs &= {job.id for job in left_jobs}
        if adopted:
            logger.warning("Resuming %d unfinished jobs.", len(adopted))

    def _adopt(self, job: Job) -> bool:
        """Adopt a job; return False if it cannot be read, which is no reason to leave others alone."""
        try:
            self._workplace.scanner.adopt(job)
        except OSError as error:
            if job.id not in self.unreadable_jobs:
                text = "%s cannot be read and is tried again: %s. If that lasts, check the disk and permissions."
                logger.warning(text, job.folder, error.strerror)
            self.unreadable_jobs.add(job.id)
            return False
        self.unreadable_jobs.discard(job.id)
        return True

    def _clear_temporary(self, worker: str) -> None:
        try:
            self._workplace.outbox.clear_temporary(worker)
        except StorageError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
            logger.warning("Temporary files of a worker of another user stay in the outbox: %s", error)
