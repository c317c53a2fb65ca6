"""The card itself, its tests, and real runs on it: how busy it is, and what happens when its memory runs out."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from pipeline.outbox.publish import Outbox
from pipeline.stage.device.devices import describe_device, find_precision, native_precisions, open_card
from pipeline.stage.device.memory import Memory, MemoryDemand, predict
from pipeline.stage.device.system_memory import free_cuda_bytes
from tests.benchmarks.acceptance import Check, judged, not_run
from tests.benchmarks.cuda_plan import name_of, release
from tests.benchmarks.cuda_speed import SPEC
from tests.benchmarks.stage import DATA, photographs, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.cuda_plan import Plan

TESTS = Path(__file__).parents[1]
PYTEST_SECONDS = 120
"""Seconds after which the tests of a card are stopped."""
_BUSY_SHARE = 0.9
"""Least share of the time of a run in which a card has a pair."""
_LADDER_EVALUATIONS = 3


def card(plan: Plan) -> Iterator[Check]:
    """Say what the device is."""
    device = plan.torch_device
    open_card(device)
    precisions = ", ".join(map(name_of, native_precisions(device)))
    text = f"{describe_device(device)}, torch {torch.__version__}, natively {precisions}"
    if not plan.is_on_card:
        yield judged("device", text, is_good=True)
        yield not_run("driver", "the CPU has none")
        return
    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    text += (
        f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, compute capability "
        f"{properties.major}.{properties.minor}, {properties.multi_processor_count} multiprocessors, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    )
    yield judged("device", text, is_good=True)
    if shutil.which("nvidia-smi") is None:
        yield not_run("driver", "nvidia-smi is not installed")
        return
    found = subprocess.run(_smi(device, "driver_version"), capture_output=True, text=True, check=False, timeout=10)
    yield judged("driver", (found.stdout or found.stderr).strip().replace("\n", ", "), is_good=found.returncode == 0)


def _smi(device: torch.device, field: str, *more: str) -> list[str]:
    """Return the command that prints a property of a card."""
    card_id = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    return ["nvidia-smi", "-i", card_id, f"--query-gpu={field}", "--format=csv,noheader,nounits", *more]


@contextlib.contextmanager
def _kernel_shares(plan: Plan) -> Iterator[list[int]]:
    """Fill a list with the percentages of time in which a card ran kernels, as its driver samples them."""
    shares: list[int] = []
    if not plan.is_on_card or shutil.which("nvidia-smi") is None:
        yield shares
        return
    command = _smi(plan.torch_device, "utilization.gpu", "-lms", "100")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield shares
        finally:
            process.terminate()
            output, _ = process.communicate()
            shares += [int(line) for line in output.split("\n")[:-1] if line.strip().isdigit()]


def mean_share(shares: list[int]) -> str:
    """Return the mean from the first to the last sample in which kernels ran, without the time before and after."""
    busy = [i for i, share in enumerate(shares) if share]
    within = shares[busy[0] : busy[-1] + 1] if busy else []
    return f"kernels run in {sum(within) / len(within):.0f}% of the time" if within else "use of the card unknown"


def marked_tests(plan: Plan) -> Iterator[Check]:
    """Run the tests marked `cuda`."""
    files = sorted(str(path) for path in TESTS.rglob("test_*.py") if "pytest.mark.cuda" in path.read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "-p", "no:xdist", *files]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=TESTS.parent, timeout=PYTEST_SECONDS, env=own
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    counts = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", lines[-1])}
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    text = "; ".join([lines[-1].strip("= "), *failures])
    if done.returncode == 0 and not counts.get("passed"):
        yield not_run("pytest -m cuda", text)
    else:
        yield judged("pytest -m cuda", text, is_good=done.returncode == 0 and not counts.get("skipped"))


def _manifest(folder: Path, count: int, size: tuple[int, int]) -> Path:
    photographs(folder / "photos", count, size)
    manifest = folder / "m.csv"
    manifest.write_text(f"content,style\nphotos,{DATA / 'styles/nocturne.jpg'}\n")
    return manifest


def busy(plan: Plan) -> Iterator[Check]:
    """Measure the share of a run of small pairs in which the device has a pair."""
    settings: dict[str, Any] = {"image": {"size": plan.pair_side}, "pyramid": {"quality": "draft"}}
    if not plan.is_on_card:
        settings["pyramid"] = {"evaluations": [2]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = _manifest(folder, plan.pairs, (6 * plan.pair_side, 4 * plan.pair_side))
        with _kernel_shares(plan) as shares:
            summary, outcomes, seconds = render(
                manifest, Outbox(folder / "out"), run={"device": plan.device}, **settings
            )
        usage, rendered = summary.usage, summary.counts["rendered"]
        warnings = sorted({text for each in outcomes for text in getattr(each.record, "warnings", ())})
        sizes = sorted({getattr(each.record, "batch", None) or 1 for each in outcomes})
    yield judged(
        f"{plan.pairs} pairs of {plan.pair_side} px",
        "; ".join([f"{rendered} rendered in batches of {', '.join(map(str, sizes))}, {seconds:.1f} s", *warnings]),
        is_good=rendered == plan.pairs and not warnings,
    )
    text = (
        f"{usage.busy_share:.1%} of {usage.wall_seconds:.2f} s, {usage.pairs_per_hour:.0f} pairs/h, load "
        f"{usage.load_seconds:.2f} s, wait {usage.wait_seconds:.2f} s, save {usage.save_seconds:.2f} s, "
        f"{mean_share(shares)}"
    )
    if plan.is_on_card:
        yield judged("busy share", text, is_good=usage.busy_share >= _BUSY_SHARE)
    else:
        yield not_run("busy share", f"{text}: not judged on a CPU")


def ladder(plan: Plan) -> Iterator[Check]:
    """Render a pair on a card that is nearly full, although the stage takes it for empty."""
    name, device, side = "a pair on a full card", plan.torch_device, plan.ladder_side
    if not plan.is_on_card:
        yield not_run(name, "the memory of the host must not be filled")
        return
    settings = {"image": {"size": side}, "pyramid": {"evaluations": [_LADDER_EVALUATIONS]}}
    precision = find_precision("auto", device)
    demand = MemoryDemand(
        side, side, SPEC.layers, SPEC.content_layers, precision.itemsize, _LADDER_EVALUATIONS - 1, on_cuda=True
    )
    rungs = Memory(device).rungs(demand)
    most, least = predict(demand, rungs[0]), predict(demand, rungs[-1])
    with tempfile.TemporaryDirectory() as folder:
        manifest = _manifest(Path(folder), 1, (side, side))
        warm_up = {"image": {"size": 64}, "pyramid": {"evaluations": [2]}, "run": {"device": plan.device}}
        render(manifest, Outbox(Path(folder) / "warm-up"), **warm_up)  # libraries take their work memory now
        release(device)
        free = free_cuda_bytes(device)
        if free < most:
            yield not_run(name, f"{most / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free")
            return
        room = (most + least) // 2
        ballast = torch.empty(free - room, dtype=torch.uint8, device=device)
        with mock.patch.object(Memory, "free_bytes", return_value=free):
            _, (outcome,), _ = render(manifest, Outbox(Path(folder) / "out"), run={"device": plan.device}, **settings)
        del ballast
    record: Any = outcome.record
    warnings = [text for text in getattr(record, "warnings", ()) if "out of memory" in text]
    text = f"{record.status}, room for {room / 2**30:.1f} GiB, fit {getattr(record, 'fit', 'none')}: "
    yield judged(name, text + ("; ".join(warnings) or "no warning"), is_good=record.status == "done" and bool(warnings))
