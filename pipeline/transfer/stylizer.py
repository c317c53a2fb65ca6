"""Pairs of tensors to pastiches: a pyramid of minimisations, started from the content."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.errors import NotFiniteError
from pipeline.transfer.capture import capture
from pipeline.transfer.lbfgs import Minimum, minimise
from pipeline.transfer.objective import Objective, ObjectiveSpec, Painting, Targets
from pipeline.transfer.pyramid import Scale, refine, resample, work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from pipeline.transfer.vgg import Chain

ENGINE_VERSION = "2"
"""Raised whenever the same inputs and settings give other pixels; part of every key."""

_SMALLEST_PAINTING = 16
"""In px: what the network's deepest layer needs."""


@dataclass(frozen=True)
class Evaluation:
    """The objective at one evaluation, and its weighted terms; not a number where it was not finite."""

    number: int
    """From 1, over all scales; the first of a scale is at its start."""
    total: float
    content: float
    style: float
    tv: float
    share: float = 0.0
    """Of the pair's work that is done then, by pixels."""


@dataclass(frozen=True)
class ScaleResult:
    """What the minimisation at one scale came to."""

    scale: Scale
    first: Evaluation
    last: Evaluation
    best: Evaluation
    trace: tuple[tuple[int, float], ...]
    """(evaluation, total) of every finite evaluation."""


@dataclass(frozen=True)
class Stylisation:
    """What the pyramid came to."""

    image: Tensor
    """(1, 3, H, W) float32, sRGB, not clipped: the best finite iterate of the finest scale."""
    scales: tuple[ScaleResult, ...]
    """Coarse to fine."""
    evaluations: int
    """How many were made."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Optimisation:
    """How the objective is minimised."""

    scales: tuple[Scale, ...]
    """Coarse to fine; the last one has the content's size."""
    history: int = 20
    alpha: float = 0.4
    plateau: float = 0.0


@torch.no_grad()
def stylise(
    chain: Chain,
    pairs: Sequence[tuple[Tensor, Sequence[Painting]]],
    spec: ObjectiveSpec,
    optimisation: Optimisation,
    *,
    on_evaluation: Callable[[Sequence[Evaluation]], None] = lambda _: None,
) -> list[Stylisation]:
    """Minimise the objective over a batch of images, each from its content (Gatys et al. 2016), without clipping.

    Args:
        chain: the network, on the device that shall do the work.
        pairs: contents (1, 3, H, W) float32, sRGB 0–255, all of one size, each with its paintings.
        spec: the objective.
        optimisation: scales and optimiser.
        on_evaluation: called after each evaluation with that of every pair; what it raises ends the optimisation.

    Raises:
        NotFiniteError: the objective is not finite at the start of a scale.
    """
    contents = torch.cat([content for content, _ in pairs])
    width = contents.shape[3]
    image, made = contents, 0
    results: list[list[ScaleResult]] = [[] for _ in pairs]
    warnings: list[list[str]] = [[] for _ in pairs]
    for index, scale in enumerate(optimisation.scales):
        content = resample(contents, scale.width, scale.height)
        image = refine(image, content) if made else content
        shrink = scale.width / width
        targets = [
            Objective.targets(chain, spec, content[i : i + 1], [_shrunk(p, shrink) for p in paintings])
            for i, (_, paintings) in enumerate(pairs)
        ]
        evaluate, trouble = capture(Objective(chain, spec, Targets.stack(targets)), image)
        minima = minimise(
            evaluate,
            image,
            evaluations=scale.evaluations,
            history=optimisation.history,
            alpha=optimisation.alpha,
            plateau=optimisation.plateau,
            on_evaluation=_numbered(made, work(optimisation.scales, index), on_evaluation),
        )
        del evaluate  # a captured graph holds its activations
        image = torch.cat([minimum.image for minimum in minima])
        for i, minimum in enumerate(minima):
            results[i].append(_result(scale, minimum, made))
            warnings[i] += trouble + _restarts(scale, minimum, made)
        made += len(minima[0].values)
    return [Stylisation(image[i : i + 1], tuple(results[i]), made, tuple(warnings[i])) for i in range(len(pairs))]


def _shrunk(painting: Painting, factor: float) -> Painting:
    height, width = (max(_SMALLEST_PAINTING, round(side * factor)) for side in painting.image.shape[2:])
    return Painting(resample(painting.image, width, height), painting.weight)


def _numbered(
    made: int, shares: tuple[float, float], on_evaluation: Callable[[Sequence[Evaluation]], None]
) -> Callable[[Sequence[tuple[float, ...] | None]], None]:
    before, one = shares
    numbers = itertools.count(1)

    def forward(values: Sequence[tuple[float, ...] | None]) -> None:
        number = next(numbers)
        share = before + number * one
        on_evaluation([_evaluation(made + number, each or (math.nan,) * 4, share) for each in values])

    return forward


def _evaluation(number: int, terms: tuple[float, ...], share: float = 0.0) -> Evaluation:
    total, content, style, tv = terms
    return Evaluation(number, total, content, style, tv, share)


def _result(scale: Scale, minimum: Minimum, made: int) -> ScaleResult:
    seen = [_evaluation(made + i, values) for i, values in enumerate(minimum.values, 1) if values is not None]
    if not seen or minimum.values[0] is None:
        raise NotFiniteError(
            f"The objective is not finite at the start of the scale of {scale.width}×{scale.height} px.",
            "Lower objective.style_weight, content_weight or tv_weight, or use network.precision = float32.",
        )
    return ScaleResult(
        scale, seen[0], seen[-1], min(seen, key=lambda e: e.total), tuple((e.number, e.total) for e in seen)
    )


def _restarts(scale: Scale, minimum: Minimum, made: int) -> list[str]:
    return [
        f"the objective {restart.reason} at evaluation {made + restart.evaluation} ({scale.width}×{scale.height} px); "
        f"went on from the best image with steps × {restart.step:g}"
        for restart in minimum.restarts
    ]
