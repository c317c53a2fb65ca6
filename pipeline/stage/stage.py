"""The one shared stage: it owns the device, and every pair goes through it.

A thread loads the next pair while the calling thread has the device; at most one pair waits, so that a slow device
does not fill memory.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from pipeline.errors import DeviceError, ImpastoError, Interrupted, MachineError, OutOfMemoryError
from pipeline.images.colour import with_chroma_of
from pipeline.images.write import encode
from pipeline.outbox.ledger import Fingerprint, settings_in_key, settings_in_metadata
from pipeline.outbox.metadata import (
    Metadata,
    ObjectiveRecord,
    ObjectiveTerms,
    OutputFile,
    Seconds,
    Weights,
)
from pipeline.stage.device import describe, find_device, find_precision, peak_memory_bytes, reset_peak_memory
from pipeline.stage.engine import objective_spec, optimisation
from pipeline.stage.load import LoadedPair, load
from pipeline.stage.task import VERSIONS, Outcome, Task, failure_of, now
from pipeline.transfer.objective import Painting
from pipeline.transfer.stylizer import ENGINE_VERSION, Evaluation, ScaleResult, Stylisation, stylise
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pipeline.images.read import Pixels
    from pipeline.outbox.publish import Outbox
    from pipeline.pair import Pair
    from pipeline.settings import Settings
    from pipeline.transfer.vgg import Padding, Pooling, Vgg19
    from pipeline.transfer.weights import WeightsSource

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Who wants to know what happens on the device; what it raises ends the run."""

    def pair_started(self, pair: Pair) -> None:
        """The device begins with this pair."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """One evaluation of the pair on the device is over."""


@dataclass(frozen=True)
class _Loading:
    """A loaded pair with the moments that its metadata needs."""

    loaded: LoadedPair
    started: datetime
    seconds: float
    ready: float


class Stage:
    """Renders pairs one after the other on one device and publishes the results."""

    def __init__(  # noqa: PLR0913 - what it owns
        self,
        *,
        network: Vgg19,
        weights: WeightsSource,
        device: torch.device,
        precision: torch.dtype,
        outbox: Outbox,
        max_pixels: int,
        listener: Listener,
    ) -> None:
        self._network, self._weights, self._device, self._precision = network, weights, device, precision
        self._chains: dict[tuple[Pooling, Padding], Chain] = {}
        self._outbox, self._max_pixels, self._listener = outbox, max_pixels, listener

    @classmethod
    def of(cls, settings: Settings, weights: WeightsSource, outbox: Outbox, listener: Listener) -> Stage:
        """The stage that settings ask for, with its network loaded.

        Raises:
            MachineError: there is no such device, or the weights cannot be had.
        """
        device = find_device(settings.run.device)
        return cls(
            network=load_weights(weights),
            weights=weights,
            device=device,
            precision=find_precision(settings.network.precision, device),
            outbox=outbox,
            max_pixels=settings.image.max_pixels,
            listener=listener,
        )

    def process(self, tasks: Iterable[Task | None]) -> Generator[Outcome]:
        """Render the tasks in order; what failed is reported and the others go on.

        Args:
            tasks: None says that there is no next one for the moment, so that those before it need not wait for it.

        Raises:
            MachineError: the machine cannot go on; what was finished is published, the rest is untouched.
            Interrupted: the listener asked to stop; likewise.
        """
        with ThreadPoolExecutor(1, "load") as loader:
            try:
                for task, loading in self._load_ahead(loader, tasks):
                    yield self._process(task, loading)
            finally:
                loader.shutdown(cancel_futures=True)

    def _load_ahead(
        self, loader: ThreadPoolExecutor, tasks: Iterable[Task | None]
    ) -> Iterator[tuple[Task, Future[_Loading]]]:
        """Each task with its loading; the next one is loaded while the device works on this one, but no further."""
        ahead: deque[tuple[Task, Future[_Loading]]] = deque()
        for task in tasks:
            if task is None or task.alone:
                while ahead:
                    yield ahead.popleft()
            if task is not None:
                ahead.append((task, loader.submit(self._load, task.pair)))
                if task.alone or len(ahead) > 1:
                    yield ahead.popleft()
        yield from ahead

    def _load(self, pair: Pair) -> _Loading:
        started, begin = datetime.now(UTC), time.perf_counter()
        loaded = load(pair, self._max_pixels)
        ready = time.perf_counter()
        return _Loading(loaded, started, ready - begin, ready)

    def _process(self, task: Task, loading: Future[_Loading]) -> Outcome:
        try:
            loaded = loading.result()
            self._outbox.check_free(task.pair.file_name, task.owner)  # before the device's time is spent
            metadata = self._render(task, loaded)
        except (MachineError, Interrupted):
            raise
        except ImpastoError as error:
            return self._fail(task, error)
        except Exception as error:  # one pair never stops the others: it is logged and recorded
            if is_out_of_memory(error):
                return self._fail(
                    task,
                    OutOfMemoryError(
                        f"{task.pair.content.name}: does not fit into memory at image.size = "
                        f"{task.pair.settings.image.size}.",
                        "Lower image.size.",
                    ),
                )
            if "CUDA error" in str(error):  # nothing works on the device any more until the process ends
                raise DeviceError(
                    f"{describe(self._device)} failed at {task.pair.name}: {error}.",
                    "Check the device; then run the same command again to continue.",
                ) from error
            logger.exception("%s failed", task.pair.name)
            return self._fail(
                task,
                ImpastoError(f"{type(error).__name__}: {error}", "This is a defect of impasto; please report it."),
            )
        return Outcome(task, metadata)

    def _render(self, task: Task, loading: _Loading) -> Metadata:
        pair, loaded = task.pair, loading.loaded
        begin = time.perf_counter()
        self._listener.pair_started(pair)
        reset_peak_memory(self._device)
        result = self._stylise(pair, loaded)
        stylised = time.perf_counter()
        pixels: Pixels = result.image[0].permute(1, 2, 0).cpu().numpy()
        if pair.settings.colour.mode == "swap-luma":
            pixels = with_chroma_of(pixels, loaded.content)
        task.fence()
        output = pair.settings.output
        data = encode(pixels, image_format=output.format, jpeg_quality=output.jpeg_quality)
        height, width = pixels.shape[:2]
        written = OutputFile(
            path=pair.file_name,
            sha256=self._outbox.publish_picture(pair.file_name, data, task.owner),
            width=width,
            height=height,
        )
        seconds = Seconds(
            load=loading.seconds,
            queue=max(0.0, begin - loading.ready),
            stylise=stylised - begin,
            save=time.perf_counter() - stylised,
        )
        metadata = self._describe(task, loading, result, written, seconds)
        self._outbox.publish_metadata(pair.name, pair.file_name, metadata, task.owner)
        return metadata

    def _describe(
        self, task: Task, loading: _Loading, result: Stylisation, written: OutputFile, seconds: Seconds
    ) -> Metadata:
        settings, inputs = task.pair.settings, loading.loaded.inputs
        fingerprint = Fingerprint(
            inputs.content.sha256, inputs.style.sha256, settings_in_key(settings), self._weights.sha256, ENGINE_VERSION
        )
        return Metadata(
            key=fingerprint.key,
            pair=inputs,
            preset=settings.preset,
            settings=settings_in_metadata(settings),
            weights=Weights(name=self._weights.name, sha256=self._weights.sha256),
            engine_version=ENGINE_VERSION,
            device=describe(self._device),
            precision=str(self._precision).removeprefix("torch."),
            working_size=(written.width, written.height),
            evaluations=result.evaluations,
            objective=_record(result.scales[-1]),
            coarser=[_record(scale) for scale in result.scales[:-1]],
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(self._device),
            attempt=task.attempt,
            warnings=[*loading.loaded.warnings, *result.warnings],
            output=written,
            started=loading.started.isoformat(timespec="milliseconds"),
            finished=now(),
            versions=VERSIONS,
        )

    def _stylise(self, pair: Pair, loaded: LoadedPair) -> Stylisation:
        settings = pair.settings
        content, style = self._tensor(loaded.content), self._tensor(loaded.style)
        height, width = content.shape[2:]
        (result,) = stylise(
            self._chain(settings.objective.pooling, settings.objective.padding),
            [(content, [Painting(style)])],
            objective_spec(settings.objective),
            optimisation(settings, width, height),
            on_evaluation=lambda evaluations: self._listener.evaluated(pair, evaluations[0]),
        )
        return result

    def _chain(self, pooling: Pooling, padding: Padding) -> Chain:
        if (pooling, padding) not in self._chains:
            self._chains[pooling, padding] = Chain(
                self._network, self._device, self._precision, pooling=pooling, padding=padding
            )
        return self._chains[pooling, padding]

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].to(self._device)

    @staticmethod
    def _fail(task: Task, error: ImpastoError) -> Outcome:
        return Outcome(task, failure_of(task, error), error)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a pair was too large for the device or, where torch gives the error no type, for the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


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
