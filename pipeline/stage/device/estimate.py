"""Estimates of the time and the memory that a pair takes, from measurements on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pipeline.stage.device.devices import find_device, find_precision
from pipeline.stage.device.memory import Memory, MemoryDemand
from pipeline.stage.engine_config import objective_spec, optimisation
from pipeline.transfer.calibration import calibration_image
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import resample
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from pipeline.settings.all_settings import Settings
    from pipeline.settings.pair_settings import PairSettings
    from pipeline.transfer.pyramid import Scale
    from pipeline.transfer.tiling import Fit
    from pipeline.transfer.weights import WeightsSource

_SIDES: Final = (64, 256)
"""Sides in px of the two images that are measured, from which the costs of an evaluation and of a pixel follow."""
_EVALUATIONS: Final = 3
"""Number of evaluations over which the time of one is averaged."""
_EVALUATIONS_PER_SCALE: Final = 1.5
"""Cost of the start of a scale, at which targets are computed, in evaluations."""
_WEIGHTS: Final = {
    "content_layer_weights", "style_layer_weights", "content_weight", "style_weight", "tv_weight"
}  # fmt: skip
"""Settings of the objective that do not change the time of an evaluation."""


@dataclass(frozen=True)
class Expected:
    """Time and memory that a pair is expected to take."""

    seconds: float
    """Seconds on the device."""
    bytes: int
    """Bytes on the device."""
    fit: Fit | None
    """Fit with which the pair is computed; None: it does not fit into memory."""


@dataclass(frozen=True)
class _Pace:
    """The time of an evaluation with one kind of objective, and of the optimiser's step."""

    fixed: float
    """Seconds that do not depend on the size."""
    per_pixel: float
    """Seconds for each px."""


class Estimator:
    """Measures evaluations at two sizes, once for each kind of objective, and computes the time of pairs from them."""

    def __init__(self, settings: Settings, weights: WeightsSource) -> None:
        """Measure evaluations with these settings on the first of their devices.

        Raises:
            MachineError: there is no such device, or the weights cannot be loaded.
        """
        self.device = find_device(settings.run.local_device)
        self._precision = find_precision(settings.network.precision, self.device)
        self._memory = Memory(self.device, int(settings.run.memory_gb * 2**30) or None)
        self._network = load_weights(weights)
        self._known: dict[Hashable, Expected] = {}
        self._paces: dict[Hashable, _Pace] = {}
        self._pace_of(settings)

    def _pace_of(self, settings: PairSettings) -> _Pace:
        """Return the pace of pairs with these settings; rows of a manifest may choose other presets than the run."""
        key = settings.objective.model_dump_json(exclude=_WEIGHTS), settings.optimiser.history
        if key not in self._paces:
            small, large = (self._measure(side, settings) for side in _SIDES)
            pixels = _SIDES[1] ** 2 - _SIDES[0] ** 2
            per_pixel = max(0.0, large - small) / pixels
            self._paces[key] = _Pace(max(0.0, small - per_pixel * _SIDES[0] ** 2), per_pixel)
            self._memory.release()  # for the pairs themselves, which other processes may paint
        return self._paces[key]

    @torch.no_grad()
    def _measure(self, side: int, settings: PairSettings) -> float:
        objective, spec = settings.objective, objective_spec(settings.objective)
        chain = Chain(self._network, self.device, self._precision, pooling=objective.pooling, padding=objective.padding)
        image = resample(calibration_image().to(chain.device), side, side)
        targets = Targets.of(chain, spec, image, [Painting(image.flip(3))])
        evaluate, _ = capture(Objective(chain, spec, targets), image)
        minimiser = Minimiser(image, evaluations=_EVALUATIONS + 2, history=settings.optimiser.history)
        minimiser.step(evaluate)
        begin = time.perf_counter()
        for _ in range(_EVALUATIONS):
            minimiser.step(evaluate)  # waits for the device
        return (time.perf_counter() - begin) / _EVALUATIONS

    def expect(
        self,
        settings: PairSettings,
        width: int,
        height: int,
        evaluations: tuple[int, ...] | None = None,
        *,
        follows: bool = False,
    ) -> Expected:
        """Return the time and memory of a pair of this working size.

        Equal arguments have equal results, even if the free memory changes after the first call.

        Args:
            settings: the settings of the pair.
            width: width in px.
            height: height in px.
            evaluations: evaluations at each scale, coarse to fine; None: those of the settings.
            follows: whether it is a frame that starts from the result of the frame before.
        """
        key = settings, width, height, evaluations, follows
        if key not in self._known:
            fills = True if follows else None
            scales = optimisation(settings, width, height, evaluations, fills=fills).scales
            self._known[key] = self._expect(settings, scales)
        return self._known[key]

    def _expect(self, settings: PairSettings, scales: Sequence[Scale]) -> Expected:
        width, height = scales[-1].width, scales[-1].height
        demand = MemoryDemand.of(settings, width, height, self._precision, self.device)
        fit = self._memory.choose(demand)
        slowness = fit.slowness(width, height, demand.layers) if fit is not None else 1.0
        pace = self._pace_of(settings)
        seconds = sum(
            (scale.evaluations + _EVALUATIONS_PER_SCALE) * (pace.fixed + pace.per_pixel * scale.width * scale.height)
            for scale in scales
        )
        return Expected(seconds * slowness, self._memory.predict(demand, fit or self._memory.rungs(demand)[-1]), fit)
