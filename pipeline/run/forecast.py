"""What a run would take: time and memory of each pair, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.run.plan import Action
from pipeline.run.time_budget import scaled, share_of
from pipeline.settings.base import parse_duration
from pipeline.stage.device.devices import find_devices
from pipeline.stage.device.estimate import Estimator
from pipeline.stage.engine_config import optimisation_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.run.plan import PlannedPair
    from pipeline.settings import Settings
    from pipeline.stage.device.estimate import Expected
    from pipeline.transfer.weights import WeightsSource


@dataclass(frozen=True)
class Forecast:
    """Of one pair."""

    item: PlannedPair
    evaluations: tuple[int, ...] = ()
    """At each scale, coarse to fine; fewer than the settings' where time is short."""
    expected: Expected | None = None
    """None where it is not rendered, or its photograph cannot be read."""


@dataclass(frozen=True)
class Forecasts:
    """Of a run."""

    pairs: tuple[Forecast, ...]
    seconds: float
    """On all devices at once, without loading the first pair and saving the last."""
    budget_seconds: float | None

    @property
    def is_short(self) -> bool:
        """Whether there will be pairs left when time is over."""
        return self.budget_seconds is not None and self.seconds > self.budget_seconds


def forecast(planned: Sequence[PlannedPair], settings: Settings, weights: WeightsSource) -> Forecasts:
    """Measure an evaluation, and expect the rest.

    Raises:
        MachineError: there is no such device, or the weights cannot be had.
    """
    budget = parse_duration(settings.run.time_budget) if settings.run.time_budget else None
    if not any(item.action is Action.RENDER for item in planned):
        return Forecasts(tuple(Forecast(item) for item in planned), 0.0, budget)
    estimator, devices = Estimator(settings, weights), len(find_devices(settings.run.device))

    def of_all(share: float) -> tuple[Forecast, ...]:
        seen: set[str] = set()
        return tuple(of_one(item, share, seen) for item in planned)

    def of_one(item: PlannedPair, share: float, seen: set[str]) -> Forecast:
        if item.action is not Action.RENDER or item.size is None:
            return Forecast(item)
        evaluations = scaled(item.pair.settings.pyramid.planned, share)
        expected = estimator.expect(item.pair.settings, *item.size, evaluations)
        optimisation = optimisation_key(item.pair, map(str, item.pair.files))
        if optimisation in seen:
            expected = replace(expected, seconds=0.0)
        seen.add(optimisation)
        return Forecast(item, evaluations, expected)

    whole = of_all(1.0)
    seconds = _total(whole) / devices
    if budget is None or seconds <= budget:
        return Forecasts(whole, seconds, budget)
    shorter = of_all(share_of(budget, seconds))
    return Forecasts(shorter, _total(shorter) / devices, budget)


def _total(forecasts: Sequence[Forecast]) -> float:
    return sum(each.expected.seconds for each in forecasts if each.expected is not None)
