"""The thread that looks: rounds of the intake, signs of life, and jobs of the dead."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.disk import as_storage_error
from pipeline.errors import EvictedError, MachineError, StorageError
from pipeline.watch.backoff import Backoff
from pipeline.watch.jobs.open_job import OpenJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.outbox.publish import Outbox
    from pipeline.signals import StopRequest
    from pipeline.watch.inbox.scanner import Scanner
    from pipeline.watch.jobs.queue import JobQueue
    from pipeline.watch.spool.accounting import FileAccounting
    from pipeline.watch.spool.spool import Spool

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
"""So often a worker shows that it lives, looks for dead ones, and writes its status."""
LONGEST_WAIT_SECONDS: Final = 0.5


class ScanThread:
    """Fills the queue of jobs. Only its own thread calls it, but for `start` and `end`."""

    def __init__(  # noqa: PLR0913 - who is to know of it
        self,
        *,
        intake: Scanner,
        spool: Spool,
        books: FileAccounting,
        outbox: Outbox,
        inbox: Path,
        queue: JobQueue,
        stop: StopRequest,
        stage_pause: Backoff,
        wake: threading.Event,
        prefetch: int,
        is_draining: bool,
        clock: Callable[[], float],
        on_round: Callable[[], None],
        on_beat: Callable[[], None],
    ) -> None:
        """`wake` is set when there is something new in the inbox; `stage_pause` keeps from claiming."""
        self._intake, self._spool, self._books, self._outbox, self._inbox = intake, spool, books, outbox, inbox
        self._queue, self._stop, self._stage_pause, self._wake = queue, stop, stage_pause, wake
        self._prefetch, self._is_draining, self._clock = prefetch, is_draining, clock
        self._on_round, self._on_beat = on_round, on_beat
        self.pause = Backoff()
        """After the inbox or the spool failed."""
        self.error: BaseException | None = None
        """What ended the thread."""
        self.last_look = float("-inf")
        """When everything went well."""
        self.is_settling = True
        """Whether more may come in this drain; false only once what came is in the queue."""
        self._last_beat = float("-inf")
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Look from another thread from now on."""
        self._threads = [threading.Thread(target=self._look_forever, name="look", daemon=True)]
        if self._spool.worker.is_shared:  # not by the thread that looks, since that may take longer than the lease
            self._threads.append(threading.Thread(target=self._beat_forever, name="beat", daemon=True))
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Look no more."""
        self._end.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    def _look_forever(self) -> None:
        try:
            while not self._end.is_set():
                self.look()
                paused = self.pause.lasts(self._clock())
                seconds = LONGEST_WAIT_SECONDS if paused else self._intake.seconds_until_next()
                self._wake.wait(min(max(seconds, 0.01), LONGEST_WAIT_SECONDS))
                self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - told by the other thread, which ends the process
            self.error = error
        self._queue.woken.set()

    def _beat_forever(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                self._spool.worker.beat()
            except (OSError, EvictedError) as error:
                logger.debug("%s", error)  # the other thread meets it, too

    def look(self) -> None:
        """One round: look, claim, show that this worker lives.

        Raises:
            EvictedError: other workers took this one for dead.
            StorageError: inbox or spool failed, when draining; else it is tried again later.
        """
        now = self._clock()
        if self._stop.rescan:
            self._stop.rescan = False
            self._intake.look_again()
        if self.pause.lasts(now):
            return
        try:
            self._round(now)
        except (OSError, MachineError) as error:
            self._last_beat = float("-inf")  # something may have been left half-way
            storage = self._explain(error) if isinstance(error, OSError) else error
            if self._is_draining:
                raise storage from error
            self.pause.begin(str(storage), now)
        else:
            self.pause.end()
            self.last_look = now
        self._on_round()

    def _round(self, now: float) -> None:
        if now - self._last_beat >= BEAT_SECONDS:
            self._last_beat = now
            self._spool.worker.beat()
            self.take_over()
            self._on_beat()
        may_claim = self._stop.requested is None and not self._end.is_set() and not self._stage_pause.lasts(now)
        for claimed in self._intake.round(self._queue.room(self._prefetch) if may_claim else 0):
            self._queue.put(OpenJob(claimed, now))
        self.is_settling = self._intake.is_settling

    def _explain(self, error: OSError) -> StorageError:
        """The same words each time: a job's folder has another name at each try."""
        where = Path(str(error.filename or self._inbox))
        root = self._spool.root
        return as_storage_error(OSError(error.errno, error.strerror), root if where.is_relative_to(root) else where)

    def take_over(self) -> None:
        """Jobs that dead workers left, and those of this one that an error of the disk cut off half-way."""
        self._spool.worker.take_over(self._outbox.clear_temporary)
        unknown = [job for job in self._spool.jobs() if not self._books.knows(job)]
        found = [job for job in unknown if self._spool.holds(job)]  # else it has just been finished
        for job in found:
            self._intake.adopt(job)
        if found:
            logger.warning("Going on with %d jobs that were left half-way.", len(found))
