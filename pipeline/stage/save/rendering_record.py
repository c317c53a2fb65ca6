"""The metadata of a rendering: its inputs, the device, and the course of the optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.metadata import FrameRecord, ObjectiveRecord, ObjectiveTerms, Rendering, Seconds, Weights
from pipeline.stage.task import VERSIONS
from pipeline.text import now
from pipeline.transfer.styliser import ENGINE_VERSION

if TYPE_CHECKING:
    from pipeline.settings.pair_settings import PairSettings
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painted import Painted
    from pipeline.transfer.state import Evaluation, ScaleResult
    from pipeline.transfer.weights import WeightsSource


@dataclass(frozen=True)
class Maker:
    """The network, the device and the precision that make results."""

    weights: WeightsSource
    device: str
    """Device as `describe_device` names it."""
    precision: str
    """Name of the type of the convolutions."""


def describe(  # noqa: PLR0913 - what a record tells of
    loading: Loading,
    painted: Painted,
    maker: Maker,
    seconds: Seconds,
    *,
    luma_moved: float = 0.0,
    flicker: float = 0.0,
) -> Rendering:
    """Return the metadata of a result that is not written yet.

    Args:
        loading: the pair.
        painted: the result of its optimisation.
        maker: the network, device and precision.
        seconds: seconds of each step.
        luma_moved: share of pixels whose luma was moved, see `postprocess.finished`.
        flicker: of a frame that follows another, see `LoadedMotion.flicker`.
    """
    settings, result, loaded = loading.task.pair.settings, painted.result, loading.loaded
    return Rendering(
        key=loading.key,
        pair=loaded.inputs,
        preset=settings.preset,
        settings=settings_in_metadata(settings),
        weights=Weights(name=maker.weights.name, sha256=maker.weights.sha256),
        engine_version=ENGINE_VERSION,
        device=maker.device,
        precision=maker.precision,
        working_size=(loaded.width, loaded.height),
        optimisation=loading.optimisation,
        evaluations=result.evaluations,
        frame=_frame(loading, flicker),
        luma_moved=luma_moved,
        planned=painted.planned if loaded.fills is None else tuple(each.scale.evaluations for each in result.scales),
        resumed_at=painted.resumed,
        fit=str(painted.fit),
        batch=painted.batch,
        objective=_record(result.scales[-1]),
        coarser=[_record(scale) for scale in result.scales[:-1]],
        seconds=seconds,
        peak_memory_bytes=painted.peak_memory_bytes,
        attempt=loading.task.attempt,
        warnings=[*loaded.warnings, *_shortened(settings, painted), *result.warnings],
        started=loading.started.isoformat(timespec="milliseconds"),
        finished=now(),
        versions=VERSIONS,
    )


def _frame(loading: Loading, flicker: float) -> FrameRecord | None:
    frame, motion = loading.task.pair.frame, loading.loaded.motion
    if frame is None:
        return None
    place = FrameRecord(
        clip=frame.clip,
        number=frame.number,
        frames=frame.frames,
        previous_sha256=frame.previous_sha256,
        settings=loading.task.pair.settings.sequence.model_dump(mode="json"),
    )
    if frame.predecessor is None or motion is None:
        return place
    measured = {
        "follows": frame.predecessor.result,
        "renewed": frame.predecessor.renews,
        "flicker": flicker,
        "flicker_of_photographs": motion.photographs,
        "trusted": float(motion.trusted.mean()),
        "still": float(motion.still.mean()),
    }
    return place.model_copy(update=measured)


def _shortened(settings: PairSettings, painted: Painted) -> list[str]:
    """Return a warning if fewer evaluations were planned than the settings ask for."""
    requested = settings.pyramid.planned
    if painted.planned == requested:
        return []
    planned, wanted = ("+".join(map(str, each)) for each in (painted.planned, requested))
    return [f"the time budget allowed only {planned} evaluations instead of {wanted}"]


def _record(result: ScaleResult) -> ObjectiveRecord:
    return ObjectiveRecord(
        size=(result.scale.width, result.scale.height),
        first=_terms(result.first),
        last=_terms(result.last),
        best=_terms(result.best),
        trace=list(result.trace),
    )


def _terms(evaluation: Evaluation) -> ObjectiveTerms:
    return ObjectiveTerms(**{name: getattr(evaluation, name) for name in ObjectiveTerms.model_fields})
