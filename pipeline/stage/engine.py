"""From settings to the engine's own words, which know nothing of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.transfer.pyramid import schedule
from pipeline.transfer.stylizer import Optimisation
from pipeline.transfer.terms import ObjectiveSpec

if TYPE_CHECKING:
    from pipeline.settings import ObjectiveSettings, PairSettings

OF_THE_NETWORK = {"pooling", "padding"}
"""Of [objective], what a `Chain` is made with; the rest is the `ObjectiveSpec`."""


def objective_spec(objective: ObjectiveSettings) -> ObjectiveSpec:
    """What is minimised."""
    return ObjectiveSpec(**objective.model_dump(exclude=OF_THE_NETWORK))


def optimisation(
    settings: PairSettings, width: int, height: int, evaluations: tuple[int, ...] | None = None
) -> Optimisation:
    """How it is minimised for an image of so many px; with other evaluations than the settings', if given."""
    planned = evaluations or settings.pyramid.planned
    return Optimisation(schedule(width, height, planned), **dict(settings.optimiser))
