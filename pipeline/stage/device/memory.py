"""The choice of a fit for a pair, by its memory, which is predicted before it starts and corrected by measurements.

A fit (`Fit`) is a way to compute with less memory and more time. The ladder lists the fits of a device, from the
fastest to the smallest; a rung is one of them. A pair begins on the first rung for which memory suffices, and goes down
when memory runs out.
"""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pipeline.images.resize import scaled_size
from pipeline.stage.device.system_memory import free_cuda_bytes, free_host_bytes, keeps_freed_memory, trim
from pipeline.stage.engine_config import objective_spec, scales_of
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
"""Ladder of the CPU, from the fastest fit to the smallest. Rungs that change nothing for a small image are skipped."""
ON_CUDA: Final = (
    WHOLE,
    Fit(recompute=True),
    Fit(tile=2048),
    Fit(tile=2048, host=True),
    Fit(tile=1024, host=True),
    Fit(tile=512, host=True),
    Fit(tile=512, host=True, history=5),
)
"""Ladder of a CUDA device, from the fastest fit to the smallest."""

SHARE_OF_FREE: Final = 0.9
"""Share of the free memory that a pair may take. The rest is for pairs that are loaded and saved, and for errors."""
SUSPICIOUS_SHARE: Final = 0.25
"""Smallest share of the free memory that a pair must need before a death of its process is put down to its memory."""
_IMAGES: Final = 8
"""Number of float32 images of full size during an evaluation: content, style, iterate, best, step, its gradient and two
more."""
_BYTES_OF_A_STEP: Final = 24
"""Bytes per px that L-BFGS remembers of a step: two float32 images."""
_IMAGES_OF_A_STEP: Final = 6
"""Number of float32 images that a step of L-BFGS takes temporarily, mostly for cosine transforms, when activations are
freed already."""
_BYTES_OF_A_MASK: Final = 6
"""Bytes per px of a mask: float32, at full size and halved up to four times."""
_BYTES_OF_A_MOTION: Final = 40
"""Bytes per px of the moved result before a frame, with its two weights: float32, by itself and in a batch."""
_FIXED_BYTES: Final = 24 << 20
"""Bytes for moments of features, work memory of convolutions, and leftovers."""
_HEAP_FACTOR: Final = 1.45
"""Factor for small images, whose freed memory the process keeps for the next images."""
_BYTES_OF_MOMENTS: Final = 32 << 20
"""Bytes for each image of a batch on a card, while moments of its features are summed in float32."""
_MATRICES: Final = 8
"""Number of float32 matrices of C × C for each layer and image of a batch on a card: moments, targets, and roots."""
LARGE_PAINTING: Final = 2
"""Pixels of paintings relative to the content's from which they take more memory than the evaluation itself."""
_CHANNELS_OF_THE_FIRST_BLOCK: Final = 64
_COUNTABLE: Final = 1 << 31
"""Number of values from which convolutions and poolings of CUDA's libraries have failed by illegal accesses."""
_REMEMBERED_SECONDS: Final = 3600.0
"""Seconds until a size that did not fit is tried again, since memory may be free by then."""
_MIN_LEARNING_BYTES: Final = 256 << 20
"""Smallest number of bytes that a pair must take before predictions are corrected by its measurement."""


@dataclass(frozen=True)
class MemoryDemand:
    """The properties of a pair that determine how much memory it takes."""

    width: int
    """Width of the finest scale, in px."""
    height: int
    """Height of the finest scale, in px."""
    layers: frozenset[str]
    """Layers of the objective."""
    content_layers: tuple[str, ...]
    """Layers of the content term."""
    value_bytes: int
    """Bytes of a value in the precision of the convolutions."""
    history: int
    """Largest number of steps that L-BFGS remembers."""
    on_cuda: bool = False
    """Whether the pair is painted on a CUDA device."""
    masked: bool = False
    """Whether the pair has a mask."""
    follows: bool = False
    """Whether the pair is a frame that follows another."""
    paintings: tuple[tuple[int, int], ...] = ()
    """Width and height of each painting beside the finest scale, in px; empty: one painting of the content's size."""

    @classmethod
    def of(  # noqa: PLR0913 - the properties that determine the memory
        cls,
        settings: PairSettings,
        width: int,
        height: int,
        precision: torch.dtype,
        device: torch.device,
        *,
        masked: bool = False,
        follows: bool = False,
        paintings: tuple[tuple[int, int], ...] = (),
    ) -> MemoryDemand:
        """Return the demand of a pair of this working size, in px.

        Args:
            settings: the settings of the pair.
            width: width of the content in px.
            height: height of the content in px.
            precision: type of the convolutions.
            device: the device.
            masked: whether the pair has a mask.
            follows: whether it is a frame that follows another.
            paintings: widths and heights of its paintings in px; empty: they are not known yet, and one painting with
                the content's proportions is assumed.
        """
        if not paintings and settings.style.scale != 1:
            paintings = (scaled_size(width, height, settings.style.scale),)
        spec, finest = objective_spec(settings.objective), scales_of(settings.pyramid, width, height)[-1]
        return cls(
            width,
            height,
            spec.layers,
            spec.content_layers,
            precision.itemsize,
            min(settings.optimiser.history, max(1, finest.evaluations - 1)),
            on_cuda=device.type == "cuda",
            masked=masked,
            follows=follows,
            paintings=paintings,
        )

    @property
    def is_usual(self) -> bool:
        """Whether the memory of the pair predicts that of other pairs of its size: its paintings are not large."""
        return self.painting_pixels <= LARGE_PAINTING * self.pixels

    @property
    def pixels(self) -> int:
        """Number of pixels of the finest scale."""
        return self.width * self.height

    @property
    def painting_pixels(self) -> int:
        """Number of pixels of all paintings."""
        return sum(width * height for width, height in self.paintings) if self.paintings else self.pixels

    def largest_tile(self, fit: Fit) -> int:
        """Number of pixels of the largest tile of content and paintings, with its margins."""
        content = tiles(self.height, self.width, fit.tile, gradient_margin(self.layers))
        margin = statistics_margin(self.layers)
        paintings = (tile for width, height in self.paintings for tile in tiles(height, width, fit.tile, margin))
        return max(tile.area for tile in (*content, *paintings))


