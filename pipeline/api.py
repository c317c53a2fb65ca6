"""The interface for scripts: a photograph and a painting to a picture, by the same code as the command.

The order of the module: `stylise`, its inputs, the painters that it keeps from call to call, and its result.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from pydantic import ValidationError

from pipeline.disk import Disk, exists, make_folders, put, storage_errors
from pipeline.errors import ImpastoError, OccupiedError, UsageError
from pipeline.images.encode import to_samples
from pipeline.images.files import read_file
from pipeline.images.formats import endings
from pipeline.images.from_array import from_array
from pipeline.outbox.ledger import settings_in_metadata
from pipeline.outbox.metadata import Metadata, ObjectiveRecord, OutputFile, Rendering, Seconds
from pipeline.outbox.ownership import own_claim
from pipeline.outbox.writing import to_json
from pipeline.pair import InputFile, Style, make_pairs
from pipeline.run.masks import default_mask
from pipeline.run.single_pair import mask_of, paintings_of
from pipeline.settings.all_settings import Settings as AnySettings
from pipeline.settings.all_settings import explain
from pipeline.settings.api import Settings
from pipeline.settings.pair_settings import OUTPUT_FORMATS, OutputSettings
from pipeline.settings.resolve import per_pair
from pipeline.stage.device.devices import describe_device, find_device, find_precision, open_card
from pipeline.stage.device.memory import Memory
from pipeline.stage.engine_config import colour_of
from pipeline.stage.load.inputs import Source, Sources
from pipeline.stage.load.loader import Loader, fingerprint_of
from pipeline.stage.paint.painter import Painter
from pipeline.stage.paint.postprocess import finished
from pipeline.stage.pixel_budget import PixelBudget
from pipeline.stage.save.rendering_record import Maker, describe
from pipeline.stage.save.saver import encode_result
from pipeline.stage.task import Task
from pipeline.text import now
from pipeline.transfer.weights import find_weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from pipeline.images.picture import Pixels, Plane
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.load.loaded_pair import Original
    from pipeline.stage.load.loader import Loading
    from pipeline.stage.paint.painted import Painted
    from pipeline.transfer.state import Evaluation

    Image = str | os.PathLike[str] | ArrayLike
    """Path of a file, or an array; see `stylise`."""


def stylise(
    content: Image,
    style: Image | Sequence[Image],
    settings: Settings | None = None,
    *,
    mask: Image | None = None,
    on_evaluation: Callable[[Evaluation], None] = lambda _: None,
) -> Stylisation:
    """Paint a photograph in the manner of a painting.

    The first call loads the network, which takes a second or two; later calls use it again. Several threads may call
    this function at the same time; one of them paints, and the others wait.

    >>> from pipeline import Settings, stylise
    >>> tiny = Settings(image={"size": 32}, pyramid={"evaluations": 2})
    >>> result = stylise("data/content/chelsea.jpg", "data/styles/nocturne.jpg", tiny)
    >>> result.picture.shape, result.picture.dtype.name
    ((21, 32, 3), 'float32')
    >>> [number for number, total in result.objective[-1].trace]
    [1, 2]
    >>> blend = stylise(result.picture, ["data/styles/harvest.jpg", "data/styles/harbour.jpg"], tiny)
    >>> blend.to_uint8().shape
    (21, 32, 3)

    Args:
        content: the photograph: a file, or an array (H, W, 3) in sRGB of uint8, uint16, or floats from 0 to 1.
        style: the painting, as a file or an array; several paintings, or a folder of them, are blended by
            `style.blend_weights`.
        settings: see `Settings`. Of the settings for a whole run, only `run.device`, `run.memory_gb`, `[network]` and
            `mask.file` have an effect. If there are several cards, the first is used.
        mask: the result is painted where the mask is white, and the photograph where it is black: a file, or an array
            (H, W).
        on_evaluation: called after each evaluation of the objective, in this thread; an error that it raises ends the
            work and is passed on.

    Raises:
        UsageError: a setting is wrong or does not suit the pictures, or a folder has no pictures.
        ImageError: a picture cannot be used.
        OutOfMemoryError: the pair does not fit into memory, not even in tiles.
        NotFiniteError: the objective overflows.
        MachineError: there is no such device, or the weights cannot be loaded.
    """
    settings = settings or Settings()
    pair, sources = _pair(content, style, mask, settings)
    painter = _kept_painter_for(settings)
    loading, painted = painter.paint(Task(pair, 1, None), sources, settings.image, on_evaluation)
    pixels, moved = finished(painted.result.image, loading.loaded, colour_of(pair.settings.colour))
    seconds = Seconds(load=loading.seconds, queue=0.0, stylise=painted.seconds, save=0.0)
    rendering = describe(loading, painted, painter.maker, seconds, luma_moved=moved)
    return Stylisation(rendering, pixels, pair, loading.loaded.original)


def _pair(
    content: Image, style: Image | Sequence[Image], mask: Image | None, settings: AnySettings
) -> tuple[Pair, Sources]:
    if settings.colour.variants:
        raise UsageError("colour.variants: a call has one result.", "Call once with each colour.mode.")
    of_images = endings(settings.image.kinds)
    photograph = _source(content, "content")
    if isinstance(style, str | os.PathLike):
        label = Path(style).absolute().name
        paintings = [_source(each, "style") for each in paintings_of(Path(style), of_images)]
    elif isinstance(style, list | tuple):
        paintings = [_source(each, f"style {number}") for number, each in enumerate(style, 1)]
        label = " + ".join(each.path.name for each in paintings)
    else:
        paintings = [_source(cast("Image", style), "style")]
        label = paintings[0].path.name
    if not paintings:
        raise UsageError("style: an empty list has no painting.", "Name one at least.")
    if mask is None:
        mask = mask_of(photograph.path, default_mask(settings.mask.file), of_images)
    mask_source = _source(mask, "mask", channels=1) if mask is not None else None
    (pair,) = make_pairs(
        content=InputFile(photograph.path, photograph.path.name),
        style=Style(Path(label).stem, label, tuple(each.path for each in paintings)),
        name=f"{photograph.path.stem}__{Path(label).stem}",
        settings=per_pair(settings),
        mask=InputFile(mask_source.path, mask_source.path.name) if mask_source is not None else None,
    )
    return pair, Sources(photograph, tuple(paintings), mask_source)


def _source(image: Image, name: str, *, channels: int = 3) -> Source:
    if isinstance(image, str | os.PathLike):
        return read_file(Path(image).resolve())
    return from_array(np.asarray(image), Path(name), channels=channels)


_KEPT_PAINTERS: Final = 2
"""Number of painters that are kept; each has weights of 80 MB, and the Gram matrices of its paintings."""


class KeptPainter:
    """One device with one set of weights. Any thread may call `paint`; one of them at a time has the device."""

    def __init__(self, weights: str, preprocessing: str, precision: str, device: str, memory_gb: float) -> None:
        """Load the weights to the first of the devices; the parameters are settings, see `Settings`.

        Raises:
            MachineError: there is no such device, or the weights cannot be loaded.
        """
        source, found = find_weights(weights, preprocessing), find_device(device)
        open_card(found)
        dtype = find_precision(precision, found)
        self.maker = Maker(source, describe_device(found), str(dtype).removeprefix("torch."))
        self._listener, self._lock = _EvaluationListener(), threading.Lock()
        self._painter = Painter(
            network=load_weights(source),
            device=found,
            precision=dtype,
            memory=Memory(found, int(memory_gb * 2**30) or None),
            listener=self._listener,
        )

    def paint(
        self, task: Task, sources: Sources, images: ImageSettings, on_evaluation: Callable[[Evaluation], None]
    ) -> tuple[Loading, Painted]:
        """Load a pair and paint it. An error that `on_evaluation` raises ends the work and is passed on.

        Raises:
            ImpastoError: the pair cannot be loaded or painted.
        """
        loading = Loader(self.maker.weights.sha256, images, pin=False).load(task, PixelBudget(), sources)
        with self._lock:
            self._listener.on_evaluation = on_evaluation
            try:
                ((_, result),) = self._painter.paint([loading], task.pair.settings.pyramid.planned)
            finally:  # the painter is kept, but not what the caller's function refers to
                self._listener.on_evaluation = _ignore
        if isinstance(result, ImpastoError):
            raise result
        return loading, result


@lru_cache(maxsize=_KEPT_PAINTERS)
def _kept_painter(weights: str, preprocessing: str, precision: str, device: str, memory_gb: float) -> KeptPainter:
    return KeptPainter(weights, preprocessing, precision, device, memory_gb)


def _kept_painter_for(settings: Settings) -> KeptPainter:
    """Return the painter for these settings; the last few painters are kept.

    Raises:
        MachineError: there is no such device, or the weights cannot be loaded.
    """
    network, run = settings.network, settings.run
    return _kept_painter(network.weights, network.preprocessing, network.precision, run.device, run.memory_gb)


def _ignore(_: Evaluation) -> None:
    """Do nothing with an evaluation."""


class _EvaluationListener:
    """Passes evaluations on to the call that has the device, in the thread of that call."""

    def __init__(self) -> None:
        self.on_evaluation: Callable[[Evaluation], None] = _ignore
        """Callback of the call that has the device."""

    def check(self, *, in_progress: bool) -> None:
        """See `Listener`."""

    def pair_started(self, pair: Pair) -> None:
        """Do nothing."""

    def evaluated(self, pair: Pair, evaluation: Evaluation) -> None:
        """Pass an evaluation on."""
        del pair
        self.on_evaluation(evaluation)


@dataclass(frozen=True, eq=False, repr=False)
class Stylisation:
    """A result. Nothing is on disk until `save` is called."""

    metadata: Rendering
    """Contents of the JSON beside a result, without the picture's file. Paths of inputs are file names, or `content`,
    `style` and `mask` for arrays; hashes of arrays are those of their values."""
    pixels: Pixels
    """(H, W, 3) float32, sRGB, nominally 0–255, neither clipped nor rounded."""
    _pair: Pair
    _original: Original

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        return f"<Stylisation {self._pair.name}: {width}×{height} px>"

    @cached_property
    def picture(self) -> Pixels:
        """The picture as (H, W, 3) float32, sRGB, 0–1; not multiplied by alpha."""
        picture: Pixels = np.clip(self.pixels / np.float32(255), 0, 1)
        return picture

    @property
    def alpha(self) -> Plane | None:
        """Opacity of the photograph, (H, W) float32, 0–1; None if all is visible."""
        return self._original.alpha

    @property
    def objective(self) -> tuple[ObjectiveRecord, ...]:
        """Course of the optimisation at each scale, coarse to fine; `trace` has the value at each evaluation."""
        return (*self.metadata.coarser, self.metadata.objective)

    def to_uint8(self) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
        """Return the picture as (H, W, 3) uint8: the values that a PNG of 8 bits has."""
        return to_samples(self.pixels, None, 8, bgr=False).astype(np.uint8, copy=False)

    def save(self, path: str | os.PathLike[str], *, metadata: bool = False) -> Metadata:
        """Write the picture as `impasto pair` does: whole or not at all, with the photograph's EXIF, and as sRGB.

        Args:
            path: the file, whose ending (.png, .jpg, .webp or .tif) is its format; a file of this name is replaced.
            metadata: also write the JSON beside the picture, so that the command recognises it as a result.

        Returns:
            The contents of that JSON.

        Raises:
            UsageError: the path has another ending, or output.bit_depth is more than the format has.
            ImageError: the picture is larger than the format allows.
            OccupiedError: the JSON beside the picture is of another program.
            StorageError: the file cannot be written.
        """
        target, begin = Path(path), time.perf_counter()
        pair = _to_be_saved(self._pair, target)
        beside = target.with_name(f"{target.name}.json")
        if metadata:
            _check_own(beside, target)
        key = fingerprint_of(self.metadata.pair, pair, self.metadata.weights.sha256).key
        encoded = encode_result(self.pixels, self._original, pair, key)
        _write(target, encoded.data)
        height, width = self.pixels.shape[:2]
        digest = hashlib.sha256(encoded.data).hexdigest()
        output = OutputFile(path=target.name, sha256=digest, width=width, height=height, bits=encoded.bits)
        changed = {
            "key": key,
            "settings": settings_in_metadata(pair.settings),
            "seconds": self.metadata.seconds.model_copy(update={"save": time.perf_counter() - begin}),
            "finished": now(),
        }
        record = self.metadata.model_copy(update=changed).written(output, encoded.lost)
        if metadata:
            _write(beside, to_json(record))
        return record


def _to_be_saved(pair: Pair, target: Path) -> Pair:
    """Return the pair with the output format that the file's ending names."""
    image_format = OUTPUT_FORMATS.get(target.suffix.lower())
    if image_format is None:
        raise UsageError(f"{target.name}: should end in {', '.join(OUTPUT_FORMATS)}.")
    try:
        output = OutputSettings(**{**dict(pair.settings.output), "format": image_format})
    except ValidationError as error:
        raise UsageError(explain(error)) from error
    return replace(pair, settings=pair.settings.model_copy(update={"output": output}))


def _check_own(metadata: Path, picture: Path) -> None:
    """Check that metadata may be written beside a picture: no other program's file has its name."""
    disk = Disk()
    with storage_errors(metadata):
        if exists(disk, metadata) and own_claim(disk, picture.parent, picture.name) is None:
            raise OccupiedError(
                f"{metadata}: a file of this name exists already and is no metadata of this picture.",
                "Move it away, or save the picture under another name.",
            )


def _write(target: Path, data: bytes) -> None:
    disk = Disk()
    with storage_errors(target):
        make_folders(disk, target.parent)
        put(disk, target, data, target.with_name(f".{target.name}.{os.getpid()}.tmp"))
