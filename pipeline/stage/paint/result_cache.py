"""Results of optimisations that serve further pairs: those of `colour.variants` which differ in what comes after."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline.images.colour.modes import preparation
from pipeline.stage.engine_config import colour_of

if TYPE_CHECKING:
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painted import Painted

MOST_PIXELS: Final = 16_000_000
"""That are kept: 192 MB, or one result if it is larger."""


class ResultCache:
    """What was painted of pairs whose variants may need it; each goes with the last of them, or is the oldest."""

    def __init__(self, most_pixels: int = MOST_PIXELS) -> None:
        self._most_pixels = most_pixels
        self._results: OrderedDict[str, tuple[Painted, int]] = OrderedDict()
        """With how many are still to come."""

    def keep(self, loading: Loading, painted: Painted) -> None:
        """If others need it."""
        colour = colour_of(loading.task.pair.settings.colour)
        modes = loading.task.pair.settings.colour.modes
        others = sum(preparation(replace(colour, mode=mode)) == preparation(colour) for mode in modes) - 1
        if others:
            self._results[loading.optimisation] = replace(painted, seconds=0.0), others
        newest = loading.optimisation if others else None
        while self._results and sum(_pixels(each) for each, _ in self._results.values()) > self._most_pixels:
            oldest = next(iter(self._results))
            if oldest == newest:
                return
            del self._results[oldest]

    def take(self, loading: Loading) -> Painted | None:
        """The result that serves a pair, for which nothing is to be done any more; None if there is none."""
        painted, others = self._results.pop(loading.optimisation, (None, 0))
        if painted is not None and others > 1:
            self._results[loading.optimisation] = painted, others - 1
        return painted


def _pixels(painted: Painted) -> int:
    return painted.result.image[0, 0].numel()