def predict(demand: MemoryDemand, fit: Fit, images: int = 1) -> int:
    """Return the largest number of bytes that a batch takes on the device, beyond the network and the process.

    An evaluation holds the optimiser's images and the activations. Activations take most memory at the end of the
    forward pass. If the first two blocks are not kept, they take most in the backward pass through the first block:
    conv1_1, conv1_2, the gradient of one of them, and the pooled gradient.

    Args:
        demand: a pair.
        fit: how the pair is fitted into memory.
        images: number of pairs like this one in the batch.
    """
    area = max(tile.area for tile in tiles(demand.height, demand.width, fit.tile, gradient_margin(demand.layers)))
    depth = 1 + max(CONVOLUTIONS.index(convolution_of(layer)) for layer in demand.layers)
    per_layer = [channels_of(name) / 4 ** halvings_of(name) for name in CONVOLUTIONS[:depth]]
    kept = sum(per_layer)
    if fit.recompute:  # the inputs of the second and third block are kept in place of the first two blocks
        kept = sum(per_layer[4:]) + (64 / 4 if depth > 2 else 0) + (128 / 16 if depth > 4 else 0)  # noqa: PLR2004
    first_block = 3 * 64 + 64 / 4
    at_once = images if demand.on_cuda else 1  # a CPU takes one image after the other
    activations = max(kept, first_block) * demand.value_bytes * area * at_once
    step = 12 * _IMAGES_OF_A_STEP * demand.pixels * images
    history = 0 if fit.host else min(demand.history, fit.history or demand.history)
    content = sum(channels_of(layer) / 4 ** halvings_of(layer) for layer in demand.content_layers) * demand.value_bytes
    standing = (12 * _IMAGES + _BYTES_OF_A_STEP * history + content) * demand.pixels * images
    if demand.masked:
        standing += _BYTES_OF_A_MASK * demand.pixels * images
        activations += 12 * demand.pixels * at_once  # the composite
    if demand.follows:
        standing += _BYTES_OF_A_MOTION * demand.pixels * images
        activations += 24 * demand.pixels * at_once  # the composite, and the difference to the frame before
    standing += 12 * max(0, demand.painting_pixels - demand.pixels) * images
    # Two layers of the first block are held at once for a painting.
    activations = max(activations, 2 * 64 * demand.value_bytes * demand.largest_tile(fit))
    if demand.on_cuda:
        squares = sum(channels_of(layer) ** 2 for layer in demand.layers)
        standing += images * (_BYTES_OF_MOMENTS + 4 * _MATRICES * squares)
    is_on_heap = not demand.on_cuda and keeps_freed_memory(demand.pixels, fit)
    return int(_FIXED_BYTES + (standing + max(activations, step)) * (_HEAP_FACTOR if is_on_heap else 1))


def is_countable(demand: MemoryDemand, fit: Fit, images: int = 1) -> bool:
    """Whether no tensor has more values than CUDA's libraries count, which is safe in 32 bits."""
    return not demand.on_cuda or _CHANNELS_OF_THE_FIRST_BLOCK * demand.largest_tile(fit) * images < _COUNTABLE


def _history_bytes(demand: MemoryDemand, fit: Fit) -> int:
    """Return the number of bytes of the steps that L-BFGS remembers of an image."""
    return _BYTES_OF_A_STEP * min(demand.history, fit.history or demand.history) * demand.pixels


