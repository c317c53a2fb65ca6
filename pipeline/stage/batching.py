"""The order in which pairs go to the device, and which of them go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from pipeline.stage.load.loader import Loading

MAX_BATCH: Final = 16
"""Largest number of pairs in a batch."""
WORTHWHILE_GAIN: Final = 0.05
"""Share of the time of an image that a batch of twice the size should save."""


class QueuedPair:
    """A pair on its way to the device."""

    def __init__(self, loading: Loading | None = None) -> None:
        self.loading = loading
        """The loaded pair; None until then."""
        self.overtaken = 0
        """Number of later pairs that the device began before this one."""


def batch_key(loading: Loading) -> Hashable:
    """Key of the pairs that can be in one batch: those of one size with equal settings and evaluations."""
    return loading.task.evaluations, *size_key(loading)


def size_key(loading: Loading) -> tuple[Hashable, ...]:
    """Key of the pairs for which one size of batch is best."""
    settings, loaded = loading.task.pair.settings, loading.loaded
    parts = settings.objective, settings.pyramid, settings.optimiser
    sizes = loaded.width, loaded.height, loaded.mask is not None, settings.style.scale, len(loaded.paintings)
    return *sizes, *(part.model_dump_json() for part in parts)


def next_of(queue: Sequence[QueuedPair], max_reorder: int) -> QueuedPair | None:
    """Return the pair that the device begins next: the first that is loaded.

    Args:
        queue: in the order of the tasks.
        max_reorder: the device waits for a pair that was overtaken this often.

    Returns:
        None if no pair is loaded, or if the device waits for one.
    """
    head = next((each for each in queue if each.loading is not None or each.overtaken >= max_reorder), None)
    return head if head is not None and head.loading is not None else None


def pick(queue: Sequence[QueuedPair], size: int, max_reorder: int) -> list[QueuedPair]:
    """Return the next batch: `next_of` the queue, and pairs behind it that can go with it, those of its style first.

    A batch has one pair only of those that one optimisation serves. Counts how often the pairs that it passes over were
    overtaken; none is overtaken more than `max_reorder` times.

    Args:
        queue: in the order of the tasks.
        size: of the batch, at most.
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
    """Return the best size of batches: doubled as long as that makes an image cheaper and there is memory for it.

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
