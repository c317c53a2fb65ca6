"""Painting on one device: batches of loaded pairs to pixels."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pipeline.stage.device.devices import device_errors
from pipeline.stage.device.memory import MemoryDemand
from pipeline.stage.device.system_memory import is_out_of_memory
from pipeline.stage.engine_config import objective_spec
from pipeline.stage.paint.batch_run import BatchRun
from pipeline.stage.paint.checkpoint import Checkpoint
from pipeline.stage.paint.pair_progress import PairProgress
from pipeline.stage.paint.preview import Preview
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.objective import Objective
from pipeline.transfer.targets import MomentsCache, Painting, Targets
from pipeline.transfer.vgg import Chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.errors import ImpastoError
    from pipeline.outbox.working_files import CheckpointFiles, Previews
    from pipeline.settings.pair_settings import PairSettings
    from pipeline.stage.device.memory import Memory
    from pipeline.stage.listener import Listener
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painted import Painted
    from pipeline.stage.task import Task
    from pipeline.transfer.vgg import Padding, Pooling, Vgg19

_EVALUATIONS_TO_MEASURE: Final = 3
"""Number of evaluations over which the time of one is averaged, for a single image."""


@dataclass(frozen=True)
class ProgressFiles:
    """Files about pairs on the device, and the intervals between their writes."""

    checkpoints: CheckpointFiles | None = None
    """Checkpoints of all pairs; None: no checkpoint is read or written."""
    checkpoint_seconds: float = math.inf
    """Seconds between two checkpoints of a pair."""
    previews: Previews | None = None
    """Previews of all pairs; None: no preview is written."""
    preview_seconds: float = 0.0
    """Seconds between two previews of a pair; 0: no preview is written."""
    on_checkpoint: Callable[[Task], None] = lambda _: None
    """Function that the device's thread calls after it has written a checkpoint of a task."""


class Painter:
    """Owns the network on a device, its caches and its memory. Only one thread at a time uses it."""

    def __init__(  # noqa: PLR0913 - the parts of a painter
        self,
        *,
        network: Vgg19,
        device: torch.device,
        precision: torch.dtype,
        memory: Memory,
        listener: Listener,
        files: ProgressFiles | None = None,
    ) -> None:
        self._network, self.device, self.precision, self.memory = network, device, precision, memory
        self._listener, self._files = listener, files or ProgressFiles()
        self._chains: dict[tuple[Pooling, Padding], tuple[Chain, MomentsCache]] = {}

    def demand_of(self, loading: Loading) -> MemoryDemand:
        """Return the memory demand of a pair."""
        loaded = loading.loaded
        return MemoryDemand.of(
            loading.task.pair.settings,
            loaded.width,
            loaded.height,
            self.precision,
            self.device,
            masked=loaded.mask is not None,
            follows=loaded.motion is not None,
            paintings=tuple((each.image.shape[3], each.image.shape[2]) for each in loaded.paintings),
        )

    def paint(
        self, batch: Sequence[Loading], evaluations: tuple[int, ...]
    ) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        """Stylise pairs of one size and equal settings together; yield each pair as soon as it is done.

        Args:
            batch: the pairs.
            evaluations: evaluations at each scale, coarse to fine; a pair that continues from a checkpoint keeps the
                evaluations that were planned for it.

        Raises:
            DeviceError: the device failed and cannot be used until the process ends.
            Interrupted: the listener asked to stop; the pairs have checkpoints.
        """
        for loading in batch:
            self._listener.pair_started(loading.task.pair)
        pairs = [self._progress(loading, evaluations, len(batch)) for loading in batch]
        run = BatchRun(
            pairs,
            self.device,
            chain_for=self.chain,
            memory=self.memory,
            demand=self.demand_of(batch[0]),
            listener=self._listener,
            on_checkpoint=self._files.on_checkpoint,
        )
        try:
            with device_errors(self.device, batch[0].task.pair.name):
                yield from run.run()
        finally:
            for pair in pairs:
                pair.preview.remove()

    def _progress(self, loading: Loading, evaluations: tuple[int, ...], batch: int) -> PairProgress:
        files = self._files
        # The pixels would differ if a pair were continued in another precision.
        identity = {"precision": str(self.precision), "device": self.device.type}
        checkpoint = Checkpoint(files.checkpoints, loading.key, identity, files.checkpoint_seconds, batch=batch)
        preview = Preview(files.previews, files.preview_seconds, loading, batch=batch)
        return PairProgress(loading, checkpoint, preview, evaluations)

    def chain(self, settings: PairSettings) -> tuple[Chain, MomentsCache]:
        """Return the network for these settings, and the moments of paintings computed with it so far."""
        pooling, padding = settings.objective.pooling, settings.objective.padding
        if (pooling, padding) not in self._chains:
            chain = Chain(self._network, self.device, self.precision, pooling=pooling, padding=padding)
            self._chains[pooling, padding] = chain, MomentsCache()
        return self._chains[pooling, padding]

    @torch.no_grad()
    def seconds_per_image(self, loading: Loading, images: int) -> float:
        """Measure an evaluation of `images` pairs like this one together.

        Returns:
            Seconds of an evaluation for each image; infinite if they do not fit into memory.

        Raises:
            DeviceError: the device failed and cannot be used until the process ends.
        """
        try:
            with device_errors(self.device, loading.task.pair.name):
                return self._seconds_per_image(loading, images)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self.memory.release()  # outside of the handler, whose traceback would keep the memory
        return math.inf

    def _seconds_per_image(self, loading: Loading, images: int) -> float:
        settings, device = loading.task.pair.settings, self.device
        (chain, _), spec = self.chain(settings), objective_spec(settings.objective)
        content, mask = loading.loaded.content.to(device), loading.loaded.mask
        mask = mask.to(device) if mask is not None else None
        targets = Targets.of(chain, spec, content, [Painting(content)], mask=mask)
        image = content.repeat(images, 1, 1, 1)
        evaluate, _ = capture(Objective(chain, spec, Targets.stack([targets] * images)), image)
        evaluate(image)[0].cpu()  # waits for the device
        begin = time.perf_counter()
        evaluations = max(1, _EVALUATIONS_TO_MEASURE // images)
        for _ in range(evaluations):
            terms, _ = evaluate(image)
        terms.cpu()  # waits for the device
        return (time.perf_counter() - begin) / evaluations / images
