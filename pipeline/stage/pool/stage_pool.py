"""Several devices as one stage: those of this machine with a process for each, or those of a cluster.

The calling thread hands out tasks, calls fences and listener, and returns outcomes, as with a single stage. The seats
keep their networks and caches between two calls of `process`, until the pool is closed. A seat that is lost does not
end a call, see `pool_call`.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.stage.device.devices import find_devices
from pipeline.stage.pool.crew import Crew
from pipeline.stage.pool.handshake import facts_here
from pipeline.stage.pool.messages import USAGE_FIELDS, Assignment, report_seconds
from pipeline.stage.pool.pipe_venue import PipeVenue
from pipeline.stage.pool.pool_call import PoolCall
from pipeline.stage.pool.ray_venue import RayVenue
from pipeline.stage.stage import Stage
from pipeline.stage.summary import Usage
from pipeline.transfer.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pipeline.outbox.publish import Outbox
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.listener import Listener
    from pipeline.stage.pool.seats import Venue
    from pipeline.stage.task import Outcome, Task
    from pipeline.transfer.weights import WeightsSource


def make_stage(settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener) -> Stage | StagePool:
    """Return a stage for the device of the settings, or a pool if they name several; the caller closes it.

    Raises:
        MachineError: there is no such device, or the weights cannot be loaded.
    """
    if settings.run.cluster:
        # The processes of other machines have other working folders.
        of_all = replace(weights, path=weights.path.absolute())
        assignment, run = assignment_for(settings, of_all, outbox, 1), settings.run
        venue = RayVenue(run.cluster, assignment, run.device, run.cluster_accelerator)
        return StagePool(venue, settings, weights, outbox, listener)
    devices = [str(device) for device in find_devices(settings.run.device)]
    if len(devices) == 1:
        return Stage.from_settings(settings, weights, outbox, listener)
    load_weights(weights)  # now, so that the processes do not all download and decode them at the same time
    assignment = assignment_for(settings, weights, outbox, len(devices))
    return StagePool(PipeVenue(devices, assignment), settings, weights, outbox, listener)


def assignment_for(settings: Settings, weights: WeightsSource, outbox: Outbox, devices: int) -> Assignment:
    """Return the values for each process of a pool.

    Args:
        settings: all settings.
        weights: the network's weights.
        outbox: the outbox in which results are published.
        devices: number of devices that share one machine.
    """
    level = logging.getLogger().getEffectiveLevel()
    seconds = report_seconds(devices)
    return Assignment(settings, weights, outbox.root.absolute(), outbox.process, level, devices, report_seconds=seconds)


class StagePool:
    """Renders pairs on several devices and publishes the results, like a `Stage`. Only one thread uses it."""

    isolates = True

    def __init__(
        self,
        venue: Venue[Any],
        settings: Settings,
        weights: WeightsSource,
        outbox: Outbox,
        listener: Listener,
    ) -> None:
        """Start the seats; errors in them are raised by `process`.

        Args:
            venue: where the seats are; the pool closes it.
            settings: all settings.
            weights: the network's weights.
            outbox: the outbox in which results are published.
            listener: receives the events of the devices, in the thread that calls `process`.
        """
        facts = facts_here("", weights.sha256, None)
        self._crew = Crew(venue, facts, outbox.root, settings.run)
        self._listener, self._silence_seconds = listener, settings.run.silence_seconds
        self.usage = Usage()
        """Times and memory of all pairs so far."""
        self._numbers = itertools.count()
        atexit.register(self.close)  # before multiprocessing's handler waits for the processes
        try:
            self._crew.fill()
        except BaseException:
            self.close()
            raise

    @property
    def seats(self) -> int:
        """Number of devices that work now, or will soon."""
        return max(1, len(self._crew.workers))

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """Render tasks; see `Stage.process`.

        Args:
            tasks: the tasks; None means that there is no next task at the moment, and the iterable is asked again soon.

        Raises:
            MachineError: the machine failed; finished pairs are published, and other pairs have no outcome.
            DeviceError: no device works any more; finished pairs are published.
            Interrupted: the listener asked to stop; finished pairs are published, and pairs on the devices have
                checkpoints.
        """
        call = PoolCall(self._crew, self._listener, self._numbers, self.usage, self._silence_seconds)
        try:
            with contextlib.closing(call.run(tasks)) as outcomes:
                yield from outcomes
        finally:
            self._add_up()

    def close(self) -> None:
        """End the seats. The pool cannot be used afterwards."""
        atexit.unregister(self.close)
        self._crew.close()

    def _add_up(self) -> None:
        """Add up the usage of all seats, also of those that are gone."""
        parts = [usage for usage in (*self._crew.past_usage, *(each.usage for each in self._crew.workers)) if usage]
        self.usage.devices = max(1, self._crew.most)
        for name in USAGE_FIELDS if parts else ():
            known = [part[name] for part in parts if part[name] is not None]
            add = max if name == "peak_memory_bytes" else sum
            setattr(self.usage, name, add(known) if known else None)
