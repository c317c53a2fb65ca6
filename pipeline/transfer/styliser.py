"""Pairs of tensors to pastiches: a pyramid of minimisations, started from the content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from pipeline.errors import NotFiniteError
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.guidance import shrink_mask
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import Scale, refine, resample, work
from pipeline.transfer.state import Evaluation, OptimisationState, ScaleResult, evaluation_of
from pipeline.transfer.targets import GramCache, Painting, Subject, Targets
from pipeline.transfer.tiling import WHOLE, Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from pipeline.transfer.lbfgs import Evaluate, Minimum
    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.vgg import Chain

ENGINE_VERSION = "4"
"""Raised whenever the same inputs and settings give other pixels; part of every key."""

_SMALLEST_PAINTING = 16
"""In px: what the network's deepest layer needs."""


@dataclass(frozen=True)
class StyliseResult:
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


@dataclass(frozen=True)
class Step:
    """One evaluation of a batch."""

    evaluations: Mapping[int, Evaluation]
    """By the place of the pair among those that were begun together."""
    state_of: Callable[[int], OptimisationState]
    """Where a pair is now. Its tensors are in work: to be written before the next evaluation, or copied."""
    image_of: Callable[[int], Tensor]
    """(1, 3, h, w): the best image of a pair at the scale that it works at, to be copied likewise."""


