"""The time and memory that each pair will take, predicted before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.run.plan import Action
from pipeline.run.time_budget import fraction_within, scaled
from pipeline.settings.base import parse_duration
from pipeline.stage.device.devices import find_devices
from pipeline.stage.device.estimate import Estimator
from pipeline.stage.engine_config import optimisation, optimisation_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.run.plan import PlannedPair
    from pipeline.settings import Settings
    from pipeline.stage.device.estimate import Expected
    from pipeline.transfer.weights import WeightsSource


@dataclass(frozen=True)
class Forecast:
    """The forecast of one pair."""

    item: PlannedPair
    evaluations: tuple[int, ...] = ()
    """Evaluations at each scale, coarse to fine; fewer than the settings ask for where time is short."""
    expected: Expected | None = None
    """Expected time and memory; None if the pair is not rendered or its photograph cannot be read."""


@dataclass(frozen=True)
class Forecasts:
    """The forecast of a run."""

    pairs: tuple[Forecast, ...]
    seconds: float
    """Expected seconds on all devices at once, without loading the first pair and saving the last."""
    budget_seconds: float | None
    """Seconds of the time budget; None if there is none."""

    @property
    def is_short(self) -> bool:
        """Whether the time will end before all pairs are rendered."""
        return self.budget_seconds is not None and self.seconds > self.budget_seconds


def forecast(planned: Sequence[PlannedPair], settings: Settings, weights: WeightsSource) -> Forecasts:
    """Measure an evaluation on this machine, and calculate from it what each pair takes.

    Raises:
        MachineError: there is no such device, or the weights cannot be loaded.
    """
    budget = parse_duration(settings.run.time_budget) if settings.run.time_budget else None
    if not any(item.action is Action.RENDER for item in planned):
        return Forecasts(tuple(Forecast(item) for item in planned), 0.0, budget)
    estimator, devices = Estimator(settings, weights), len(find_devices(settings.run.local_device))

    def for_all(fraction: float) -> tuple[Forecast, ...]:
        seen: set[str] = set()
        return tuple(for_one(item, fraction, seen) for item in planned)

    def for_one(item: PlannedPair, fraction: float, seen: set[str]) -> Forecast:
        if item.action is not Action.RENDER or item.size is None:
            return Forecast(item)
        evaluations = scaled(item.pair.settings.pyramid.planned, fraction)
        expected = estimator.expect(item.pair.settings, *item.size, evaluations, follows=item.pair.follows)
        key = optimisation_key(item.pair, map(str, item.pair.files))
        if key in seen:
            expected = replace(expected, seconds=0.0)
        seen.add(key)
        if item.pair.follows:
            scales = optimisation(item.pair.settings, *item.size, evaluations, fills=True).scales
            evaluations = tuple(scale.evaluations for scale in scales)
        return Forecast(item, evaluations, expected)

    whole = for_all(1.0)
    seconds = _total(whole) / devices
    if budget is None or seconds <= budget:
        return Forecasts(whole, seconds, budget)
    shorter = for_all(fraction_within(budget, seconds))
    return Forecasts(shorter, _total(shorter) / devices, budget)


def _total(forecasts: Sequence[Forecast]) -> float:
    return sum(each.expected.seconds for each in forecasts if each.expected is not None)
