"""One pair of tensors to one pastiche: L-BFGS on the image, started from the content."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.transfer.objective import Objective, ObjectiveSpec, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from pipeline.transfer.vgg import Vgg19

ENGINE_VERSION = "1"
"""Raised whenever the same inputs and settings give other pixels; part of every key."""


@dataclass(frozen=True)
class Evaluation:
    """The objective at one evaluation, and its weighted terms."""

    number: int
    """From 1; the first is at the content itself."""
    total: float
    content: float
    style: float
    tv: float


@dataclass(frozen=True)
class Stylisation:
    """What the optimisation came to."""

    image: Tensor
    """(1, 3, H, W) float32, sRGB, not clipped: the best finite iterate."""
    first: Evaluation
    last: Evaluation
    best: Evaluation
    trace: tuple[tuple[int, float], ...]
    """(evaluation, total) of every finite evaluation."""
    evaluations: int
    """How many were made."""
    warnings: tuple[str, ...]


class _NotFiniteError(Exception):
    """The objective became NaN or infinite."""


def stylise(  # noqa: PLR0913 - the mathematics has this many givens
    network: Vgg19,
    content: Tensor,
    style: Tensor,
    spec: ObjectiveSpec,
    *,
    evaluations: int,
    history: int,
    on_evaluation: Callable[[Evaluation], None] = lambda _: None,
) -> Stylisation:
    """Minimise the objective over the image, from a clone of the content, without clipping (Gatys et al. 2016).

    Args:
        network: on the device that shall do the work.
        content: (1, 3, H, W) float32, sRGB 0–255.
        style: (1, 3, H', W') float32, sRGB 0–255.
        spec: the objective.
        evaluations: of the objective and its gradient, at most; fewer only if the gradient vanishes.
        history: steps that L-BFGS remembers.
        on_evaluation: called after each; what it raises ends the optimisation.

    Raises:
        FloatingPointError: the objective is not finite at the content itself.
    """
    descent = _Descent(Objective(network, content, style, spec), content, on_evaluation)
    step, warnings = 1.0, []
    while len(descent.seen) < evaluations:
        try:
            descent.descend(evaluations - len(descent.seen), history, step)
            break  # the gradient vanished, or nothing is left to spend
        except _NotFiniteError:
            number = descent.seen[-1].number
            if number == 1:
                msg = "the objective is not finite at the content itself"
                raise FloatingPointError(msg) from None
            step /= 2
            warnings.append(
                f"the objective was not finite at evaluation {number}; went on from the best image with steps × {step}"
            )
    finite = [e for e in descent.seen if math.isfinite(e.total)]
    return Stylisation(
        image=descent.best_image,
        first=finite[0],
        last=finite[-1],
        best=min(finite, key=lambda e: e.total),
        trace=tuple((e.number, e.total) for e in finite),
        evaluations=len(descent.seen),
        warnings=tuple(warnings),
    )


class _Descent:
    """L-BFGS that keeps the best image it has seen."""

    def __init__(self, objective: Objective, start: Tensor, on_evaluation: Callable[[Evaluation], None]) -> None:
        self._objective, self._on_evaluation = objective, on_evaluation
        self.seen: list[Evaluation] = []
        self.best_image = start.clone(memory_format=torch.contiguous_format)  # torch.optim.LBFGS flattens it
        self._best_total = math.inf

    def descend(self, evaluations: int, history: int, step: float) -> None:
        """Go down from the best image.

        Tolerances of zero and no line search: every call of the closure is one evaluation and one step. pastiche and
        neural-style-pt run it so, too; with a line search L-BFGS may stop after a handful of steps.

        Raises:
            _NotFiniteError: the objective became NaN or infinite.
        """
        image = self.best_image.clone().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [image],
            lr=step,
            max_iter=evaluations,
            max_eval=evaluations,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=history,
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            terms = self._objective(image)
            self._remember(image, terms)
            terms.total.backward()  # type: ignore[no-untyped-call]
            return terms.total

        optimiser.step(closure)  # type: ignore[no-untyped-call]

    def _remember(self, image: Tensor, terms: Terms) -> None:
        parts = (terms.total, terms.content, terms.style, terms.tv)
        evaluation = Evaluation(len(self.seen) + 1, *(part.item() for part in parts))
        self.seen.append(evaluation)
        if not math.isfinite(evaluation.total):
            raise _NotFiniteError
        if evaluation.total < self._best_total:
            self._best_total = evaluation.total
            self.best_image.copy_(image.detach())
        self._on_evaluation(evaluation)
