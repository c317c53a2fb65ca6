"""From settings to the engine's own words, which know nothing of settings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pipeline.images.colour.modes import Colour, preparation
from pipeline.transfer.losses import ObjectiveSpec
from pipeline.transfer.pyramid import schedule
from pipeline.transfer.styliser import Optimisation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ColourSettings, ObjectiveSettings, PairSettings

OF_THE_NETWORK = {"pooling", "padding"}
"""Of [objective], what a `Chain` is made with; the rest is the `ObjectiveSpec`."""


def objective_spec(objective: ObjectiveSettings) -> ObjectiveSpec:
    """What is minimised."""
    return ObjectiveSpec(**objective.model_dump(exclude=OF_THE_NETWORK))


def colour_of(colour: ColourSettings) -> Colour:
    """Whose colours the pastiche has."""
    return Colour(colour.mode, colour.strength, colour.match)


def optimisation_key(pair: Pair, files: Iterable[str]) -> str:
    """Equal for pairs that one optimisation serves: they differ in what is done after it. 16 hexadecimal digits.

    Args:
        pair: the pair.
        files: what tells its files from others: their hashes, or their paths where they are not read yet.
    """
    settings = pair.settings
    before = settings.model_dump_json(include={"image": {"size"}, "style": True, "objective": True, "pyramid": True})
    parts = (
        *files,
        before,
        settings.optimiser.model_dump_json(),
        str(preparation(colour_of(settings.colour))),
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def optimisation(
    settings: PairSettings, width: int, height: int, evaluations: tuple[int, ...] | None = None
) -> Optimisation:
    """How it is minimised for an image of so many px; with other evaluations than the settings', if given."""
    planned = evaluations or settings.pyramid.planned
    return Optimisation(schedule(width, height, planned), **dict(settings.optimiser))
