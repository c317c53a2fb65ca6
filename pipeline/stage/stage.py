"""The one shared stage: it owns the device, and every pair goes through it.

Threads load, one thread has the device, threads save; the calling thread hands out tasks and takes back outcomes, and
is the only one that touches what belongs to its caller. So the device waits for nothing, while what is loaded and not
yet saved is bounded by pixels and by number: a slow disk slows the device in the end, and fills no memory.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from pipeline.errors import StorageError
from pipeline.stage.batching import best_size, size_key
from pipeline.stage.device.devices import describe_device, find_device, find_precision, open_card
from pipeline.stage.device.memory import Memory
from pipeline.stage.executor import Executor
from pipeline.stage.load.loader import Loader, Loading
from pipeline.stage.paint.painter import Painter
from pipeline.stage.paint.result_cache import ResultCache
from pipeline.stage.resources import AHEAD, Limits, _StoppableListener
from pipeline.stage.save.rendering_record import Maker
from pipeline.stage.save.saver import Saver
from pipeline.stage.summary import Usage
from pipeline.transfer.tiling import WHOLE
from pipeline.transfer.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable

    import torch

    from pipeline.outbox.publish import Outbox
    from pipeline.settings.all_settings import Settings
    from pipeline.stage.listener import Listener
    from pipeline.stage.task import Outcome, Task
    from pipeline.transfer.vgg import Vgg19
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)


class Stage:
    """Renders pairs on one device and publishes the results."""

    def __init__(  # noqa: PLR0913 - what it owns
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
        self.limits = limits or Limits()
        self.listener = _StoppableListener(listener)
        self.painter = Painter(
            network=network,
            device=device,
            precision=precision,
            memory=Memory(device, self.limits.memory_bytes),
            checkpoints=outbox.checkpoints,
            checkpoint_seconds=self.limits.checkpoint_seconds,
            previews=outbox.previews,
            preview_seconds=self.limits.preview_seconds,
            on_checkpoint=self._count_anew,
            listener=self.listener,
        )
        self.loader = Loader(weights.sha256, self.limits.images, pin=device.type == "cuda")
        self.saver = Saver(outbox, Maker(weights, describe_device(device), str(precision).removeprefix("torch.")))
        self.shared = ResultCache()
        self.usage = Usage()
        """Of all that was processed."""
        self._batch_sizes: dict[Hashable, int] = {}

    @classmethod
    def of(cls, settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener) -> Stage:
        """The stage that settings ask for, with its network loaded.

        Raises:
            MachineError: there is no such device, or the weights cannot be had.
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
                checkpoint_seconds=settings.run.checkpoint_seconds,
                preview_seconds=settings.run.preview_seconds,
            ),
        )

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """Render the tasks; what failed is reported and the others go on. Outcomes come in the order of their ends.

        Args:
            tasks: None says that there is no next one for the moment; they are asked again soon.

        Raises:
            MachineError: the machine cannot go on; what was finished is published, the rest is untouched.
            Interrupted: the listener asked to stop; likewise, and where the pair in work is is on disk.
        """
        with contextlib.suppress(OSError):  # the next one will find it again
            self.saver.outbox.checkpoints.remove_old()
        yield from Executor(self).run(tasks)

    def _count_anew(self, task: Task) -> None:
        """A process that ends over a pair which comes further each time is not the pair's fault."""
        try:
            self.saver.outbox.marks.restart_count(task.pair.file_name, task.owner)
        except StorageError as error:  # then the attempts count as before
            logger.warning("%s", error)

    def close(self) -> None:
        """Nothing is kept that would not go by itself; a pool has processes to end."""

    @property
    def most_in_work(self) -> int:
        """Pairs at most, by the batches that were found worth it so far."""
        batch = self.limits.batch or max(self._batch_sizes.values(), default=1)
        return AHEAD if batch == 1 else AHEAD + batch + self.limits.max_reorder

    def batch_size(self, loading: Loading) -> int:
        """How many pairs like this one may be on the device together."""
        if self.limits.batch or self.painter.device.type == "cpu":
            return self.limits.batch or 1  # two cores are as busy with one image as with four
        key = size_key(loading)
        if key not in self._batch_sizes:
            work, memory = self.painter.work_of(loading), self.painter.memory
            self._batch_sizes[key] = best_size(
                lambda size: self.painter.seconds_per_image(loading, size),
                lambda size: memory.choose(work, size) == WHOLE,
            )
        return self._batch_sizes[key]
