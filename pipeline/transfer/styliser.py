"""The optimisation of pairs: one minimisation per scale of a pyramid, started from the content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from pipeline.errors import NotFiniteError
from pipeline.transfer.approach import evaluations_of_approach
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.guidance import shrink_mask
from pipeline.transfer.lbfgs import FIRST_STEP_LEVELS, RESTART_STEP_LEVELS, Minimiser
from pipeline.transfer.motion import TemporalTarget
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import Scale, refine, resample, work
from pipeline.transfer.state import Evaluation, OptimisationState, ScaleResult, evaluation_of
from pipeline.transfer.targets import MomentsCache, Painting, Subject, Targets
from pipeline.transfer.tiling import WHOLE, Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from pipeline.transfer.lbfgs import Evaluate, Minimum
    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.motion import Motion
    from pipeline.transfer.vgg import Chain

ENGINE_VERSION = "5"
"""Version of the engine, part of every key. It is raised whenever equal inputs and settings give other
pixels, beyond rounding."""

_SMALLEST_PAINTING = 16
"""Shortest side of a painting in px: a smaller one has no features at the network's deepest layer."""


@dataclass(frozen=True)
class StyliseResult:
    """Result of a pair's optimisation."""

    image: Tensor
    """Best finite iterate of the finest scale, (1, 3, H, W) float32, sRGB 0–255, not clipped."""
    scales: tuple[ScaleResult, ...]
    """Results of the scales, coarse to fine."""
    evaluations: int
    """Number of evaluations made."""
    warnings: tuple[str, ...]
    """Warnings in words."""


@dataclass(frozen=True)
class Optimisation:
    """The parameters of the minimisation."""

    scales: tuple[Scale, ...]
    """Scales of the pyramid, coarse to fine; the last one has the content's size."""
    detail: float = 1.0
    """Share of the photograph's detail that each finer scale starts with, 0–1."""
    history: int = 10
    """Largest number of steps that L-BFGS remembers."""
    alpha: float = 0.4
    """Exponent of the `SpectralPreconditioner`."""
    plateau: float = 0.0
    """Share by which ten evaluations must improve an image, or its scale ends; 0: it never ends early."""


@dataclass(frozen=True)
class Step:
    """One evaluation of a batch."""

    evaluations: Mapping[int, Evaluation]
    """Evaluations by index of the pair in the batch."""
    state_of: Callable[[int], OptimisationState]
    """Returns the state of a pair by its index. Its tensors must be written or copied before the next evaluation."""
    image_of: Callable[[int], Tensor]
    """Returns the best image of a pair at its scale, (1, 3, h, w), by its index. It must be copied before the next
    evaluation."""
    waiting: Mapping[int, OptimisationState]
    """States of the pairs that have finished this scale already and wait for the next one, by index."""


