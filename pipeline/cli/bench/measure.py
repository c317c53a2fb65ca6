"""How fast this machine is: an evaluation against its convolutions alone, and those against the matrix-product peak."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

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

    from pipeline.settings.all_settings import Settings
    from pipeline.transfer.lbfgs import Evaluate
    from pipeline.transfer.losses import ObjectiveSpec

SIDES = (256, 512, 1024)
"""In px, of square images."""
_PEAK_SIDE = 2048
_RUNS = 3


@dataclass(frozen=True)
class Measurement:
    """At one size; times are medians of three."""

    side: int
    """In px; the image is square."""
    evaluation_seconds: float
    """Of the objective and its gradient."""
    iteration_seconds: float
    """Of an evaluation with the optimiser's step."""
    convolution_seconds: float
    """Of the convolutions of an evaluation, forth and back, and nothing else."""
    teraflops: float
    """Per second of an evaluation, counting only multiplications and additions of its convolutions."""
    share_of_peak: float
    """Of what a product of two matrices of 2048 × 2048 reaches in the same precision."""
    bytes_per_pixel: float | None
    """Memory that a pair takes at its height beyond network and process; None where the system does not tell."""
    pairs_per_hour: float
    """With the pyramid of the settings; reading and writing are not counted, they are done meanwhile."""


class Bench:
    """The engine as a run with these settings would have it."""

    def __init__(self, settings: Settings) -> None:
        """Load the weights.

        Raises:
            MachineError: no such device, or no weights.
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
        """What was measured on, and how."""
        precision = str(self._precision).removeprefix("torch.")
        return {"device": describe_device(self._device), "precision": precision, "threads": torch.get_num_threads()}

    @torch.no_grad()
    def measure(self, sides: Sequence[int] = SIDES) -> Iterator[Measurement]:
        """Measure at each size."""
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

        def some_steps(evaluate: Evaluate) -> None:
            ticks.clear()
            minimiser = Minimiser(  # with room for all the steps that it would remember
                image, evaluations=max(_RUNS, plan.history) + 1, history=plan.history, alpha=plan.alpha
            )
            for _ in range(_RUNS + 1):
                minimiser.step(evaluate)
                ticks.append(time.perf_counter())

        memory = _peak_bytes(lambda: some_steps(objective), self._device)
        evaluate, _ = capture(objective, image)
        evaluation = self._median(lambda: evaluate(image + 1))
        if evaluate is not objective:
            some_steps(evaluate)
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
        """Seconds and floating-point operations of every convolution forth and back, each for itself."""
        seconds = flops = 0.0
        depth = 1 + max(CONVOLUTIONS.index(convolution_of(layer)) for layer in spec.layers)
        for name, (kernel, bias), back in zip(
            CONVOLUTIONS[:depth], self._chain.forward_kernels[:depth], self._chain.backward_kernels[:depth], strict=True
        ):
            side //= 2 if follows_pooling(name) else 1
            for weight, offset in ((kernel, bias), (back, None)):
                x = self._random(1, weight.shape[1], side, side).contiguous(memory_format=torch.channels_last)
                seconds += self._median(lambda x=x, w=weight, b=offset: F.conv2d(x, w, b, padding=1))  # type: ignore[misc]
            flops += 2 * 2 * self._network.kernels[name][0].numel() * side**2
        return seconds, flops

    def _peak_flops(self) -> float:
        matrix = self._random(_PEAK_SIDE, _PEAK_SIDE)
        return 2 * _PEAK_SIDE**3 / self._median(lambda: matrix @ matrix)

    def _random(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, device=self._device).to(self._precision)

    def _median(self, work: Callable[[], object]) -> float:
        """Seconds of some work, after it was done once to warm up."""
        seconds = []
        for _ in range(_RUNS + 1):
            begin = time.perf_counter()
            work()
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds[1:])


def _peak_bytes(work: Callable[[], object], device: torch.device) -> int | None:
    """Memory that some work takes at its height, beyond what is taken before it."""
    trim()  # else memory that was freed before would be used again, unseen
    peak = PeakMemory(device)
    work()
    return peak.taken_bytes()
