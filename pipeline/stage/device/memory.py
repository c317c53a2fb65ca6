"""What fits into the device's memory: predicted before a pair starts, corrected by what was measured."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pipeline.stage.device.system_memory import free_cuda_bytes, free_host_bytes, keeps_freed_memory, trim
from pipeline.stage.engine_config import objective_spec
from pipeline.transfer.tiling import WHOLE, Fit, gradient_margin, statistics_margin, tiles
from pipeline.transfer.vgg import CONVOLUTIONS, channels_of, convolution_of, halvings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.settings.pair_settings import PairSettings

ON_CPU: Final = (
    WHOLE,
    Fit(recompute=True),
    Fit(tile=2048),
    Fit(tile=1024),
    Fit(tile=512),
    Fit(tile=512, history=5),
)
"""From quick to small. On small images several are the same; those are passed over."""
ON_CUDA: Final = (
    WHOLE,
    Fit(recompute=True),
    Fit(tile=2048),
    Fit(tile=2048, host=True),
    Fit(tile=1024, host=True),
    Fit(tile=512, host=True),
    Fit(tile=512, host=True, history=5),
)

SHARE_OF_FREE: Final = 0.9
"""Of what is free that a pair may take; the rest is for those that are loaded and saved meanwhile, and for errors."""
SUSPICIOUS_SHARE: Final = 0.25
"""Of what is free that a pair should need before memory is suspected of having ended a process."""
_IMAGES: Final = 8
"""Float32 images of full size during an evaluation: content, style, iterate, best, step, its gradient and two more."""
_BYTES_OF_A_STEP: Final = 24
"""Per px, that L-BFGS remembers of a step: two float32 images."""
_IMAGES_OF_A_STEP: Final = 6
"""Float32 images that a step of L-BFGS takes for a while, mostly for cosine transforms, when activations are gone."""
_BYTES_OF_A_MASK: Final = 6
"""Per px: float32, at full size and halved up to four times."""
_FIXED_BYTES: Final = 24 << 20
"""Gram matrices, what convolutions take for themselves, and leftovers."""
_HEAP: Final = 1.45
"""How many times as much small images take, since what they free stays with the process for the next."""
_REMEMBERED_SECONDS: Final = 3600.0
"""That a size is known not to fit: what took the memory may be gone by then."""
_ENOUGH_TO_LEARN_FROM: Final = 256 << 20
"""Bytes that a pair should take before a prediction is corrected by it."""


@dataclass(frozen=True)
class MemoryDemand:
    """What decides how much memory a pair takes."""

    width: int
    height: int
    layers: frozenset[str]
    """That are compared."""
    content_layers: tuple[str, ...]
    value_bytes: int
    """Of the precision of the convolutions."""
    history: int
    """Steps that L-BFGS remembers at most."""
    on_cuda: bool = False
    masked: bool = False
    scale: float = 1.0
    """Of the paintings' sides by the content's."""
    paintings: int = 1

    @classmethod
    def of(  # noqa: PLR0913 - what decides it
        cls,
        settings: PairSettings,
        width: int,
        height: int,
        precision: torch.dtype,
        device: torch.device,
        *,
        masked: bool = False,
        paintings: int = 1,
    ) -> MemoryDemand:
        """That of a pair of this working size."""
        spec = objective_spec(settings.objective)
        return cls(
            width,
            height,
            spec.layers,
            spec.content_layers,
            precision.itemsize,
            min(settings.optimiser.history, max(1, settings.pyramid.planned[-1] - 1)),
            on_cuda=device.type == "cuda",
            masked=masked,
            scale=settings.style.scale,
            paintings=paintings,
        )

    @property
    def is_usual(self) -> bool:
        """Whether what it takes says something of others of its size."""
        return self.scale <= 1 and self.paintings == 1

    @property
    def pixels(self) -> int:
        """Of the finest scale."""
        return self.width * self.height


def predict(work: MemoryDemand, fit: Fit, images: int = 1) -> int:
    """Bytes that a batch takes on the device at its height, beyond the network and the process.

    An evaluation holds the optimiser's images and its activations. The activations are at their height at the end of
    the way forth, or, where the two first blocks are not kept, on the way back through the first: conv1_1, conv1_2 and
    the gradient of one of them, with the pooled gradient.
    """
    most = max(tile.area for tile in tiles(work.height, work.width, fit.tile, gradient_margin(work.layers)))
    depth = 1 + max(CONVOLUTIONS.index(convolution_of(layer)) for layer in work.layers)
    per_layer = [channels_of(name) / 4 ** halvings_of(name) for name in CONVOLUTIONS[:depth]]
    kept = sum(per_layer)
    if fit.recompute:  # the inputs of the second and third block are kept in place of the two first
        kept = sum(per_layer[4:]) + (64 / 4 if depth > 2 else 0) + (128 / 16 if depth > 4 else 0)  # noqa: PLR2004
    first_block = 3 * 64 + 64 / 4
    at_once = images if work.on_cuda else 1  # a CPU takes one image after the other
    activations = max(kept, first_block) * work.value_bytes * most * at_once
    step = 12 * _IMAGES_OF_A_STEP * work.pixels * images
    history = 0 if fit.host else min(work.history, fit.history or work.history)
    content = sum(channels_of(layer) / 4 ** halvings_of(layer) for layer in work.content_layers) * work.value_bytes
    standing = (12 * _IMAGES + _BYTES_OF_A_STEP * history + content) * work.pixels * images
    if work.masked:
        standing += _BYTES_OF_A_MASK * work.pixels * images
        activations += 12 * work.pixels * at_once  # the composite
    if work.scale > 1 or work.paintings > 1:
        width, height = round(work.width * work.scale), round(work.height * work.scale)
        largest = max(tile.area for tile in tiles(height, width, fit.tile, statistics_margin(work.layers)))
        standing += 12 * (work.paintings * width * height - work.pixels) * images
        activations = max(activations, 2 * 64 * work.value_bytes * largest)  # two layers of the first block at once
    is_on_heap = not work.on_cuda and keeps_freed_memory(work.pixels, fit)
    return int(_FIXED_BYTES + (standing + max(activations, step)) * (_HEAP if is_on_heap else 1))


class Memory:
    """Decides how pairs are fitted into the memory of one device, and remembers what did not fit."""

    def __init__(
        self,
        device: torch.device,
        limit_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With at most so many bytes for a pair; None: as much as is free."""
        self._device, self._limit, self._clock = device, limit_bytes, clock
        self.ladder: Sequence[Fit] = ON_CUDA if device.type == "cuda" else ON_CPU
        self._failed: dict[Fit, tuple[int, float]] = {}
        """Pixels of a batch that did not fit, by fit: the fewest, and when."""
        self._corrections: dict[Fit, float] = {}

    def rungs(self, work: MemoryDemand) -> list[Fit]:
        """The ladder without what would change nothing at this size."""
        longest = max(work.width, work.height) * max(1.0, work.scale)
        return [fit for fit in self.ladder if fit.tile is None or fit.tile < longest or fit.host or fit.history]

    def predict(self, work: MemoryDemand, fit: Fit, images: int = 1) -> int:
        """See `predict`, with what was learnt from earlier pairs."""
        return int(predict(work, fit, images) * self._corrections.get(fit, 1.0))

    def choose(self, work: MemoryDemand, images: int = 1, at_least: int = 0) -> Fit | None:
        """The quickest fit that has room, or None.

        Args:
            work: the pair.
            images: of a batch.
            at_least: rungs to go down in any case.
        """
        rungs, free = self.rungs(work), self.free_bytes()
        for fit in rungs[min(at_least, len(rungs) - 1) :]:
            may_fit = fit == rungs[-1] or not self._has_failed(fit, work.pixels * images)
            if may_fit and self.predict(work, fit, images) <= free and self._host_has_room(work, fit, images):
                return fit
        return None

    def _host_has_room(self, work: MemoryDemand, fit: Fit, images: int) -> bool:
        if not fit.host:
            return True
        history = _BYTES_OF_A_STEP * min(work.history, fit.history or work.history) * work.pixels * images
        return history <= SHARE_OF_FREE * free_host_bytes()

    def _has_failed(self, fit: Fit, pixels: int) -> bool:
        fewest, when = self._failed.get(fit, (math.inf, 0.0))
        return pixels >= fewest and self._clock() - when < _REMEMBERED_SECONDS

    def rungs_down(self, work: MemoryDemand, deaths: int) -> int:
        """How far to go down for a pair over which so many processes ended; 0 if memory was hardly the reason."""
        is_large = self.predict(work, self.ladder[0]) >= SUSPICIOUS_SHARE * self.free_bytes()
        return deaths if is_large else 0

    def below(self, work: MemoryDemand, fit: Fit, images: int = 1) -> Fit | None:
        """The next fit after one that did not fit; that is remembered."""
        fewest, _ = self._failed.get(fit, (math.inf, 0.0))
        if work.is_usual:
            self._failed[fit] = int(min(work.pixels * images, fewest)), self._clock()
        rungs = self.rungs(work)
        place = rungs.index(fit) + 1
        return rungs[place] if place < len(rungs) else None

    def learn(self, work: MemoryDemand, fit: Fit, images: int, measured: int | None) -> None:
        """Correct predictions by what a batch took."""
        predicted = predict(work, fit, images)
        if work.is_usual and measured is not None and min(predicted, measured) >= _ENOUGH_TO_LEARN_FROM:
            self._corrections[fit] = min(1.5, max(0.8, measured / predicted))

    def free_bytes(self) -> int:
        """What a pair may take now."""
        free = free_cuda_bytes(self._device) if self._device.type == "cuda" else free_host_bytes()
        free = int(SHARE_OF_FREE * free)
        return free if self._limit is None else min(free, self._limit)

    def give_back(self) -> None:
        """Let the device have what is cached and not in use."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        trim()
