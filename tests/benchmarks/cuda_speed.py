"""How fast a card is, how much memory it takes, and what batches gain."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING

import torch

from pipeline.cli.bench.measure import Bench
from pipeline.settings.all_settings import validate
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.device.devices import find_precision, native_precisions
from pipeline.stage.device.memory import MemoryDemand, predict
from pipeline.stage.device.system_memory import PeakMemory
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import schedule
from pipeline.transfer.styliser import Optimisation
from pipeline.transfer.targets import Painting, Subject, Targets
from pipeline.transfer.tiling import WHOLE, Fit
from pipeline.transfer.vgg import Chain
from pipeline.transfer.weights import find_weights, load_weights
from tests.benchmarks.acceptance import Check, attempted, judged, not_run
from tests.benchmarks.cuda_plan import name_of, painting, photograph, release, wait
from tests.engine import network_of, spec_of, stylise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.cuda_plan import Plan

SPEC = spec_of("painting")
_ALLOWED = 0.15
"""Largest share by which a prediction of memory may be wrong."""
_MIN_BYTES = 256 << 20
"""Bytes from which predictions are judged, as those from which the stage learns."""
_HISTORY = 4
"""Steps that L-BFGS remembers where memory is measured."""
_STEPS = 8
"""Steps over which the time of one is averaged."""
_PIXELS_TO_PIN = 12_000_000
"""Pixels of a photograph that is pinned."""


def speed(plan: Plan) -> Iterator[Check]:
    """Measure evaluations, their share of the peak, and their memory, as `impasto bench` does."""
    bench = Bench(validate({"run": {"device": plan.device}}))
    for each in bench.measure(plan.speed_sides):
        taken = "unknown" if each.bytes_per_pixel is None else f"{each.bytes_per_pixel:.0f}"
        text = (
            f"{1 / each.evaluation_seconds:.4g} evaluations/s, {1 / each.iteration_seconds:.4g} with the optimiser, "
            f"{each.teraflops:.3g} TFLOP/s, {each.share_of_peak:.0%} of peak, convolutions alone "
            f"{each.convolution_seconds / each.evaluation_seconds:.0%} of the time, {taken} bytes/px"
        )
        yield judged(f"{each.side}²", text, is_good=each.teraflops > 0 and math.isfinite(each.teraflops))
    yield _pinning(plan) if plan.is_on_card else not_run("pinned memory", "the CPU needs none")


@torch.no_grad()
def _pinning(plan: Plan) -> Check:
    """Return how long it takes to capture a graph, and to pin a photograph before and after that."""
    picture, side = torch.zeros(3 * _PIXELS_TO_PIN), plan.kernel_side

    def pin() -> float:
        begin = time.perf_counter()
        picture.pin_memory()
        return time.perf_counter() - begin

    chain = _chain(plan, find_precision("auto", plan.torch_device))
    content = photograph(plan, side)
    objective = Objective(chain, SPEC, Targets.of(chain, SPEC, content, [Painting(painting(plan, side))]))
    pin()
    cached, begin = pin(), time.perf_counter()
    _, warnings = capture(objective, content)
    seconds = time.perf_counter() - begin
    text = f"12 megapixels in {cached:.3f} s, after a capture in {pin():.3f} s; the capture takes {seconds:.3f} s"
    return judged("pinned memory", "; ".join([text, *warnings]), is_good=not warnings)


def _chain(plan: Plan, dtype: torch.dtype) -> Chain:
    return Chain(load_weights(find_weights("packaged")), plan.torch_device, dtype, **network_of("painting"))


def memory(plan: Plan) -> Iterator[Check]:
    """Compare the memory that is predicted for a pair with what it takes, for each precision and fit."""
    device, tile = plan.torch_device, plan.memory_tile
    fits = [WHOLE, Fit(recompute=True), Fit(tile=tile), *([Fit(tile=tile, host=True)] if plan.is_on_card else [])]
    for dtype in native_precisions(device):
        chain = _chain(plan, dtype)
        _paint(plan, chain, min(plan.memory_sides), WHOLE)  # libraries take their work memory now
        for side in plan.memory_sides:
            for fit in fits:
                name = f"{name_of(dtype)}, {side}², {fit}"
                yield attempted(name, partial(_predicted, plan, chain, side, fit, name))


def _predicted(plan: Plan, chain: Chain, side: int, fit: Fit, name: str) -> Check:
    device, dtype = chain.device, chain.dtype
    release(device)
    reserved = torch.cuda.memory_reserved(device) if plan.is_on_card else 0
    peak = PeakMemory(device)
    _paint(plan, chain, side, fit)
    measured = peak.taken_bytes()
    demand = MemoryDemand(
        side, side, SPEC.layers, SPEC.content_layers, dtype.itemsize, _HISTORY, on_cuda=plan.is_on_card
    )
    predicted = predict(demand, fit)
    if measured is None or measured <= 0:
        return not_run(name, "the system does not report the peak of memory")
    share = predicted / measured - 1
    text = f"predicted {predicted / 2**20:.0f} MiB, measured {measured / 2**20:.0f} MiB, {share:+.0%}"
    if plan.is_on_card:  # what torch has reserved includes memory that only a captured graph can use
        text += f", reserved {(torch.cuda.max_memory_reserved(device) - reserved) / 2**20:.0f} MiB"
    if min(predicted, measured) < _MIN_BYTES:
        return not_run(name, f"{text}: too little to be judged")
    return judged(name, text, is_good=abs(share) <= _ALLOWED)


def _paint(plan: Plan, chain: Chain, side: int, fit: Fit) -> None:
    subject = Subject(photograph(plan, side), [Painting(painting(plan, side))])
    stylise(chain, [subject], SPEC, Optimisation(schedule(side, side, (_HISTORY + 2,)), history=_HISTORY), fit=fit)


def batches(plan: Plan) -> Iterator[Check]:
    """Measure the seconds of an evaluation with the optimiser's step, for each image of batches of several sizes."""
    chain = _chain(plan, find_precision("auto", plan.torch_device))
    for side in plan.batch_sides:
        name = f"{side}², each image by size of batch"
        yield attempted(name, partial(_gains, plan, chain, side, name))


def _gains(plan: Plan, chain: Chain, side: int, name: str) -> Check:
    history, seconds = PairSettings().optimiser.history, {}
    for images in plan.batches:
        release(plan.torch_device)
        seconds[images] = _seconds_per_image(plan, chain, side, images, history)
    first = seconds[min(seconds)]
    text = ", ".join(f"{n}: {1000 * each:.3g} ms (×{first / each:.2f})" for n, each in seconds.items())
    # A batch is only taken if it gains, but one that loses much means that something does not work as it should.
    return judged(name, text, is_good=not plan.is_on_card or seconds[max(seconds)] <= 1.1 * first)


@torch.no_grad()
def _seconds_per_image(plan: Plan, chain: Chain, side: int, images: int, history: int) -> float:
    content, style = photograph(plan, side), painting(plan, side)
    targets = Targets.stack([Targets.of(chain, SPEC, content, [Painting(style)])] * images)
    start = content.repeat(images, 1, 1, 1)
    evaluate, _ = capture(Objective(chain, SPEC, targets), start)
    steps = _STEPS if plan.is_on_card else 1
    minimiser = Minimiser(start, evaluations=history + steps + 1, history=history)
    for _ in range(history if plan.is_on_card else 1):  # until the history is full
        minimiser.step(evaluate)
    wait(chain.device)
    begin = time.perf_counter()
    for _ in range(steps):
        minimiser.step(evaluate)
    wait(chain.device)
    return (time.perf_counter() - begin) / steps / images