class Styliser:
    """The engine for a batch of pairs of one size and one pyramid. They advance together, and each may end earlier."""

    def __init__(  # noqa: PLR0913 - the method has this many parameters
        self,
        chain: Chain,
        subjects: Sequence[Subject],
        spec: ObjectiveSpec,
        optimisation: Optimisation,
        *,
        fit: Fit = WHOLE,
        cache: MomentsCache | None = None,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """Store what `run` needs.

        Args:
            chain: the network on its device.
            subjects: pairs whose contents are of one size; all have a mask or none has.
            spec: the objective.
            optimisation: scales and optimiser.
            fit: how an evaluation is fitted into memory.
            cache: moments of paintings through this chain.
            on_step: called after each evaluation by the thread that calls `run`; an exception ends the optimisation.
        """
        self._chain, self._subjects, self._spec, self._optimisation = chain, subjects, spec, optimisation
        self._fit, self._cache, self._on_step = fit, cache, on_step
        self.states: dict[int, OptimisationState] = {}
        """States of the pairs that are not done, by index, each at the start of its current or next scale."""

    def can_continue(self, state: OptimisationState) -> bool:
        """Whether the state remembers as many steps as this styliser does."""
        if state.minimiser is None:
            return True
        scale = self._optimisation.scales[state.scale]
        return bool(state.minimiser["s"].shape[1] == min(self._history, max(1, scale.evaluations - 1)))

    @property
    def _history(self) -> int:
        return min(self._optimisation.history, self._fit.history or self._optimisation.history)

    def run(
        self, states: Sequence[OptimisationState] | None = None
    ) -> Iterator[tuple[int, StyliseResult | NotFiniteError]]:
        """Minimise the objective over the images (Gatys et al. 2016), without clipping.

        Args:
            states: states to continue from. Several states must all be at the start of one scale; a single state may
                also be in the middle of a scale. None: start from the contents.

        Returns:
            An iterator over the index of a pair and its result, as soon as it is done, or the error if the objective is
            not finite at the start of a scale.
        """
        self.states = dict(enumerate(states or [OptimisationState() for _ in self._subjects]))
        return self._run()  # without the states: `_minimise` drops the optimiser's part, which holds many images

    @torch.no_grad()
    def _run(self) -> Iterator[tuple[int, StyliseResult | NotFiniteError]]:
        scales = self._optimisation.scales
        first = self.states[0].scale
        for scale_index in range(first, len(scales)):
            for index, minimum, warnings in self._minimise(scale_index):
                before = self.states.pop(index)
                try:
                    state = before.after(scales[scale_index], minimum, warnings)
                except NotFiniteError as error:
                    yield index, error
                    continue
                if scale_index + 1 < len(scales):
                    self.states[index] = state
                elif state.image is not None:
                    yield index, StyliseResult(state.image, state.results, state.made, state.warnings)
            if not self.states:
                return

    def _minimise(self, scale_index: int) -> Iterator[tuple[int, Minimum, list[str]]]:
        """Minimise at one scale; yield each pair's index as soon as it is done, its result, and warnings."""
        scales, indices = self._optimisation.scales, list(self.states)
        scale = scales[scale_index]
        minimiser, targets = self._prepare(scale)
        starts = {index: replace(state, minimiser=None) for index, state in self.states.items()}
        self.states = dict(starts)
        done_before, share = work(scales, scale_index)
        planned = sum(each.evaluations for each in scales)
        turn = evaluations_of_approach(scale.evaluations) if targets.approach else 0
        evaluate, warnings = self._evaluation(targets, minimiser, turn)
        while indices:
            if not all(minimiser.is_done(row) for row in range(len(indices))):  # else it was restored at its end
                if minimiser.number == turn > 0:
                    minimiser.change_objective()
                    del evaluate  # a captured graph holds its activations
                    evaluate, warnings = self._evaluation(targets, minimiser, turn)
                values = minimiser.step(evaluate)
                number = minimiser.number
                evaluations = {
                    index: evaluation_of(starts[index].made + number, each, done_before + number * share, planned)
                    for index, each in zip(indices, values, strict=True)
                }
                self._on_step(
                    Step(
                        evaluations,
                        partial(_state_of, starts, minimiser, list(indices)),
                        partial(_image_of, minimiser, targets, list(indices)),
                        {index: state for index, state in self.states.items() if index not in evaluations},
                    )
                )
            staying = [row for row in range(len(indices)) if not minimiser.is_done(row)]
            if len(staying) == len(indices):
                continue
            for row, index in enumerate(indices):
                if minimiser.is_done(row):
                    yield index, _composite(minimiser.minimum(row), targets, row), warnings
            indices = [indices[row] for row in staying]
            if indices:
                minimiser.select(staying)
                targets = targets.select(staying)
                del evaluate
                evaluate, warnings = self._evaluation(targets, minimiser, turn)

    def _prepare(self, scale: Scale) -> tuple[Minimiser, Targets]:
        """Return the minimiser of all pairs at the start of a scale, or restored, and their targets."""
        images, targets = [], []
        for index, state in self.states.items():
            subject = self._subjects[index]
            content = resample(subject.content, scale.width, scale.height)
            factor = scale.width / subject.content.shape[3]
            target = Targets.of(
                self._chain,
                self._spec,
                content,
                [_shrink(painting, factor) for painting in subject.paintings],
                mask=shrink_mask(subject.mask, scale.width, scale.height) if subject.mask is not None else None,
                fit=self._fit,
                cache=self._cache,
            )
            image = content if state.image is None else self._refine(state.image, content)
            if subject.motion is not None and (state.image is None or not subject.motion.renews):
                image = subject.motion.start(image)
            image = image if target.guidance is None else target.guidance.inverse_composite(image)
            if subject.motion is not None:
                target = self._with_temporal(target, subject.motion, image)
            targets.append(target)
            images.append(image)
        minimiser = Minimiser(
            torch.cat(images) if len(images) > 1 else images[0],
            evaluations=scale.evaluations,
            history=self._history,
            alpha=self._optimisation.alpha,
            plateau=self._optimisation.plateau,
            history_device=torch.device("cpu") if self._fit.host else None,
            first_step=FIRST_STEP_LEVELS if self._subjects[0].motion is None else RESTART_STEP_LEVELS,
        )
        (first, *_) = self.states.values()
        if first.minimiser is not None:
            minimiser.restore(first.minimiser)
        return minimiser, Targets.stack(targets)

    def _with_temporal(self, target: Targets, motion: Motion, start: Tensor) -> Targets:
        """Return targets with those of the temporal term, at the size of the frame; smaller sizes have no such term."""
        if start.shape != motion.warped.shape:
            return target
        terms, _ = Objective(self._chain, self._spec, target, self._fit)(start)
        kept = motion.warped if target.guidance is None else target.guidance.inverse_composite(motion.warped)
        return replace(target, temporal=TemporalTarget.of(motion, terms[:, 0], kept))

    def _refine(self, coarse: Tensor, content: Tensor) -> Tensor:
        return refine(coarse.to(content.device), content, self._optimisation.detail)

    def _evaluation(self, targets: Targets, minimiser: Minimiser, turn: int) -> tuple[Evaluate, list[str]]:
        """Return the function for the next evaluations, and warnings; the first `turn` of a scale are an approach."""
        targets = targets.of_approach() if minimiser.number < turn else targets
        objective = Objective(self._chain, self._spec, targets, self._fit)
        if self._fit.tile is not None:
            return objective, []  # launches take a small share of so long an evaluation; a graph would keep memory
        return capture(objective, minimiser.x)


def _state_of(
    starts: Mapping[int, OptimisationState], minimiser: Minimiser, indices: list[int], index: int
) -> OptimisationState:
    return replace(starts[index], minimiser=minimiser.state(indices.index(index)))


def _image_of(minimiser: Minimiser, targets: Targets, indices: list[int], index: int) -> Tensor:
    row = indices.index(index)
    return _composite(minimiser.minimum(row), targets, row).image


def _composite(minimum: Minimum, targets: Targets, row: int) -> Minimum:
    """Return a result with the image that was evaluated.

    It is the content where the mask is black, and the frame before where nothing changes.
    """
    if targets.temporal is not None:
        minimum = replace(minimum, image=targets.temporal.select([row]).composite(minimum.image))
    if targets.guidance is not None:
        minimum = replace(minimum, image=targets.guidance.select([row]).composite(minimum.image))
    return minimum


def _shrink(painting: Painting, factor: float) -> Painting:
    height, width = (max(_SMALLEST_PAINTING, round(side * factor)) for side in painting.image.shape[2:])
    mask = shrink_mask(painting.mask, width, height) if painting.mask is not None else None
    return replace(painting, image=resample(painting.image, width, height), mask=mask)
