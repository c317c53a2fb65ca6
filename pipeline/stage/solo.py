"""A device for pairs that a program has painted one at a time, without an outbox."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pipeline.errors import ImpastoError
from pipeline.stage.device.devices import describe, find_device, find_precision, open_card
from pipeline.stage.device.memory import Memory
from pipeline.stage.load.loader import Loader
from pipeline.stage.paint.painter import Painter
from pipeline.stage.pixel_budget import PixelBudget
from pipeline.stage.save.saver import Maker
from pipeline.transfer.weights import find_weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings, Settings
    from pipeline.stage.load.inputs import Sources
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painter import Painted
    from pipeline.stage.task import Task
    from pipeline.transfer.state import Evaluation

_KEPT: Final = 2
"""Devices with their weights, 80 MB each, and the Gram matrices of their paintings."""


class Solo:
    """One device with one set of weights; threads that share it wait for each other."""

    def __init__(self, weights: str, preprocessing: str, precision: str, device: str, memory_gb: float) -> None:
        """As the settings of these names say, on the first of their devices.

        Raises:
            MachineError: there is no such device, or the weights cannot be had.
        """
        source, on = find_weights(weights, preprocessing), find_device(device)
        open_card(on)
        values = find_precision(precision, on)
        self.maker = Maker(source, describe(on), str(values).removeprefix("torch."))
        self._listener, self._lock = _Listener(), threading.Lock()
        self._painter = Painter(
            network=load_weights(source),
            device=on,
            precision=values,
            memory=Memory(on, int(memory_gb * 2**30) or None),
            listener=self._listener,
        )

    def paint(
        self, task: Task, sources: Sources, images: ImageSettings, on_evaluation: Callable[[Evaluation], None]
    ) -> tuple[Loading, Painted]:
        """Load a pair and paint it; what `on_evaluation` raises ends it and is passed on.

        Raises:
            ImpastoError: it cannot be done.
        """
        loading = Loader(self.maker.weights.sha256, images, pin=False).load(task, PixelBudget(), sources)
        with self._lock:
            self._listener.on_evaluation = on_evaluation
            ((_, result),) = self._painter.paint([loading], task.pair.settings.pyramid.planned)
        if isinstance(result, ImpastoError):
            raise result
        return loading, result


@lru_cache(maxsize=_KEPT)
def _solo(weights: str, preprocessing: str, precision: str, device: str, memory_gb: float) -> Solo:
    return Solo(weights, preprocessing, precision, device, memory_gb)


def solo_for(settings: Settings) -> Solo:
    """The device and the weights that settings ask for; those that were asked for last are kept.

    Raises:
        MachineError: there is no such device, or the weights cannot be had.
    """
    network, run = settings.network, settings.run
    return _solo(network.weights, network.preprocessing, network.precision, run.device, run.memory_gb)


class _Listener:
    """Tells whoever has the device at the moment."""

    on_evaluation: Callable[[Evaluation], None]

    def pair_started(self, pair: Pair) -> None:
        """Nothing."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Tell."""
        del pair
        self.on_evaluation(evaluation)