class Styliser:
    """The engine for a batch of pairs of one size and one pyramid, which advance together and end each for itself."""

    def __init__(  # noqa: PLR0913 - the mathematics has this many givens
        self,
        chain: Chain,
        subjects: Sequence[Subject],
        spec: ObjectiveSpec,
        optimisation: Optimisation,
        *,
        fit: Fit = WHOLE,
        cache: GramCache | None = None,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """Nothing is done yet.

        Args:
            chain: the network, on the device that shall do the work.
            subjects: whose contents are of one size; all have a mask or none.
            spec: the objective.
            optimisation: scales and optimiser.
            fit: how an evaluation is fitted into memory.
            cache: of paintings' Gram matrices through this chain.
            on_step: called after each evaluation; what it raises ends the optimisation.
        """
        self._chain, self._subjects, self._spec, self._optimisation = chain, subjects, spec, optimisation
        self._fit, self._cache, self._on_step = fit, cache, on_step
        self.states: dict[int, OptimisationState] = {}
        """Of pairs that are not done, each at the start of the scale that it works at or waits for."""

    def goes_on_from(self, state: OptimisationState) -> bool:
        """Whether as many steps are remembered as the state has."""
        if state.minimiser is None:
            return True
        scale = self._optimisation.scales[state.scale]
        return bool(state.minimiser["s"].shape[1] == min(self._history, max(1, scale.evaluations - 1)))

    @property
    def _history(self) -> int:
        return min(self._optimisation.history, self._fit.history or self._optimisation.history)

    @torch.no_grad()
    def run(
        self, states: Sequence[OptimisationState] | None = None
    ) -> Iterator[tuple[int, StyliseResult | NotFiniteError]]:
        """Minimise the objective over the images (Gatys et al. 2016), without clipping.

        Args:
            states: where to go on from, all at one scale, in its middle only if there is one pair; None: the contents.

        Yields:
            The place of a pair and its result, as soon as it is done; its error if the objective is not finite at the
            start of a scale.
        """
        self.states = dict(enumerate(states or [OptimisationState() for _ in self._subjects]))
        first = self.states[0].scale
        for index in range(first, len(self._optimisation.scales)):
            for place, minimum, trouble in self._scale(index):
                before = self.states.pop(place)
                try:
                    state = before.after(self._optimisation.scales[index], minimum, trouble)
                except NotFiniteError as error:
                    yield place, error
                    continue
                if index + 1 < len(self._optimisation.scales):
                    self.states[place] = state
                elif state.image is not None:
                    yield place, StyliseResult(state.image, state.results, state.made, state.warnings)
            if not self.states:
                return

    def _scale(self, index: int) -> Iterator[tuple[int, Minimum, list[str]]]:
        """Minimise at one scale: each pair's place as soon as it is done, with what was met that is no restart."""
        scales, places = self._optimisation.scales, list(self.states)
        scale = scales[index]
        minimiser, targets = self._prepare(scale)
        begun = {place: replace(state, minimiser=None) for place, state in self.states.items()}
        self.states = dict(begun)
        done_before, share = work(scales, index)
        planned = sum(each.evaluations for each in scales)
        evaluate, trouble = self._evaluation(targets, minimiser.x)
        while places:
            if not all(minimiser.is_done(i) for i in range(len(places))):  # else it was restored at its end
                values = minimiser.step(evaluate)
                number = minimiser.number
                evaluations = {
                    place: evaluation_of(begun[place].made + number, each, done_before + number * share, planned)
                    for place, each in zip(places, values, strict=True)
                }
                self._on_step(
                    Step(
                        evaluations,
                        partial(_state_of, begun, minimiser, list(places)),
                        partial(_image_of, minimiser, targets, list(places)),
                    )
                )
            staying = [i for i in range(len(places)) if not minimiser.is_done(i)]
            if len(staying) == len(places):
                continue
            for i, place in enumerate(places):
                if minimiser.is_done(i):
                    yield place, _composed(minimiser.minimum(i), targets, i), trouble
            places = [places[i] for i in staying]
            if places:
                minimiser.select(staying)
                targets = targets.select(staying)
                del evaluate  # a captured graph holds its activations
                evaluate, trouble = self._evaluation(targets, minimiser.x)

    def _prepare(self, scale: Scale) -> tuple[Minimiser, Targets]:
        images, targets = [], []
        for place, state in self.states.items():
            subject = self._subjects[place]
            content = resample(subject.content, scale.width, scale.height)
            shrink = scale.width / subject.content.shape[3]
            of_one = Targets.of(
                self._chain,
                self._spec,
                content,
                [_shrunk(painting, shrink) for painting in subject.paintings],
                mask=shrink_mask(subject.mask, scale.width, scale.height) if subject.mask is not None else None,
                fit=self._fit,
                cache=self._cache,
            )
            targets.append(of_one)
            image = content if state.image is None else refine(state.image.to(content.device), content)
            images.append(image if of_one.guidance is None else of_one.guidance.inverse_composite(image))
        minimiser = Minimiser(
            torch.cat(images) if len(images) > 1 else images[0],
            evaluations=scale.evaluations,
            history=self._history,
            alpha=self._optimisation.alpha,
            plateau=self._optimisation.plateau,
            history_device=torch.device("cpu") if self._fit.host else None,
        )
        (first, *_) = self.states.values()
        if first.minimiser is not None:
            minimiser.restore(first.minimiser)
        return minimiser, Targets.stack(targets)

    def _evaluation(self, targets: Targets, example: Tensor) -> tuple[Evaluate, list[str]]:
        objective = Objective(self._chain, self._spec, targets, self._fit)
        if self._fit.tile is not None:
            return objective, []  # long enough for launches not to count, and a graph would keep more memory
        return capture(objective, example)


def _state_of(
    begun: Mapping[int, OptimisationState], minimiser: Minimiser, places: list[int], place: int
) -> OptimisationState:
    return replace(begun[place], minimiser=minimiser.state(places.index(place)))


def _image_of(minimiser: Minimiser, targets: Targets, places: list[int], place: int) -> Tensor:
    index = places.index(place)
    return _composed(minimiser.minimum(index), targets, index).image


def _composed(minimum: Minimum, targets: Targets, index: int) -> Minimum:
    """With the image that was evaluated."""
    if targets.guidance is None:
        return minimum
    return replace(minimum, image=targets.guidance.select([index]).composite(minimum.image))


def _shrunk(painting: Painting, factor: float) -> Painting:
    height, width = (max(_SMALLEST_PAINTING, round(side * factor)) for side in painting.image.shape[2:])
    mask = shrink_mask(painting.mask, width, height) if painting.mask is not None else None
    return replace(painting, image=resample(painting.image, width, height), mask=mask)
