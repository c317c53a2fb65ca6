"""The way out: pixels to a picture with its metadata in the outbox."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.images.colour import with_chroma_of
from pipeline.images.write import encode
from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.metadata import Metadata, ObjectiveRecord, ObjectiveTerms, OutputFile, Seconds, Weights
from pipeline.stage.task import VERSIONS, now
from pipeline.transfer.stylizer import ENGINE_VERSION

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.images.read import Pixels
    from pipeline.outbox.publish import Outbox
    from pipeline.settings import PairSettings
    from pipeline.stage.load import Loading
    from pipeline.stage.painter import Painted
    from pipeline.transfer.state import Evaluation, ScaleResult
    from pipeline.transfer.weights import WeightsSource


@dataclass(frozen=True)
class Saver:
    """What the threads that save have in common."""

    outbox: Outbox
    weights: WeightsSource
    device: str
    precision: str

    def save(self, loading: Loading, painted: Painted, queued: float) -> Metadata:
        """Encode and publish a picture, then its metadata.

        Args:
            loading: the pair.
            painted: what the device made of it.
            queued: seconds that it was loaded and waited for the device.

        Raises:
            ImpastoError: it is not wanted any more, its name is not to be had, or the disk failed.
        """
        begin = time.perf_counter()
        task = loading.task
        pair, output = task.pair, task.pair.settings.output
        pixels = _pixels(painted.result.image)
        if pair.settings.colour.mode == "swap-luma":
            pixels = with_chroma_of(pixels, _pixels(loading.loaded.content))
        task.fence()
        data = encode(pixels, image_format=output.format, jpeg_quality=output.jpeg_quality)
        height, width = pixels.shape[:2]
        written = OutputFile(
            path=pair.file_name,
            sha256=self.outbox.publish_picture(pair.file_name, data, task.owner),
            width=width,
            height=height,
        )
        seconds = Seconds(
            load=loading.seconds,
            queue=queued,
            stylise=painted.seconds,
            save=time.perf_counter() - begin,
        )
        metadata = self._describe(loading, painted, written, seconds)
        self.outbox.publish_metadata(pair.name, pair.file_name, metadata, task.owner)
        return metadata

    def _describe(self, loading: Loading, painted: Painted, written: OutputFile, seconds: Seconds) -> Metadata:
        settings, result = loading.task.pair.settings, painted.result
        return Metadata(
            key=loading.key,
            pair=loading.loaded.inputs,
            preset=settings.preset,
            settings=settings_in_metadata(settings),
            weights=Weights(name=self.weights.name, sha256=self.weights.sha256),
            engine_version=ENGINE_VERSION,
            device=self.device,
            precision=self.precision,
            working_size=(written.width, written.height),
            evaluations=result.evaluations,
            planned=painted.planned,
            resumed_at=painted.resumed,
            fit=str(painted.fit),
            batch=painted.batch,
            objective=_record(result.scales[-1]),
            coarser=[_record(scale) for scale in result.scales[:-1]],
            seconds=seconds,
            peak_memory_bytes=painted.peak_memory_bytes,
            attempt=loading.task.attempt,
            warnings=[*loading.loaded.warnings, *_shortened(settings, painted), *result.warnings],
            output=written,
            started=loading.started.isoformat(timespec="milliseconds"),
            finished=now(),
            versions=VERSIONS,
        )


def _shortened(settings: PairSettings, painted: Painted) -> list[str]:
    asked = settings.pyramid.planned
    if painted.planned == asked:
        return []
    made, wanted = ("+".join(map(str, each)) for each in (painted.planned, asked))
    return [f"for want of time {made} evaluations were planned instead of {wanted}"]


def _pixels(image: Tensor) -> Pixels:
    """(1, 3, H, W) → (H, W, 3)."""
    pixels: Pixels = image[0].permute(1, 2, 0).numpy()
    return pixels


def _record(result: ScaleResult) -> ObjectiveRecord:
    return ObjectiveRecord(
        size=(result.scale.width, result.scale.height),
        first=_terms(result.first),
        last=_terms(result.last),
        best=_terms(result.best),
        trace=list(result.trace),
    )


def _terms(evaluation: Evaluation) -> ObjectiveTerms:
    return ObjectiveTerms(total=evaluation.total, content=evaluation.content, style=evaluation.style, tv=evaluation.tv)
