"""The order in which pairs go to the device, and the pairs that go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from pipeline.stage.load.loader import Loading

MAX_BATCH: Final = 16
"""Largest number of pairs in a batch."""
WORTHWHILE_GAIN: Final = 0.05
"""Smallest share of the time per image that a batch of twice the size must save."""


class QueuedPair:
    """A pair that waits for the device."""

    def __init__(self, loading: Loading | None = None) -> None:
        self.loading = loading
        """The loaded pair; None until it is loaded."""
        self.overtaken = 0
        """Number of later pairs that the device began before this one."""


def batch_key(loading: Loading) -> Hashable:
    """Return the key of the pairs that can be in one batch: they have one size, equal settings and evaluations."""
    return loading.task.evaluations, *size_key(loading)


def size_key(loading: Loading) -> tuple[Hashable, ...]:
    """Return the key of the pairs for which the same size of batch is best."""
    settings, loaded = loading.task.pair.settings, loading.loaded
    parts = settings.objective, settings.pyramid, settings.optimiser
    sizes = loaded.width, loaded.height, loaded.mask is not None, settings.style.scale, len(loaded.paintings)
    return *sizes, *(part.model_dump_json() for part in parts)


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


def best_size(seconds_per_image: Callable[[int], float], fits: Callable[[int], bool]) -> int:
    """Return the best size of batches: it is doubled as long as that makes an image cheaper and memory suffices.

    Args:
        seconds_per_image: measures an evaluation of a batch of this size; infinite if memory runs out.
        fits: whether a batch of this size is expected to fit into memory.
    """
    if not fits(2):
        return 1
    size, seconds = 1, seconds_per_image(1)
    while 2 * size <= MAX_BATCH and fits(2 * size):
        doubled = seconds_per_image(2 * size)
        if not doubled < (1 - WORTHWHILE_GAIN) * seconds:  # both are infinite where memory ran out
            break
        size, seconds = 2 * size, doubled
    return size
