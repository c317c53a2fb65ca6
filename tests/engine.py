"""The engine in one call, for tests and benchmarks: no stage, no files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import NotFiniteError
from pipeline.settings.pair_settings import ObjectiveSettings
from pipeline.settings.presets import PRESETS
from pipeline.stage.engine_config import NETWORK_SETTINGS, objective_spec
from pipeline.transfer.lbfgs import Minimiser, Minimum
from pipeline.transfer.styliser import Optimisation, Step, Styliser, StyliseResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from pipeline.transfer.lbfgs import Evaluate
    from pipeline.transfer.losses import ObjectiveSpec
    from pipeline.transfer.state import Evaluation
    from pipeline.transfer.targets import Subject
    from pipeline.transfer.vgg import Chain


def spec_of(preset: str, **changes: Any) -> ObjectiveSpec:
    """Return the objective of a preset with changes."""
    return replace(objective_spec(ObjectiveSettings(**PRESETS[preset]["objective"])), **changes)


def network_of(preset: str) -> dict[str, Any]:
    """Return the pooling and the padding of a preset, with which its chain is built."""
    return ObjectiveSettings(**PRESETS[preset]["objective"]).model_dump(include=NETWORK_SETTINGS)


def sections_of(preset: str) -> dict[str, Any]:
    """Return the settings of a preset by section, apart from its pyramid."""
    return {section: values for section, values in PRESETS[preset].items() if section != "pyramid"}


def stylise(
    chain: Chain,
    subjects: Sequence[Subject],
    spec: ObjectiveSpec,
    optimisation: Optimisation,
    *,
    on_evaluation: Callable[[list[Evaluation]], None] = lambda _: None,
    **more: Any,
) -> list[StyliseResult]:
    """Return the results of a batch in the order of its subjects; raise the error of a subject that failed."""

    def tell(step: Step) -> None:
        on_evaluation(list(step.evaluations.values()))

    results = dict(Styliser(chain, subjects, spec, optimisation, on_step=tell, **more).run())
    for result in results.values():
        if isinstance(result, NotFiniteError):
            raise result
    return [result for _, result in sorted(results.items()) if isinstance(result, StyliseResult)]


def minimise(
    evaluate: Evaluate, start: Tensor, *, on_evaluation: Callable[[object], None] = lambda _: None, **settings: Any
) -> list[Minimum]:
    """Return the minima of a batch; an image leaves the batch as soon as it is done."""
    minimiser, places, minima = Minimiser(start, **settings), list(range(len(start))), {}
    while places:
        on_evaluation(minimiser.step(evaluate))
        minima |= {place: minimiser.minimum(i) for i, place in enumerate(places) if minimiser.is_done(i)}
        staying = [i for i, place in enumerate(places) if place not in minima]
        if len(staying) < len(places):
            minimiser.select(staying)
        places = [places[i] for i in staying]
    return [minima[place] for place in sorted(minima)]
