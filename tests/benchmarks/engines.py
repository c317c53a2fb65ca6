"""The engines that are compared, the pastiche package and ours, and the judge of their images.

All minimise the objective of the preset `gatys2016`. An engine has an image as soon as it could evaluate it, and its
seconds count from the end of its preparations: for the package, weights, pictures and targets, for ours, weights and
pictures only. Copying and judging images stops the watch.
"""

from __future__ import annotations

import math
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pipeline  # noqa: F401 - imported before torch, so that all engines have large pages

# isort: split
import torch
from PIL import Image

from pipeline.errors import NotFiniteError
from pipeline.settings.api import Settings
from pipeline.settings.resolve import per_pair
from pipeline.stage.device.devices import find_precision
from pipeline.stage.engine_config import NETWORK_SETTINGS, objective_spec, optimisation
from pipeline.transfer.styliser import Styliser
from pipeline.transfer.targets import Painting, Subject
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import find_weights, load_weights
from tests import oracle
from tests.benchmarks.shares import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from pipeline.transfer.styliser import Step

CPU: Final = torch.device("cpu")
SETTINGS: Final = per_pair(Settings(preset="gatys2016"))
"""Settings of our engine; the pastiche package has the same objective by itself."""
_MEAN: Final = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
"""Mean of BGR that the pastiche package subtracts."""
_SCALE_OF_PASTICHE: Final = 100.0
"""Gatys' objective ÷ that of the pastiche package, whose default weights are a hundredth of his."""


@dataclass(frozen=True)
class Prepared:
    """A photograph and a painting in the size in which all engines get them."""

    name: str
    content_file: Path
    """The photograph as PNG."""
    style_file: Path
    content: Tensor
    """The photograph, (1, 3, H, W) float32, RGB 0–255."""
    style: Tensor


def prepare(content: Path, style: Path, size: int, folder: Path) -> Prepared:
    """Write both pictures as PNG with the given short side in px, so that every engine starts from the same pixels."""
    files = folder / "content.png", folder / "style.png"
    tensors = [_resized(path, size, to) for path, to in zip((content, style), files, strict=True)]
    return Prepared(f"{content.name} × {style.name}", *files, *tensors)


def _resized(path: Path, size: int, to: Path) -> Tensor:
    with Image.open(path) as image:
        scale = size / min(image.size)
        small = image.convert("RGB").resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    small.save(to)
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(small.height, small.width, 3)
    return pixels.permute(2, 0, 1)[None].float()


class LossJudge:
    """Gatys' objective of a pair's images in float32, from the oracle's activations, which are none of the engines'."""

    def __init__(self, pair: Prepared) -> None:
        self._weighted = oracle.Weighted(**SETTINGS.objective.model_dump())
        with torch.no_grad():
            self._targets = oracle.targets(pair.content, [(pair.style, 1.0)], self._weighted)

    def __call__(self, image: Tensor) -> float:
        with torch.no_grad():
            return float(oracle.against(image, self._targets, self._weighted)["total"])


class Stopwatch:
    """Seconds since it was made, without those in which it was paused."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begin

    @contextmanager
    def paused(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self._begin += time.perf_counter() - begin


def pastiche(pair: Prepared, evaluations: int, *, style_size: tuple[int, int] | None = None) -> Iterator[Moment]:
    """Yield the images of a run of the pastiche package, one per evaluation, and the first is the photograph.

    Args:
        pair: its pictures.
        evaluations: number of evaluations.
        style_size: height and width in px of the painting; None: its own, as for every other engine. Without a size,
            the package would bring it to the photograph's number of pixels, and so minimise another objective.
    """
    from pastiche.pastiche import PasticheArtist  # noqa: PLC0415 - the import takes seconds, and only this function needs it

    height, width = style_size or pair.style.shape[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it reads pictures by `Image.getdata`
        artist = PasticheArtist(
            str(pair.content_file), [str(pair.style_file)], device="cpu", style_size=(height, width)
        )
    watch = Stopwatch()
    for _ in range(evaluations):
        seconds = watch.seconds
        with watch.paused():
            image = (artist.pastiche.detach() + _MEAN).flip(1)
        artist.draw()  # evaluates this image, and makes the next one
        with watch.paused():
            yield Moment(seconds, image, _SCALE_OF_PASTICHE * artist.loss)


def precision_of(name: str) -> torch.dtype:
    """Return the type of our engine's convolutions for a value of `network.precision`."""
    return find_precision(name, CPU)


def load_chain(precision: torch.dtype) -> Chain:
    """Return the network of our engine."""
    network = load_weights(find_weights("packaged"))
    return Chain(network, CPU, precision, **SETTINGS.objective.model_dump(include=NETWORK_SETTINGS))


def ours(
    chain: Chain,
    pair: Prepared,
    evaluations: int,
    *,
    coarser: Sequence[int] = (),
    is_enough: Callable[[Moment], bool] = lambda _: False,
) -> list[Moment]:
    """Return the images of full size of a run of our engine, one per evaluation.

    Args:
        chain: see `load_chain`.
        pair: the pictures.
        evaluations: number of evaluations at the full size.
        coarser: numbers of evaluations at smaller sizes, coarse to fine, each half of the next; they count as seconds.
        is_enough: whether the run may stop at an image; its time is not counted.
    """
    height, width = pair.content.shape[2:]
    plan = optimisation(SETTINGS, width, height, (*coarser, evaluations))
    subject = Subject(pair.content, [Painting(pair.style)])
    recorder = _Recorder((height, width), Stopwatch(), is_enough)
    styliser = Styliser(chain, [subject], objective_spec(SETTINGS.objective), plan, on_step=recorder)
    with suppress(_EnoughError):
        for _, result in styliser.run():
            if isinstance(result, NotFiniteError):
                raise result
    return recorder.moments


class _EnoughError(Exception):
    """Ends a run of our engine."""


class _Recorder:
    """Records every image of full size, and the time, as our engine tells its steps."""

    def __init__(self, size: tuple[int, int], watch: Stopwatch, is_enough: Callable[[Moment], bool]) -> None:
        self._size, self._watch, self._is_enough = size, watch, is_enough
        self._next: tuple[float, Tensor] | None = None
        """The image that is evaluated next, and the seconds until it was there."""
        self.moments: list[Moment] = []

    def __call__(self, step: Step) -> None:
        """Record the image that was just evaluated, and keep the one that is evaluated next."""
        seconds = self._watch.seconds
        with self._watch.paused():
            if step.image_of(0).shape[2:] != self._size:
                return
            if self._next is None:  # the first of full size is the best so far; it is counted after its evaluation
                self._next = seconds, step.image_of(0).clone()
            total = step.evaluations[0].total
            self.moments.append(Moment(*self._next, own=total if math.isfinite(total) else math.inf))
            if self._is_enough(self.moments[-1]):
                raise _EnoughError
            minimiser = step.state_of(0).minimiser
            assert minimiser is not None, "a step is in the middle of a scale"
            self._next = seconds, minimiser["x"].clone()
