"""The order in which pairs go to the device, and the pairs that go together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pipeline.stage.device.memory import LARGE_PAINTING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from pipeline.stage.load.loaded_pair import LoadedPair
    from pipeline.stage.load.loader import Loading

MAX_BATCH: Final = 16
"""Largest number of pairs in a batch."""
WORTHWHILE_GAIN: Final = 0.05
"""Smallest share of the time per image that a batch must save."""


class QueuedPair:
    """A pair that waits for the device."""

    def __init__(self, loading: Loading | None = None) -> None:
        self.loading = loading
        """The loaded pair; None until it is loaded."""
        self.overtaken = 0
        """Number of later pairs that the device began before this one."""


def batch_key(loading: Loading) -> Hashable:
    """Return the key of the pairs that can be in one batch: they have one size, equal settings and evaluations."""
    loaded = loading.loaded
    sizes = loaded.width, loaded.height, len(loaded.paintings), loading.task.pair.settings.style.scale
    effort = loading.task.pair.settings.sequence.effort if loaded.motion is not None else None
    steps = effort, loaded.fills
    return loading.task.evaluations, *sizes, *steps, _large_paintings(loaded), *kind_key(loading)


def _large_paintings(loaded: LoadedPair) -> tuple[tuple[int, ...], ...]:
    """Return the sizes of paintings that take more memory than usual ones, since one pair speaks for its batch."""
    sizes = tuple(tuple(painting.image.shape[2:]) for painting in loaded.paintings)
    pixels = sum(height * width for height, width in sizes)
    return sizes if pixels > LARGE_PAINTING * loaded.width * loaded.height else ()


def kind_key(loading: Loading) -> tuple[Hashable, ...]:
    """Return the key of the pairs for which the same size of batch is best: of similar sizes, and equal settings."""
    settings, loaded = loading.task.pair.settings, loading.loaded
    parts = settings.objective, settings.pyramid, settings.optimiser
    magnitude = (loaded.width * loaded.height).bit_length()
    return magnitude, loaded.mask is not None, *(part.model_dump_json() for part in parts)


def has_mate(queue: Sequence[QueuedPair], loading: Loading) -> bool:
    """Whether a further loaded pair can be in one batch with this one, so that a size of batch is worth measuring."""
    key = batch_key(loading)
    others = (each.loading for each in queue if each.loading is not None)
    return any(each.optimisation != loading.optimisation and batch_key(each) == key for each in others)


def next_of(queue: Sequence[QueuedPair], max_reorder: int) -> QueuedPair | None:
    """Return the pair that the device begins next: the first that is loaded.

    Args:
        queue: the pairs, in the order of the tasks.
        max_reorder: number of times that a pair may be overtaken before the device waits for it.

    Returns:
        None if no pair is loaded, or if the device waits for one.
    """
    head = next((each for each in queue if each.loading is not None or each.overtaken >= max_reorder), None)
    return head if head is not None and head.loading is not None else None


def pick(queue: Sequence[QueuedPair], size: int, max_reorder: int) -> list[QueuedPair]:
    """Return the next batch: `next_of` the queue, and later pairs that can go with it, pairs of its style first.

    If one optimisation serves several pairs, the batch has only one of them. The overtaken pairs are counted; none is
    overtaken more than `max_reorder` times.

    Args:
        queue: the pairs, in the order of the tasks.
        size: largest size of the batch.
        max_reorder: see above.

    Returns:
        An empty list if there is no next pair.
    """
    first = next_of(queue, max_reorder)
    if first is None or first.loading is None:
        return []
    batch, key = [first], batch_key(first.loading)
    style = first.loading.loaded.inputs.style.sha256
    index = queue.index(first)
    for other in queue[:index]:  # not loaded yet: the device does not wait for them
        other.overtaken += 1
    optimisations = {first.loading.optimisation}
    candidates = [
        (each.loading.loaded.inputs.style.sha256 != style, each)
        for each in queue[index + 1 :]
        if each.loading is not None and batch_key(each.loading) == key
    ]
    for _, each in sorted(candidates, key=lambda candidate: candidate[0]):
        if len(batch) >= size:
            break
        if each.loading is None or each.loading.optimisation in optimisations:
            continue  # it takes its result from the cache later
        passed = [other for other in queue[: queue.index(each)] if other not in batch]
        if all(other.overtaken < max_reorder for other in passed):
            for other in passed:
                other.overtaken += 1
            batch.append(each)
            optimisations.add(each.loading.optimisation)
    return batch


def best_size(seconds_per_image: Callable[[int], float], largest: int) -> int:
    """Return the best size of batches: the largest for which memory suffices, if it makes an image cheaper; else 1.

    Only the largest size and a single image are measured, since sizes in between would take longer to measure than they
    could save.

    Args:
        seconds_per_image: measures an evaluation of a batch of this size; infinite if memory runs out.
        largest: largest size that is expected to fit into memory.
    """
    size, seconds = largest, math.inf
    while size > 1 and math.isinf(seconds := seconds_per_image(size)):
        size //= 2
    return size if size > 1 and seconds < (1 - WORTHWHILE_GAIN) * seconds_per_image(1) else 1


def largest_size(fits: Callable[[int], bool]) -> int:
    """Return the largest size of batches that fits into memory: a power of two up to `MAX_BATCH`."""
    size = 1
    while 2 * size <= MAX_BATCH and fits(2 * size):
        size *= 2
    return size
