"""Measures how fast this machine is: an evaluation, its convolutions alone, and the peak of matrix products."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from pipeline.stage.device.devices import describe_device, find_device, find_precision
from pipeline.stage.device.system_memory import PeakMemory, trim
from pipeline.stage.engine_config import objective_spec, optimisation
from pipeline.transfer.calibration import calibration_image
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.lbfgs import Minimiser
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import resample
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.vgg import CONVOLUTIONS, Chain, convolution_of, follows_pooling
from pipeline.transfer.weights import find_weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.settings import Settings
    from pipeline.transfer.lbfgs import Evaluate
    from pipeline.transfer.losses import ObjectiveSpec

SIDES: Final = (256, 512, 1024)
"""Sides of the square images that are measured, in px."""
_PEAK_SIDE: Final = 2048
"""Side of the matrices whose product counts as the peak."""
_RUNS: Final = 3
"""Runs of which the median is taken, after one to warm up."""


@dataclass(frozen=True)
class Measurement:
    """Measurements at one size; times are medians of three."""

    side: int
    """Side of the square image, in px."""
    evaluation_seconds: float
    """Seconds of the objective and its gradient."""
    iteration_seconds: float
    """Seconds of an evaluation with the optimiser's step."""
    convolution_seconds: float
    """Seconds of the convolutions of an evaluation, forward and backward, and nothing else."""
    teraflops: float
    """Speed of an evaluation in TFLOP/s, counting only multiplications and additions of its convolutions."""
    share_of_peak: float
    """Speed as a fraction of what the product of two 2048 × 2048 matrices reaches in the same precision."""
    bytes_per_pixel: float | None
    """Peak memory of a pair in bytes per pixel, beyond network and process; None if the system does not report it."""
    pairs_per_hour: float
    """Pairs per hour with the pyramid of the settings; reading and writing happen meanwhile and are not included."""


class Bench:
    """The engine as a run with these settings would set it up."""

    def __init__(self, settings: Settings) -> None:
        """Load the weights.

        Raises:
            MachineError: there is no such device, or the weights cannot be loaded.
        """
        self._settings, objective = settings, settings.objective
        weights = find_weights(settings.network.weights, settings.network.preprocessing)
        self._device = find_device(settings.run.device)
        self._precision = find_precision(settings.network.precision, self._device)
        self._network = load_weights(weights)
        self._chain = Chain(
            self._network,
            self._device,
            self._precision,
            pooling=objective.pooling,
            padding=objective.padding,
        )

    def describe(self) -> dict[str, str | int]:
        """Return the device, the precision and the number of threads."""
        precision = str(self._precision).removeprefix("torch.")
        return {"device": describe_device(self._device), "precision": precision, "threads": torch.get_num_threads()}

    @torch.no_grad()
    def measure(self, sides: Sequence[int] = SIDES) -> Iterator[Measurement]:
        """Measure at each side, in px."""
        peak = self._peak_flops()
        for side in sides:
            yield self._measure(side, peak)

    def _measure(self, side: int, peak: float) -> Measurement:
        spec = objective_spec(self._settings.objective)
        image = resample(calibration_image().to(self._device), side, side)
        targets = Targets.of(self._chain, spec, image, [Painting(image.flip(3))])
        objective = Objective(self._chain, spec, targets)
        plan = optimisation(self._settings, side, side)
        ticks: list[float] = []

        def take_steps(evaluate: Evaluate) -> None:
            ticks.clear()
            minimiser = Minimiser(  # long enough to fill its history
                image, evaluations=max(_RUNS, plan.history) + 1, history=plan.history, alpha=plan.alpha
            )
            for _ in range(_RUNS + 1):
                minimiser.step(evaluate)
                ticks.append(time.perf_counter())

        memory = _peak_bytes(lambda: take_steps(objective), self._device)
        evaluate, _ = capture(objective, image)
        evaluation = self._median(lambda: evaluate(image + 1))
        if evaluate is not objective:
            take_steps(evaluate)
        iteration = statistics.median(after - before for before, after in itertools.pairwise(ticks))
        convolutions, flops = self._convolutions(side, spec)
        work = sum(scale.evaluations * scale.width * scale.height for scale in plan.scales) / side**2
        return Measurement(
            side=side,
            evaluation_seconds=evaluation,
            iteration_seconds=iteration,
            convolution_seconds=convolutions,
            teraflops=flops / evaluation / 1e12,
            share_of_peak=flops / evaluation / peak,
            bytes_per_pixel=None if memory is None else memory / side**2,
            pairs_per_hour=3600 / (work * iteration),
        )

    def _convolutions(self, side: int, spec: ObjectiveSpec) -> tuple[float, float]:
        """Return seconds and operations of all convolutions, forward and backward, each measured by itself."""
        seconds = flops = 0.0
        depth = 1 + max(CONVOLUTIONS.index(convolution_of(layer)) for layer in spec.layers)
        for name, *both in zip(CONVOLUTIONS[:depth], self._chain.convolutions, self._chain.transposed, strict=False):
            side //= 2 if follows_pooling(name) else 1
            for convolution in both:
                x = self._random(1, convolution.inputs, side, side).contiguous(memory_format=torch.channels_last)
                seconds += self._median(lambda x=x, convolve=convolution: convolve(x))  # type: ignore[misc]
            flops += 2 * 2 * self._network.kernels[name][0].numel() * side**2
        return seconds, flops

    def _peak_flops(self) -> float:
        matrix = self._random(_PEAK_SIDE, _PEAK_SIDE)
        return 2 * _PEAK_SIDE**3 / self._median(lambda: matrix @ matrix)

    def _random(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, device=self._device).to(self._precision)

    def _median(self, work: Callable[[], object]) -> float:
        """Return the median of the seconds that some work takes, after one run to warm up."""
        seconds = []
        for _ in range(_RUNS + 1):
            begin = time.perf_counter()
            work()
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds[1:])


def _peak_bytes(work: Callable[[], object], device: torch.device) -> int | None:
    """Return the peak memory of some work in bytes, beyond the memory that was in use before it."""
    trim()  # else freed memory that the process kept would be used again and not be counted
    peak = PeakMemory(device)
    work()
    return peak.taken_bytes()
