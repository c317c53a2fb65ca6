"""Measurements of the speed, the memory and the recovery of the shared stage.

python -m tests.benchmarks.stage throughput    24 photographs of 12 megapixels: is the device ever idle?
python -m tests.benchmarks.stage memory        predicted against measured at 512 … 4096 px
python -m tests.benchmarks.stage large         an evaluation of 4096 × 4096 px, whole and in tiles
python -m tests.benchmarks.stage pastiche      a pastiche of 4096 × 4096 px and the memory it takes
python -m tests.benchmarks.stage soak          a thousand small pairs: does the process grow?
python -m tests.benchmarks.stage kill          SIGKILL in a long pair: what is done again?
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline  # noqa: F401 - imported before torch, for large pages

# isort: split
import numpy as np
import psutil
import torch
from PIL import Image

from pipeline.disk import Disk
from pipeline.images.files import read_file
from pipeline.outbox.paths import check_name
from pipeline.outbox.publish import Outbox
from pipeline.run import plan as plan_module
from pipeline.run import runner as run_module
from pipeline.run.manifest import ManifestRules, read_manifest
from pipeline.run.observer import Observer
from pipeline.settings.all_settings import validate
from pipeline.settings.pair_settings import ObjectiveSettings
from pipeline.stage.device.devices import find_precision
from pipeline.stage.device.memory import ON_CPU, MemoryDemand, predict
from pipeline.stage.device.system_memory import PeakMemory, trim, tune_allocator
from pipeline.stage.engine_config import objective_spec
from pipeline.stage.load import loader as load_module
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import resample
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.tiling import WHOLE, Fit
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import find_weights, load_weights
from tests.engine import network_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.images.decode import SourceFile
    from pipeline.stage.task import Outcome

DATA = Path(__file__).parents[2] / "data"
CPU = torch.device("cpu")
SPEC = objective_spec(ObjectiveSettings())
SLOW_SECONDS = 0.3
GIB = 2**30
RULES = ManifestRules((".jpg", ".png"), check_name, ())


def photographs(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write JPEGs of a size (width, height) in px, made from the sample photographs, all different."""
    folder.mkdir(parents=True)
    sources = sorted((DATA / "content").glob("*.jpg"))
    rng, paths = np.random.default_rng(0), []
    for i in range(count):
        with Image.open(sources[i % len(sources)]) as source:
            large = np.asarray(source.convert("RGB").resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.integers(-4, 5, (*large.shape[:2], 1), dtype=np.int16)
        paths.append(folder / f"{i:03}.jpg")
        Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


class _Outcomes(Observer):
    """An observer that keeps all outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def render(manifest: Path, outbox: Outbox, **sections: Any) -> tuple[run_module.Summary, list[Outcome], float]:
    """Run a manifest as the command does; return its summary, its outcomes, and its seconds."""
    pairs = read_manifest(manifest, sections, {}, RULES)
    observer = _Outcomes()
    begin = time.perf_counter()
    summary = run_module.run(pairs, outbox, validate(sections), observer)
    return summary, observer.outcomes, time.perf_counter() - begin


class SlowDisk(Disk):
    """A disk that takes 300 ms to write a file."""

    def write(self, path: Path, data: bytes) -> None:
        if len(data) > 4096:
            time.sleep(SLOW_SECONDS)
        super().write(path, data)


def slow_read(path: Path) -> SourceFile:
    time.sleep(SLOW_SECONDS)
    return read_file(path)


def throughput(count: int) -> None:
    load_weights(find_weights("packaged"))  # loaded into the cache, so that no measurement includes it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "photos", count, (4000, 3000))
        manifest = folder / "m.csv"
        manifest.write_text(f"content,style\nphotos,{DATA / 'styles/nocturne.jpg'}\n")
        settings = {"image": {"size": 256}, "pyramid": {"quality": "draft"}}
        for label, disk in (("usual disk", Disk()), ("300 ms per file", SlowDisk())):
            reader = read_file if type(disk) is Disk else slow_read
            load_module.read_file = plan_module.read_file = reader  # type: ignore[attr-defined]
            summary, outcomes, seconds = render(manifest, Outbox(folder / label.replace(" ", "-"), disk), **settings)
            stylised = sum(outcome.record.seconds.stylise for outcome in outcomes)  # type: ignore[union-attr]
            usage = summary.usage
            print(
                f"{label}: {summary.counts['rendered']} pairs, {summary.counts['failed']} failed; "
                f"device busy {usage.busy_share:.2%} of "
                f"{usage.wall_seconds:.1f} s after the first pair started; that is "
                f"{usage.wall_seconds / stylised:.3f} of the {stylised:.1f} s stylised; "
                f"with planning and the network {seconds:.1f} s = {seconds / stylised:.3f}; "
                f"load {usage.load_seconds:.1f} s, wait {usage.wait_seconds:.2f} s, save {usage.save_seconds:.1f} s, "
                f"{usage.pairs_per_hour:.0f} pairs/h"
            )
        load_module.read_file = plan_module.read_file = read_file  # type: ignore[attr-defined]
        alone(folder, settings, {o.pair.name: o.record.seconds.stylise for o in outcomes})  # type: ignore[union-attr]


def alone(folder: Path, settings: dict[str, Any], in_run: dict[str, float]) -> None:
    """Run some of the pairs again, each in a run of its own, so that nothing is loaded or saved at the same time."""
    names = sorted(in_run)[:4]
    ratios = []
    for name in names:
        content = name.partition("__")[0]
        manifest = folder / f"{content}.csv"
        manifest.write_text(f"content,style\nphotos/{content}.jpg,{DATA / 'styles/nocturne.jpg'}\n")
        _, (outcome,), _ = render(manifest, Outbox(folder / f"alone-{content}"), **settings)
        ratios.append(in_run[name] / outcome.record.seconds.stylise)  # type: ignore[union-attr]
    print("stylise seconds in the run / alone, of four pairs:", ", ".join(f"{ratio:.3f}" for ratio in ratios))


def chain_of(dtype: torch.dtype) -> Chain:
    return Chain(load_weights(find_weights("packaged")), CPU, dtype, **network_of("painting"))


def picture(side: int, name: str) -> torch.Tensor:
    with Image.open(DATA / name) as image:
        small = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1)[None]
    return resample(small, side, side).clamp(0, 255)


def demand_of(side: int, dtype: torch.dtype, history: int) -> MemoryDemand:
    return MemoryDemand(side, side, SPEC.layers, SPEC.content_layers, dtype.itemsize, history)


@torch.no_grad()
def measure_peak(side: int, dtype: torch.dtype, fit: Fit, history: int) -> None:
    """Return the peak of memory of a few evaluations, in bytes; call it in a process of its own."""
    chain = chain_of(dtype)

    def paint(side: int, evaluations: int) -> None:
        content, style = picture(side, "content/chelsea.jpg"), picture(side, "styles/nocturne.jpg")
        objective = Objective(chain, SPEC, Targets.of(chain, SPEC, content, [Painting(style)], fit=fit), fit)
        minimiser = Minimiser(content, evaluations=evaluations, history=history)
        for _ in range(evaluations):
            minimiser.step(objective)

    paint(64, 2)
    trim()
    tune_allocator(side * side, fit)
    peak = PeakMemory(CPU)
    paint(side, history + 1)
    print(peak.taken_bytes())


def in_own_process(*arguments: object) -> str:
    command = [sys.executable, "-m", "tests.benchmarks.stage", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def memory(sides: Sequence[int], dtype: torch.dtype, rungs: int) -> None:
    for side in sides:
        for rung, fit in enumerate(ON_CPU[:rungs]):
            if fit.tile is not None and fit.tile >= side:
                continue
            history = 2
            predicted = predict(demand_of(side, dtype, history), fit)
            measured = int(in_own_process("_peak", side, str(dtype).removeprefix("torch."), rung, history))
            print(
                f"{side}² {dtype} {fit}: predicted {predicted / GIB:.2f} GiB, measured {measured / GIB:.2f} GiB, "
                f"{predicted / measured - 1:+.1%}",
                flush=True,
            )


@torch.no_grad()
def large(side: int, dtype: torch.dtype) -> None:
    """Print the seconds of one evaluation whole, recomputed and in tiles, and the differences between the results."""
    chain = chain_of(dtype)
    tune_allocator(side * side)
    content, style = picture(side, "content/chelsea.jpg"), picture(side, "styles/nocturne.jpg")
    image = content.flip(3)
    truth: tuple[torch.Tensor, torch.Tensor] | None = None
    seconds_whole = 0.0
    targets = Targets.of(chain, SPEC, content, [Painting(style)], fit=Fit(tile=min(1024, side // 2)))
    for fit in (WHOLE, Fit(recompute=True), Fit(tile=min(2048, side // 2))):
        peak = PeakMemory(CPU)
        begin = time.perf_counter()
        terms, gradient = Objective(chain, SPEC, targets, fit)(image)
        seconds = time.perf_counter() - begin
        seconds_whole = seconds_whole or seconds
        text = f"{side}² {dtype} {fit}: {seconds:.1f} s = {seconds / seconds_whole:.2f} of whole"
        text += f", {(peak.taken_bytes() or 0) / GIB:.1f} GiB"
        if truth is None:
            truth = terms, gradient
        else:
            objective = abs(terms[0, 0] / truth[0][0, 0] - 1).item()
            difference = ((gradient - truth[1]).norm() / truth[1].norm()).item()
            text += f"; objective differs by {objective:.1e}, gradient by {difference:.1e}"
        print(text, flush=True)


def pastiche(side: int, memory_gb: float) -> None:
    """Print the seconds and the memory of a whole pair that goes through the stage in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "photos", 1, (side, side))
        manifest = folder / "m.csv"
        manifest.write_text(f"content,style\nphotos/000.jpg,{DATA / 'styles/nocturne.jpg'}\n")
        peak = PeakMemory(CPU)
        _, (outcome,), seconds = render(
            manifest,
            Outbox(folder / "out"),
            image={"size": side},
            pyramid={"evaluations": [4, 3, 2]},
            run={"memory_gb": memory_gb},
        )
        record = outcome.record
        print(
            f"process at most {(peak.bytes() or 0) / GIB:.1f} GiB in {seconds:.0f} s: fit {record.fit}, objective ",
            end="",
        )  # type: ignore[union-attr]
        print(f"{record.objective.first.total:.4g} → {record.objective.best.total:.4g}; {record.warnings}")  # type: ignore[union-attr]


