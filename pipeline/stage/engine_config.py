"""The conversion of settings to the engine's own objects; the engine itself does not import settings."""

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
    from pipeline.settings.pair_settings import ColourSettings, ObjectiveSettings, PairSettings, PyramidSettings
    from pipeline.transfer.pyramid import Scale

NETWORK_SETTINGS = {"pooling", "padding"}
"""Settings of [objective] with which a `Chain` is built; the others belong to the `ObjectiveSpec`."""

_SCALES_PER_HALVING = {"2": 1, "sqrt2": 2}


def objective_spec(objective: ObjectiveSettings) -> ObjectiveSpec:
    """Return the objective that is minimised."""
    return ObjectiveSpec(**objective.model_dump(exclude=NETWORK_SETTINGS))


def colour_of(colour: ColourSettings) -> Colour:
    """Return the colour mode of a result."""
    return Colour(colour.mode, colour.strength, colour.match)


def optimisation_key(pair: Pair, files: Iterable[str]) -> str:
    """Return a key that is equal for pairs that differ only in steps after the optimisation.

    Args:
        pair: the pair.
        files: identities of its files: their hashes, or their paths if they are not read yet.

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


def scales_of(
    pyramid: PyramidSettings, width: int, height: int, evaluations: tuple[int, ...] | None = None
) -> tuple[Scale, ...]:
    """Return the scales of an image, coarse to fine; see `optimisation` for the arguments."""
    planned = evaluations or pyramid.planned
    per_halving = _SCALES_PER_HALVING[pyramid.ratio]
    return schedule(width, height, planned, scales_per_halving=per_halving, floor=pyramid.floor)


def optimisation(
    settings: PairSettings, width: int, height: int, evaluations: tuple[int, ...] | None = None
) -> Optimisation:
    """Return the parameters of the minimisation.

    Args:
        settings: the settings of the pair.
        width: width of the image in px.
        height: height of the image in px.
        evaluations: evaluations at each scale, coarse to fine; None: those of the settings.
    """
    pyramid = settings.pyramid
    scales = scales_of(pyramid, width, height, evaluations)
    return Optimisation(scales, pyramid.detail, **dict(settings.optimiser))
