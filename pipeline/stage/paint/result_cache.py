"""Results of optimisations that several pairs share: colour variants that differ only in postprocessing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline.images.colour.modes import preparation
from pipeline.stage.engine_config import colour_of

if TYPE_CHECKING:
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painted import Painted

MAX_PIXELS: Final = 16_000_000
"""Largest number of pixels that are kept: 192 MB. One larger result is kept alone."""


class ResultCache:
    """Optimisation results, kept for a pair's other colour variants.

    A result is dropped after its last variant, or when it is the oldest and the cache is full. Only one thread uses the
    cache.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._results: OrderedDict[str, tuple[Painted, int]] = OrderedDict()
        """Results by `optimisation_key`, oldest first, with the number of pairs that they still serve."""

    def keep(self, loading: Loading, painted: Painted) -> None:
        """Keep the result of a pair if other variants need it."""
        colour = colour_of(loading.task.pair.settings.colour)
        modes = loading.task.pair.settings.colour.modes
        others = sum(preparation(replace(colour, mode=mode)) == preparation(colour) for mode in modes) - 1
        if loading.task.pair.predecessor is not None:
            others = 0  # each variant starts from its own frame before
        if others:
            self._results[loading.optimisation] = replace(painted, seconds=0.0), others
        newest = loading.optimisation if others else None
        while self._results and sum(_pixels(each) for each, _ in self._results.values()) > self._max_pixels:
            oldest = next(iter(self._results))
            if oldest == newest:
                return
            del self._results[oldest]

    def take(self, loading: Loading) -> Painted | None:
        """Return the kept result that a pair can use in place of its own optimisation; None if there is none."""
        painted, others = self._results.pop(loading.optimisation, (None, 0))
        if painted is not None and others > 1:
            self._results[loading.optimisation] = painted, others - 1
        return painted


def _pixels(painted: Painted) -> int:
    return painted.result.image[0, 0].numel()
