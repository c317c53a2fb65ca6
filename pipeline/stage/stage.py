"""One device, with all parts that render pairs on it."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from pipeline.errors import StorageError
from pipeline.stage.device.devices import describe_device, find_device, find_precision, open_card
from pipeline.stage.device.memory import Memory
from pipeline.stage.executor import Executor
from pipeline.stage.load.loader import Loader
from pipeline.stage.paint.painter import Painter, ProgressFiles
from pipeline.stage.resources import Limits, Resources, StoppableListener
from pipeline.stage.save.rendering_record import Maker
from pipeline.stage.save.saver import Saver
from pipeline.transfer.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import torch

    from pipeline.outbox.publish import Outbox
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.listener import Listener
    from pipeline.stage.task import Outcome, Task
    from pipeline.transfer.vgg import Vgg19
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)


class Stage:
    """Renders pairs on one device and publishes the results. Only one thread uses it; `Executor` starts the others."""

    isolates = False
    """Whether a pair that must be alone gets a process of its own, beside which others go on."""
    seats = 1
    """Number of devices."""

    def __init__(  # noqa: PLR0913 - the parts of a stage
        self,
        *,
        network: Vgg19,
        weights: WeightsSource,
        device: torch.device,
        precision: torch.dtype,
        outbox: Outbox,
        listener: Listener,
        limits: Limits | None = None,
    ) -> None:
        limits, stoppable = limits or Limits(), StoppableListener(listener)
        self.resources = Resources(
            Loader(weights.sha256, limits.images, pin=device.type == "cuda", outbox=outbox),
            Painter(
                network=network,
                device=device,
                precision=precision,
                memory=Memory(device, limits.memory_bytes, processes=limits.processes),
                listener=stoppable,
                files=ProgressFiles(
                    outbox.checkpoints,
                    limits.checkpoint_seconds,
                    outbox.previews,
                    limits.preview_seconds,
                    partial(_restart_count, outbox),
                ),
            ),
            Saver(outbox, Maker(weights, describe_device(device), str(precision).removeprefix("torch."))),
            stoppable,
            limits,
        )
        self.usage = self.resources.usage
        """Times and memory of all pairs so far."""

    @classmethod
    def from_settings(
        cls, settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener, processes: int = 1
    ) -> Stage:
        """Return a stage on the first device of the settings, with its network loaded.

        Args:
            settings: all settings.
            weights: the network's weights.
            outbox: the outbox in which results are published.
            listener: receives the events of the device.
            processes: number of processes, each with a device, that share this machine.

        Raises:
            MachineError: there is no such device, or the weights cannot be loaded.
        """
        device = find_device(settings.run.device)
        open_card(device)
        return cls(
            network=load_weights(weights),
            weights=weights,
            device=device,
            precision=find_precision(settings.network.precision, device),
            outbox=outbox,
            listener=listener,
            limits=Limits(
                images=settings.image,
                batch=settings.run.batch,
                max_reorder=settings.run.max_reorder,
                memory_bytes=int(settings.run.memory_gb * 2**30) or None,
                processes=processes,
                checkpoint_seconds=settings.run.checkpoint_seconds,
                preview_seconds=settings.run.preview_seconds,
            ),
        )

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """Render tasks, and yield each outcome as soon as it is known. A pair that fails does not stop other pairs.

        Args:
            tasks: the tasks; None means that there is no next task at the moment, and the iterable is asked again soon.

        Raises:
            MachineError: the machine failed; finished pairs are published, and other pairs have no outcome.
            Interrupted: the listener asked to stop; finished pairs are published, and pairs on the device have
                checkpoints.
        """
        with contextlib.suppress(OSError):  # the next call tries it again
            self.resources.saver.outbox.checkpoints.remove_old()
        yield from Executor(self.resources).run(tasks)

    def close(self) -> None:
        """Do nothing; the method exists so that a `Stage` can be closed like a `StagePool`."""


def _restart_count(outbox: Outbox, task: Task) -> None:
    """Count the present attempt as the first, since the pair has a new checkpoint and so makes progress.

    Only attempts without progress count towards `run.max_attempts`.
    """
    try:
        outbox.marks.restart_count(task.pair.file_name, task.owner)
    except StorageError as error:  # the earlier attempts still count
        logger.warning("%s", error)
