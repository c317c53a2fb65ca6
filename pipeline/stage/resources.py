"""The parts that the threads of a stage share, and the measurements that later pairs use."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExitCode, ImpastoError, Interrupted
from pipeline.settings.pair_settings import ImageSettings
from pipeline.stage.batching import best_size, kind_key, largest_size
from pipeline.stage.paint.painted import Painted
from pipeline.stage.paint.result_cache import ResultCache
from pipeline.stage.summary import Usage
from pipeline.transfer.tiling import WHOLE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from pipeline.pair import Pair
    from pipeline.stage.listener import Listener
    from pipeline.stage.load.loader import Loader, Loading
    from pipeline.stage.paint.painter import Painter
    from pipeline.stage.save.saver import Saver
    from pipeline.transfer.state import Evaluation


logger = logging.getLogger(__name__)

PAIRS_AHEAD: Final = 4
"""Largest number of pairs in the stage at once, besides the pairs of a batch."""


@dataclass(frozen=True)
class Limits:
    """Limits on the files that a stage reads, the pairs that it holds at once, and the intervals of its writes."""

    images: ImageSettings = field(default_factory=ImageSettings)
    """Formats and sizes of pictures that are read."""
    batch: int = 0
    """Largest number of pairs that advance together on the device; 0: the best number, as measured."""
    max_reorder: int = 16
    """Largest number of later pairs that may overtake a pair to fill a batch."""
    memory_bytes: int | None = None
    """Bytes that a batch may take on the device; None: all that are free."""
    processes: int = 1
    """Number of processes, each with a device, that share the host's memory."""
    checkpoint_seconds: float = 120.0
    """Seconds between two checkpoints of a pair on the device."""
    preview_seconds: float = 0.0
    """Seconds between two previews of a pair on the device; 0: no preview is written."""


class StoppableListener:
    """Passes events of the device on until it is stopped; then it ends the device's work."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.is_stopped = False
        """Whether the device must stop. Any thread sets it, and the device's thread reads it."""

    def check(self, *, in_progress: bool) -> None:
        """Pass the question on; raise Interrupted if stopped."""
        self._check()
        self._listener.check(in_progress=in_progress)

    def pair_started(self, pair: Pair) -> None:
        """Pass the event on; raise Interrupted if stopped."""
        self._check()
        self._listener.pair_started(pair)

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Pass the event on; raise Interrupted if stopped."""
        self._check()
        self._listener.evaluated(pair, evaluation)

    def _check(self) -> None:
        if self.is_stopped:
            raise Interrupted(ExitCode.INTERRUPTED)


@dataclass(frozen=True)
class Resources:
    """The parts that the threads of a stage share, in all its calls of `process`."""

    loader: Loader
    """Loader, for the threads that load."""
    painter: Painter
    """Painter, for the device's thread."""
    saver: Saver
    """Saver, for the threads that save; threads that load ask its outbox whether a name is free."""
    listener: StoppableListener
    limits: Limits
    results: ResultCache = field(default_factory=ResultCache)
    """Results of optimisations that further pairs share; for the device's thread."""
    usage: Usage = field(default_factory=Usage)
    """Times and memory of all pairs so far, to which all threads add."""
    _batch_sizes: dict[Hashable, int] = field(default_factory=dict, init=False)
    """Batch sizes measured so far, by `kind_key`, which the device's thread writes."""

    @property
    def max_in_work(self) -> int:
        """Largest number of pairs in the stage at once, given the batch sizes measured so far; for any thread."""
        batch = self.limits.batch or max(self._batch_sizes.values(), default=1)
        return PAIRS_AHEAD if batch == 1 else PAIRS_AHEAD + batch + self.limits.max_reorder

    def batch_size(self, loading: Loading, *, has_mate: bool) -> int:
        """Return how many pairs like this one should be on the device together, measured once for each kind of pair.

        Only the device's thread may call this.

        Args:
            loading: the pair.
            has_mate: whether there is another pair for a batch; if not, nothing is measured.
        """
        if self.limits.batch or self.painter.device.type == "cpu":
            return self.limits.batch or 1  # two cores are as busy with one image as with four
        return self._measured_size(loading) if has_mate else 1

    def _measured_size(self, loading: Loading) -> int:
        try:
            demand, memory = self.painter.demand_of(loading), self.painter.memory
            largest = largest_size(lambda size: memory.choose(demand, size) == WHOLE)
            key = kind_key(loading)
            if key not in self._batch_sizes and largest > 1:
                measure = self.painter.seconds_per_image
                self._batch_sizes[key] = best_size(lambda size: measure(loading, size), largest)
            return min(self._batch_sizes.get(key, 1), largest)
        except ImpastoError:
            raise
        except Exception:  # the pairs themselves may succeed, and each of them fails by itself if not
            logger.exception("no batch could be measured for %s, so it is painted alone", loading.task.pair.name)
            self._batch_sizes[kind_key(loading)] = 1
            return 1

    def paint(self, batch: Sequence[Loading]) -> Iterator[tuple[Loading, Painted | ImpastoError]]:
        """Yield the results of a batch: first those that another pair's optimisation has made, then the others.

        Only the device's thread may call this. The errors of `Painter.paint` are passed on.
        """
        evaluations = batch[0].task.evaluations or batch[0].task.pair.settings.pyramid.planned
        fresh = []
        for loading in batch:
            cached = self.results.take(loading)
            if cached is None:
                fresh.append(loading)
                continue
            self.listener.pair_started(loading.task.pair)
            yield loading, cached
        for loading, result in self.painter.paint(fresh, evaluations) if fresh else ():
            if isinstance(result, Painted):
                self.results.keep(loading, result)
            yield loading, result
