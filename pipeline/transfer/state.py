"""Progress of a pair: the results of its scales, and the state to continue from.

The fields of all classes here are written into checkpoints.
"""

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
    """Number of the evaluation over all scales, from 1; the first of a scale is at the scale's start."""
    total: float
    content: float
    style: float
    tv: float
    share: float = 0.0
    """Share of the pair's work that is finished when this evaluation is, by pixels, 0–1."""
    planned: int = 0
    """Planned evaluations over all scales; 0: unknown."""
    temporal: float = 0.0
    """Temporal term of a frame; 0 where there is none."""


@dataclass(frozen=True)
class ScaleResult:
    """Result of the minimisation at one scale."""

    scale: Scale
    first: Evaluation
    last: Evaluation
    best: Evaluation
    trace: tuple[tuple[int, float], ...]
    """Number and total of every finite evaluation."""


@dataclass(frozen=True)
class OptimisationState:
    """All that is needed to continue the optimisation of a pair."""

    scale: int = 0
    """Index of the current scale in the pyramid, coarse to fine from 0."""
    made: int = 0
    """Number of evaluations at the earlier scales."""
    image: Tensor | None = None
    """Result of the previous scale, (1, 3, h, w) float32; None at the first scale."""
    results: tuple[ScaleResult, ...] = ()
    """Results of the earlier scales, coarse to fine."""
    warnings: tuple[str, ...] = ()
    """Warnings about the earlier scales, in words."""
    minimiser: dict[str, Any] | None = None
    """`Minimiser.state` in the middle of the scale; None at its start."""

    @property
    def evaluations(self) -> int:
        """Number of evaluations so far, over all scales."""
        return self.made + (self.minimiser["number"] if self.minimiser else 0)

    def after(self, scale: Scale, minimum: Minimum, warnings: list[str]) -> OptimisationState:
        """Return the state at the start of the next scale.

        Args:
            scale: the finished scale.
            minimum: the result of the finished scale.
            warnings: warnings, besides those about restarts.

        Raises:
            NotFiniteError: the objective was not finite at the start of the finished scale.
        """
        return OptimisationState(
            self.scale + 1,
            self.made + len(minimum.values),
            minimum.image,
            (*self.results, _result(scale, minimum, self.made)),
            (*self.warnings, *warnings, *_restarts(scale, minimum, self.made)),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the state as tensors, numbers, strings, lists and dictionaries."""
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
        """Return the state that `to_plain` has written."""
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
    """Return an evaluation from the optimiser's values: total, content, style, tv, and perhaps the temporal term.

    None: they were not finite.
    """
    total, content, style, tv, *temporal = terms or (math.nan,) * 4
    return Evaluation(number, total, content, style, tv, share, planned, *temporal)


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
    """Return a warning for each restart."""
    return [
        f"the objective {restart.reason} at evaluation {made + restart.evaluation} ({scale.width}×{scale.height} px); "
        f"continued from the best image with steps × {restart.step:g}"
        for restart in minimum.restarts
    ]
