"""Settings in the engine's own terms; the engine itself knows nothing of settings."""

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

NETWORK_SETTINGS = {"pooling", "padding"}
"""Settings of [objective] with which a `Chain` is built; the others make the `ObjectiveSpec`."""


def objective_spec(objective: ObjectiveSettings) -> ObjectiveSpec:
    """Return the objective that is minimised."""
    return ObjectiveSpec(**objective.model_dump(exclude=NETWORK_SETTINGS))


def colour_of(colour: ColourSettings) -> Colour:
    """Return how the pastiche gets its colours."""
    return Colour(colour.mode, colour.strength, colour.match)


def optimisation_key(pair: Pair, files: Iterable[str]) -> str:
    """Return a key that is equal for pairs which differ only in what is done after the optimisation.

    Args:
        pair: the pair.
        files: identities of its files: their hashes, or their paths where they are not read yet.

    Returns:
        16 hexadecimal digits.
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
    """Return how the objective is minimised.

    Args:
        settings: of the pair.
        width: of the image, in px.
        height: of the image, in px.
        evaluations: at each scale, coarse to fine; None: those of the settings.
    """
    planned = evaluations or settings.pyramid.planned
    return Optimisation(schedule(width, height, planned), **dict(settings.optimiser))