def soak(count: int) -> None:
    """Print the resident memory after every hundredth pair."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "photos", count, (48, 40))
        manifest = folder / "m.csv"
        manifest.write_text(f"content,style\nphotos,{DATA / 'styles/nocturne.jpg'}\n")
        pairs = read_manifest(manifest, {}, {"image": {"size": 40}, "pyramid": {"evaluations": [2]}}, RULES)
        resident: list[int] = []

        class Resident(Observer):
            def outcome(self, _: Outcome) -> None:
                resident.append(psutil.Process().memory_info().rss)

        run_module.run(pairs, Outbox(folder / "out"), validate({}), Resident())
        for i in range(99, count, 100):
            print(f"after {i + 1} pairs: {resident[i] / 2**20:.1f} MiB, {resident[i] / resident[99] - 1:+.2%}")


class _EvaluationPrinter(_Outcomes):
    """A listener that prints each evaluation to stdout at once."""

    def evaluated(self, pair: Any, evaluation: Any) -> None:
        del pair
        print(json.dumps({"evaluation": evaluation.number, "at": time.time()}), flush=True)


def long_pair(folder: Path, seconds: float) -> None:
    """Render one pair that takes a minute, for `kill`."""
    sections = {"image": {"size": 256}, "pyramid": {"evaluations": [10, 300]}}
    pairs = read_manifest(folder / "m.csv", {}, sections, RULES)
    settings = validate({"run": {"checkpoint_seconds": seconds}})
    observer = _EvaluationPrinter()
    run_module.run(pairs, Outbox(folder / "out"), settings, observer)
    print(json.dumps({"resumed_at": observer.outcomes[0].record.resumed_at}))  # type: ignore[union-attr]


def kill(times: int, seconds: float) -> None:
    rng = random.Random(0)  # noqa: S311
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "photos", 1, (1200, 900))
        (folder / "m.csv").write_text(f"content,style\nphotos,{DATA / 'styles/nocturne.jpg'}\n")
        command = [sys.executable, "-m", "tests.benchmarks.stage", "_long", str(folder), str(seconds)]
        made: list[dict[str, float]] = []
        for _ in range(times + 1):
            before = list(made)
            made = []
            deadline = time.time() + seconds * rng.uniform(2.0, 4.0) if before or not made else 0.0
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                for line in process.stdout or ():
                    made.append(json.loads(line))
                    if len(made) == 1 and before:
                        repeated = int(before[-1]["evaluation"] - made[0]["evaluation"] + 1)
                        again = [each for each in before if each["evaluation"] >= made[0]["evaluation"]]
                        lost = before[-1]["at"] - again[0]["at"] if again else 0.0
                        last = before[-1]["evaluation"]
                        print(f"killed at evaluation {last}: {repeated} repeated, {lost:.1f} s of work")
                    if len(made) == 1:
                        deadline = time.time() + seconds * rng.uniform(1.2, 3.0)
                    if time.time() > deadline and _ < times:
                        os.kill(process.pid, signal.SIGKILL)
                        break
        print(
            f"at last: {made[-1]}; checkpoints every {seconds:g} s, an evaluation takes "
            f"{(made[-2]['at'] - made[0]['at']) / max(1, len(made) - 2):.2f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what")
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--dtype", default=None, help="float32 or bfloat16; default: as the device has it")
    parser.add_argument("--rungs", type=int, default=4, help="of the ladder, for memory")
    parser.add_argument("--memory-gb", type=float, default=0.0)
    arguments = parser.parse_args()
    dtype = find_precision(arguments.dtype or "auto", CPU)
    rest = arguments.rest
    commands = {
        "throughput": lambda: throughput(arguments.pairs or 24),
        "memory": lambda: memory([int(side) for side in rest] or [512, 1024, 2048, 4096], dtype, arguments.rungs),
        "large": lambda: large(arguments.side, dtype),
        "pastiche": lambda: pastiche(arguments.side, arguments.memory_gb),
        "soak": lambda: soak(arguments.pairs or 1000),
        "kill": lambda: kill(3, 5.0),
        "_peak": lambda: measure_peak(int(rest[0]), getattr(torch, rest[1]), ON_CPU[int(rest[2])], int(rest[3])),
        "_long": lambda: long_pair(Path(rest[0]), float(rest[1])),
    }
    commands[arguments.what]()


if __name__ == "__main__":
    main()