class Memory:
    """Decides how pairs are fitted into the memory of one device, and remembers failures. Only one thread uses it."""

    def __init__(
        self,
        device: torch.device,
        limit_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        processes: int = 1,
    ) -> None:
        """Begin without measurements.

        Args:
            device: the device.
            limit_bytes: largest number of bytes for a batch; None: all that are free.
            clock: returns the time in seconds.
            processes: number of processes, each with a device, that share the host's memory.
        """
        self._device, self._limit, self._clock, self._processes = device, limit_bytes, clock, processes
        self.ladder: Sequence[Fit] = ON_CUDA if device.type == "cuda" else ON_CPU
        self._failed: dict[Fit, tuple[int, float]] = {}
        """Smallest number of pixels of a batch that did not fit, and the time of the last failure, by fit."""
        self._corrections: dict[Fit, float] = {}
        """Measured memory relative to predicted memory, by fit."""

    def rungs(self, demand: MemoryDemand) -> list[Fit]:
        """Return the ladder without the fits that change nothing at this size."""
        longest = max(demand.width, demand.height, *(side for size in demand.paintings for side in size))
        return [fit for fit in self.ladder if fit.tile is None or fit.tile < longest or fit.host or fit.history]

    def predict(self, demand: MemoryDemand, fit: Fit, images: int = 1) -> int:
        """Return the prediction of `predict`, corrected by earlier measurements."""
        return int(predict(demand, fit, images) * self._corrections.get(fit, 1.0))

    def choose(self, demand: MemoryDemand, images: int = 1, at_least: int = 0) -> Fit | None:
        """Return the fastest fit for which memory suffices, or None.

        Args:
            demand: a pair.
            images: number of pairs like this one in the batch.
            at_least: number of rungs that are skipped in any case.
        """
        rungs, free = self.rungs(demand), self.free_bytes()
        for fit in rungs[min(at_least, len(rungs) - 1) :]:
            may_fit = fit == rungs[-1] or not self._has_failed(fit, demand.pixels * images)
            is_possible = is_countable(demand, fit, images) and self._host_has_room(demand, fit, images)
            if may_fit and is_possible and self.predict(demand, fit, images) <= free:
                return fit
        return None

    def _host_has_room(self, demand: MemoryDemand, fit: Fit, images: int) -> bool:
        return not fit.host or _history_bytes(demand, fit) * images <= self._host_bytes()

    def _host_bytes(self) -> int:
        """Return the number of bytes of the host that this process may take for histories of pairs on its card."""
        return int(SHARE_OF_FREE * free_host_bytes() / self._processes)

    def shortage(self, demand: MemoryDemand) -> str:
        """Return in words how much memory a pair needs with the smallest fit, and how much is available."""
        least = self.rungs(demand)[-1]
        needed, free, where = self.predict(demand, least), self.free_bytes(), ""
        if needed <= free and not self._host_has_room(demand, least, 1):
            needed, free, where = _history_bytes(demand, least), self._host_bytes(), " of the host's memory"
        return f"{needed / 2**30:.1f} GiB{where} are needed at least, {free / 2**30:.1f} GiB are available"

    def _has_failed(self, fit: Fit, pixels: int) -> bool:
        fewest, when = self._failed.get(fit, (math.inf, 0.0))
        return pixels >= fewest and self._clock() - when < _REMEMBERED_SECONDS

    def rungs_down(self, demand: MemoryDemand, deaths: int) -> int:
        """Return how many rungs to go down for a pair during which processes died; 0 if memory was hardly the cause."""
        is_large = self.predict(demand, self.ladder[0]) >= SUSPICIOUS_SHARE * self.free_bytes()
        return deaths if is_large else 0

    def below(self, demand: MemoryDemand, fit: Fit, images: int = 1) -> Fit | None:
        """Remember that a batch ran out of memory with this fit; return the next fit, or None if it was the last."""
        fewest, _ = self._failed.get(fit, (math.inf, 0.0))
        if demand.is_usual:
            self._failed[fit] = int(min(demand.pixels * images, fewest)), self._clock()
        rungs = self.rungs(demand)
        index = rungs.index(fit) + 1
        return rungs[index] if index < len(rungs) else None

    def learn(self, demand: MemoryDemand, fit: Fit, images: int, measured: int | None) -> None:
        """Correct predictions by the measured bytes of a batch; None: they could not be measured."""
        predicted = predict(demand, fit, images)
        if demand.is_usual and measured is not None and min(predicted, measured) >= _MIN_LEARNING_BYTES:
            self._corrections[fit] = min(1.5, max(0.8, measured / predicted))

    def free_bytes(self) -> int:
        """Return the number of bytes that a batch may take now."""
        free = free_cuda_bytes(self._device) if self._device.type == "cuda" else free_host_bytes()
        free = int(SHARE_OF_FREE * free)
        return free if self._limit is None else min(free, self._limit)

    def release(self) -> None:
        """Release memory that is cached and not in use to the device and to the system.

        Pictures in a cycle of references, such as an error and its traceback, count as in use until they are collected.
        """
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        trim()
