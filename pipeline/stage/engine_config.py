"""The conversion of settings to the engine's own objects; the engine itself does not import settings."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.images.colour.modes import Colour, preparation
from pipeline.transfer.losses import ObjectiveSpec
from pipeline.transfer.pyramid import schedule
from pipeline.transfer.styliser import Optimisation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ColourSettings, ObjectiveSettings, PairSettings, PyramidSettings
    from pipeline.transfer.pyramid import Scale

NETWORK_SETTINGS = {"pooling", "padding"}
"""Settings of [objective] with which a `Chain` is built; the others belong to the `ObjectiveSpec`."""

_SCALES_PER_HALVING = {"2": 1, "sqrt2": 2}
_FILLING = 0.2
"""Share of a following frame's evaluations, by their cost, at the smallest size."""


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
        *([pair.predecessor.result] if pair.predecessor is not None else []),
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


def scales_of_follower(scales: Sequence[Scale], effort: float, *, fills: bool) -> tuple[Scale, ...]:
    """Return the scales of a frame that starts from the result of the frame before.

    Places that the frame before does not show are painted at the smallest size first, with a fifth of the evaluations
    of the frame.

    Args:
        scales: the scales of a photograph, coarse to fine.
        effort: evaluations of the frame as a share of the photograph's, by their cost.
        fills: whether there are such places.
    """
    coarse, fine = scales[0], scales[-1]
    pixels = fine.width * fine.height
    costs = [scale.width * scale.height / pixels for scale in scales]
    allowed = effort * sum(cost * scale.evaluations for cost, scale in zip(costs, scales, strict=True))
    allowed -= 1  # at the start, for the weight of the temporal term
    if len(scales) == 1:
        return (replace(fine, evaluations=max(2, int(allowed))),)
    filling = min(coarse.evaluations, max(2, round(_FILLING * allowed / costs[0])))
    rest = replace(fine, evaluations=max(2, int(allowed - filling * costs[0])))
    return (replace(coarse, evaluations=filling), rest) if fills else (rest,)


def optimisation(
    settings: PairSettings,
    width: int,
    height: int,
    evaluations: tuple[int, ...] | None = None,
    *,
    fills: bool | None = None,
) -> Optimisation:
    """Return the parameters of the minimisation.

    Args:
        settings: the settings of the pair.
        width: width of the image in px.
        height: height of the image in px.
        evaluations: evaluations at each scale, coarse to fine; None: those of the settings.
        fills: for a frame that starts from the result before it, see `scales_of_follower`; None: it is no such frame.
    """
    pyramid = settings.pyramid
    scales = scales_of(pyramid, width, height, evaluations)
    if fills is not None:
        scales = scales_of_follower(scales, settings.sequence.effort, fills=fills)
    return Optimisation(scales, pyramid.detail, **dict(settings.optimiser))
