"""Seats in processes of this machine, with a pipe to each."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import time
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final

from pipeline.errors import DeviceError
from pipeline.stage.pool.messages import SIGNALS
from pipeline.stage.pool.process import serve
from pipeline.stage.pool.seats import Gone, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from multiprocessing.connection import Connection

    from pipeline.stage.pool.messages import Assignment

logger = logging.getLogger(__name__)

END_SECONDS: Final = 30.0
"""Seconds after which a process that should end is killed."""

_SPAWN: Final = multiprocessing.get_context("spawn")  # CUDA does not survive a fork


class PipeSeat:
    """The process of one device."""

    def __init__(self, place: Place, assignment: Assignment) -> None:
        """Start the process.

        Raises:
            DeviceError: the process cannot be started.
        """
        self.place = place
        self.pipe, far_end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=serve, args=(far_end, assignment), name=place.label, daemon=True)
        try:
            with _signals_blocked():
                self.process.start()
        except OSError as error:
            raise DeviceError(
                f"{place.label}: no process can be started for it: {error.strerror}.",
                "Free memory, or raise the limit of processes.",
            ) from error
        finally:
            far_end.close()

    def send(self, message: object) -> None:
        """See `Seat`."""
        with contextlib.suppress(OSError):  # the process has died, which the next read from the pipe shows, too
            self.pipe.send(message)

    def kill(self) -> None:
        """See `Seat`."""
        self.process.kill()
        self.pipe.close()

    def dismiss(self) -> None:
        """See `Seat`; the process notices the end of the pipe."""
        self.pipe.close()

    def death(self) -> Gone:
        """Wait for the end of the process, whose pipe has ended, and say how it died."""
        self.process.join(END_SECONDS)
        code = self.process.exitcode
        cause = signal.strsignal(-code) if code is not None and code < 0 else None
        return Gone(cause or f"exit code {code}", blames_pair=True)


class PipeVenue:
    """The devices of this machine."""

    def __init__(self, devices: Sequence[str], assignment: Assignment) -> None:
        """Prepare, without starting a process.

        Args:
            devices: as in the setting `run.device`.
            assignment: the values for each process; `run.device` in its settings is replaced.
        """
        self._devices = {Place(number, device): device for number, device in enumerate(devices)}
        self._assignment = assignment
        self._started: list[PipeSeat] = []

    def places(self) -> list[Place]:
        """See `Venue`."""
        return list(self._devices)

    def start(self, place: Place) -> PipeSeat:
        """See `Venue`."""
        settings = self._assignment.settings
        run = settings.run.model_copy(update={"device": self._devices[place]})
        seat = PipeSeat(place, replace(self._assignment, settings=settings.model_copy(update={"run": run})))
        self._started = [each for each in self._started if each.process.is_alive()] + [seat]
        return seat

    def hear(self, seats: Collection[PipeSeat], seconds: float) -> Iterator[tuple[PipeSeat, object]]:
        """See `Venue`."""
        if not seats:
            time.sleep(seconds)
            return
        by_pipe: dict[object, PipeSeat] = {seat.pipe: seat for seat in seats}
        pipes: list[Connection] = [seat.pipe for seat in seats]
        for pipe in wait(pipes, seconds):
            seat = by_pipe[pipe]
            if seat.pipe.closed:  # the pool has ended it because of another message of this round
                continue
            try:
                message = seat.pipe.recv()
            except (EOFError, OSError):
                message = seat.death()
            yield seat, message

    def close(self) -> None:
        """See `Venue`."""
        for seat in self._started:
            seat.process.join(END_SECONDS)
            if seat.process.is_alive():
                seat.kill()
                seat.process.join(END_SECONDS)
            if seat.process.is_alive():
                logger.warning(
                    "%s: its process does not end; a file that it reads may be on a dead mount.", seat.place.label
                )


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals while the child starts, since a signal would kill it before it has installed its own handlers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # otherwise it would start now, and unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
