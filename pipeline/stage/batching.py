"""Which pairs go to the device together, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from pipeline.stage.load.loader import Loading

LARGEST: Final = 16
"""Pairs of a batch."""
WORTHWHILE_GAIN: Final = 0.05
"""A batch of twice the size should save this share of the time of an image."""


class QueuedPair:
    """A pair on its way to the device."""

    def __init__(self, loading: Loading | None = None) -> None:
        self.loading = loading
        """None until it is loaded."""
        self.overtaken = 0
        """So many that came later were begun before it."""


def batch_key(loading: Loading) -> Hashable:
    """Pairs of one key can be in one batch: of one size, and minimised alike."""
    return loading.task.evaluations, *size_key(loading)


def size_key(loading: Loading) -> tuple[Hashable, ...]:
    """For pairs of one key batches of one size are worth it."""
    settings, loaded = loading.task.pair.settings, loading.loaded
    parts = settings.objective, settings.pyramid, settings.optimiser
    sizes = loaded.width, loaded.height, loaded.mask is not None, settings.style.scale, len(loaded.paintings)
    return *sizes, *(part.model_dump_json() for part in parts)


def next_of(line: Sequence[QueuedPair], max_reorder: int) -> QueuedPair | None:
    """The first that is loaded; or the first that was overtaken so often that it is to be waited for (None)."""
    head = next((each for each in line if each.loading is not None or each.overtaken >= max_reorder), None)
    return head if head is not None and head.loading is not None else None


def pick(line: Sequence[QueuedPair], size: int, max_reorder: int) -> list[QueuedPair]:
    """The next batch: the `next_of` the line, and those behind it that can go with it, of the same style first.

    Of pairs that one optimisation serves there is one in it. Those that are passed over were overtaken, and none is
    overtaken more often than `max_reorder` times.

    Args:
        line: in the order in which they came.
        size: of the batch, at most.
        max_reorder: see above.
    """
    first = next_of(line, max_reorder)
    if first is None or first.loading is None:
        return []
    batch, key = [first], batch_key(first.loading)
    style = first.loading.loaded.inputs.style.sha256
    place = line.index(first)
    for other in line[:place]:  # not loaded yet: the device does not wait for them
        other.overtaken += 1
    optimisations = {first.loading.optimisation}
    able = [
        (each.loading.loaded.inputs.style.sha256 != style, each)
        for each in line[place + 1 :]
        if each.loading is not None and batch_key(each.loading) == key
    ]
    for _, each in sorted(able, key=lambda pair: pair[0]):
        if len(batch) >= size:
            break
        if each.loading is None or each.loading.optimisation in optimisations:
            continue  # it will have the result of the other
        passed = [other for other in line[: line.index(each)] if other not in batch]
        if all(other.overtaken < max_reorder for other in passed):
            for other in passed:
                other.overtaken += 1
            batch.append(each)
            optimisations.add(each.loading.optimisation)
    return batch


def best_size(seconds_per_image: Callable[[int], float], fits: Callable[[int], bool]) -> int:
    """The size of batches that is worth it: doubled while that makes an image cheaper and there is memory for it."""
    if not fits(2):
        return 1
    size, seconds = 1, seconds_per_image(1)
    while 2 * size <= LARGEST and fits(2 * size):
        of_larger = seconds_per_image(2 * size)
        if not of_larger < (1 - WORTHWHILE_GAIN) * seconds:  # both are infinite where memory ran out
            break
        size, seconds = 2 * size, of_larger
    return size
