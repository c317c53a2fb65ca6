"""What is known of a pair: how its scales went, and where to go on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import NotFiniteError
from pipeline.transfer.pyramid import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.transfer.lbfgs import Minimum


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
    planned: int = 0
    """Evaluations that are made at most, over all scales; 0 where nobody asked."""


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
class OptimisationState:
    """Where a pair is: all that is needed to go on from there."""

    scale: int = 0
    """The place in the pyramid that it works at, coarse to fine from 0."""
    made: int = 0
    """Evaluations at the scales before."""
    image: Tensor | None = None
    """(1, 3, h, w) float32: what the scale before came to; None at the first."""
    results: tuple[ScaleResult, ...] = ()
    """Of the scales before."""
    warnings: tuple[str, ...] = ()
    minimiser: dict[str, Any] | None = None
    """`Minimiser.state` in the middle of the scale; None at its start."""

    @property
    def evaluations(self) -> int:
        """That were made in all."""
        return self.made + (self.minimiser["number"] if self.minimiser else 0)

    def after(self, scale: Scale, minimum: Minimum, trouble: list[str]) -> OptimisationState:
        """At the start of the next scale.

        Raises:
            NotFiniteError: the objective was not finite at the start of this one.
        """
        return OptimisationState(
            self.scale + 1,
            self.made + len(minimum.values),
            minimum.image,
            (*self.results, _result(scale, minimum, self.made)),
            (*self.warnings, *trouble, *_restarts(scale, minimum, self.made)),
        )

    def to_plain(self) -> dict[str, Any]:
        """As tensors, numbers, strings, lists and dictionaries."""
        results = [
            {
                "scale": list(vars(result.scale).values()),
                "trace": [list(point) for point in result.trace],
                **{name: list(vars(getattr(result, name)).values()) for name in ("first", "last", "best")},
            }
            for result in self.results
        ]
        return {**vars(self), "results": results, "warnings": list(self.warnings)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> OptimisationState:
        """Undoes `to_plain`."""
        results = tuple(
            ScaleResult(
                Scale(*result["scale"]),
                **{name: Evaluation(*result[name]) for name in ("first", "last", "best")},
                trace=tuple((number, total) for number, total in result["trace"]),
            )
            for result in plain["results"]
        )
        return replace(cls(**{**plain, "results": ()}), results=results, warnings=tuple(plain["warnings"]))


def evaluation_of(number: int, terms: tuple[float, ...] | None, share: float = 0.0, planned: int = 0) -> Evaluation:
    """From the values that the optimiser saw; None where they were not finite."""
    total, content, style, tv = terms or (math.nan,) * 4
    return Evaluation(number, total, content, style, tv, share, planned)


def _result(scale: Scale, minimum: Minimum, made: int) -> ScaleResult:
    seen = [evaluation_of(made + i, values) for i, values in enumerate(minimum.values, 1) if values is not None]
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
