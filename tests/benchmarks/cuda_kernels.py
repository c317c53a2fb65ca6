"""Whether a card computes what the CPU computes: the objective, its gradient, captured graphs, very large tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name

from pipeline.stage.device.devices import native_precisions
from pipeline.stage.device.memory import Memory
from pipeline.transfer.cuda_graph import capture
from pipeline.transfer.objective import Objective
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.tiling import WHOLE, Fit
from pipeline.transfer.vgg import Chain, Pooling, Vgg19
from pipeline.transfer.weights import find_weights, load_weights
from tests.benchmarks.acceptance import Check, in_words, judged, not_run
from tests.benchmarks.cuda_plan import name_of, painting, photograph, release
from tests.engine import network_of, spec_of
from tests.masks import disc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from tests.benchmarks.cuda_plan import Plan

PRESETS = {"gram": "colour-preserving", "wasserstein": "painting"}
"""A preset for each measure of style."""
_CHANNELS = 64
_COUNTABLE = 2**31


@dataclass(frozen=True)
class Case:
    """One way to compute the objective."""

    pooling: Pooling
    style: str
    masked: bool
    style_weight: float | None = None
    """Weight of the style; None: the preset's."""

    def __str__(self) -> str:
        weight = f", style weight {self.style_weight:g}" if self.style_weight else ""
        return f"{self.pooling}, {self.style}, {'mask' if self.masked else 'no mask'}{weight}"

    def objective(self, plan: Plan, chain: Chain, fit: Fit) -> Objective:
        """Return the objective on the chain's device."""
        side, spec = plan.kernel_side, spec_of(PRESETS[self.style])
        if self.style_weight is not None:
            spec = replace(spec, style_weight=self.style_weight)
        mask = disc(side, side).to(chain.device) if self.masked else None
        content, style = (each.to(chain.device) for each in (photograph(plan, side), painting(plan, side)))
        targets = Targets.of(chain, spec, content, [Painting(style, mask=mask)], mask=mask, fit=fit)
        return Objective(chain, spec, targets, fit)


POOLINGS: tuple[Pooling, ...] = "max", "average"
CASES = [Case(pooling, style, masked) for pooling in POOLINGS for style in PRESETS for masked in (False, True)]
LARGE_WEIGHT = Case("max", "gram", masked=False, style_weight=1e6)
"""The case in which float16 is nearest to its bounds: max pooling, and the largest weight that tests/transfer tries."""


def limits(dtype: torch.dtype, case: Case) -> tuple[float, float]:
    """Return the largest relative errors of the terms and of the gradient, as in tests/transfer."""
    if dtype is not torch.float32:
        return 0.03, 0.08
    if case.style == "wasserstein":  # a card computes roots of matrices in another way
        return 0.01, 0.01
    return 1e-3, 0.01 if case.pooling == "max" else 1e-4  # rounding chooses between nearly equal features


def distance(found: Tensor, truth: Tensor) -> float:
    """Return the relative distance of two tensors; infinite if one is not finite."""
    found, truth = found.detach().double().cpu(), truth.detach().double().cpu()
    error = ((found - truth).norm() / truth.norm().clamp(min=1e-30)).item()
    return error if error == error else float("inf")  # noqa: PLR0124 - NaN is not equal to itself


class _Comparison:
    """The errors of one precision and one fit, over all cases."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._worst: dict[str, float] = {}
        self._wrong: list[str] = []

    def add(self, case: Case, **errors: tuple[float, float]) -> None:
        """Add the errors of a case, each with its limit."""
        for what, (error, limit) in errors.items():
            self._worst[what] = max(error, self._worst.get(what, 0.0))
            if not error <= limit:
                self._wrong.append(f"{what} {error:.1e} > {limit:.0e} with {case}")

    def fail(self, case: Case, text: str) -> None:
        """Add a case that could not be computed."""
        self._wrong.append(f"{text} with {case}")

    def check(self) -> Check:
        """Return the check of all cases."""
        worst = "largest relative errors: " + ", ".join(f"{what} {error:.1e}" for what, error in self._worst.items())
        return judged(self._name, "; ".join([worst, *self._wrong]), is_good=not self._wrong)


@torch.no_grad()
def kernels(plan: Plan) -> Iterator[Check]:
    """Compare each way to compute the objective with the CPU's in float32, and captured graphs with launches."""
    network = load_weights(find_weights("packaged"))
    image = photograph(plan, plan.kernel_side, seed=2).cpu()
    image += 5 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    on_cpu = replace(plan, device="cpu")
    truths: dict[Case, Any] = {}
    for case in (*CASES, LARGE_WEIGHT):
        chain = _chain(network, on_cpu, torch.float32, case)
        truths[case] = case.objective(on_cpu, chain, WHOLE)(image)
    for dtype in native_precisions(plan.torch_device):
        for fit in (WHOLE, Fit(recompute=True), Fit(tile=plan.kernel_tile)):
            comparison = _Comparison(f"{name_of(dtype)}, {fit}, {len(CASES)} cases")
            for case in CASES:
                _compare(plan, network, dtype, fit, case, image, truths[case], comparison)
            yield comparison.check()
        comparison = _Comparison(f"{name_of(dtype)}, {LARGE_WEIGHT}")
        _compare(plan, network, dtype, WHOLE, LARGE_WEIGHT, image, truths[LARGE_WEIGHT], comparison)
        yield comparison.check()
    if not plan.is_on_card:
        yield not_run("captured graphs", "the CPU has none")


def _compare(  # noqa: PLR0917 - one evaluation depends on all of them
    plan: Plan,
    network: Vgg19,
    dtype: torch.dtype,
    fit: Fit,
    case: Case,
    image: Tensor,
    truth: tuple[Tensor, Tensor],
    comparison: _Comparison,
) -> None:
    try:
        evaluate = case.objective(plan, _chain(network, plan, dtype, case), fit)
        at = image.to(plan.torch_device)
        terms, gradient = evaluate(at)
        of_terms, of_gradient = limits(dtype, case)
        comparison.add(
            case,
            terms=(distance(terms, truth[0]), of_terms),
            gradient=(distance(gradient, truth[1]), of_gradient),
        )
        if not plan.is_on_card or fit.tile is not None:
            return
        replay, warnings = capture(evaluate, torch.zeros_like(at))
        for warning in warnings:
            comparison.fail(case, warning)
        replayed, replayed_gradient = replay(at)
        limit = 1e-4 if dtype is torch.float32 else 1e-2
        difference = max(distance(replayed, terms), distance(replayed_gradient, gradient))
        comparison.add(case, graph=(difference, limit))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of the case
        comparison.fail(case, in_words(error))


def _chain(network: Vgg19, plan: Plan, dtype: torch.dtype, case: Case) -> Chain:
    padding = network_of(PRESETS[case.style])["padding"]
    return Chain(network, plan.torch_device, dtype, pooling=case.pooling, padding=padding)


@torch.no_grad()
def large_convolution(plan: Plan) -> Iterator[Check]:
    """Compare a convolution of more than 2³¹ values with the same in two halves."""
    side, device = plan.convolution_side, plan.torch_device
    dtype = native_precisions(device)[0]
    values = _CHANNELS * side**2
    release(device)
    needed, free = 4 * values * dtype.itemsize, Memory(device).free_bytes()
    name = f"convolution of {values / _COUNTABLE:.3g} · 2³¹ values in {name_of(dtype)}"
    if needed > free:
        yield not_run(name, f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free")
        return
    kernel = torch.randn(_CHANNELS, _CHANNELS, 3, 3, generator=torch.Generator().manual_seed(0)) / 24
    kernel = kernel.to(device, dtype).contiguous(memory_format=torch.channels_last)
    x = torch.empty(1, _CHANNELS, side, side, dtype=dtype, device=device, memory_format=torch.channels_last)
    generator, rows = torch.Generator(device).manual_seed(0), max(1, side // 16)
    for row in range(0, side, rows):  # filled in parts, which have fewer than 2³¹ values
        part = x[:, :, row : row + rows]
        part.copy_(torch.randn(part.shape, generator=generator, device=device))
    whole = F.conv2d(x, kernel, padding=1)
    errors, middle = [], side // 2
    for start, stop in ((0, middle), (middle, side)):
        before, after = max(0, start - 1), min(side, stop + 1)
        half = F.conv2d(x[:, :, before:after], kernel, padding=1)[:, :, start - before :][:, :, : stop - start]
        for row in range(start, stop, rows):
            end = min(stop, row + rows)
            errors.append((whole[:, :, row:end].float() - half[:, :, row - start : end - start].float()).abs().max())
    worst = torch.stack(errors).max().item()
    # Values have a standard deviation of one; another algorithm may round them to a neighbouring number.
    yield judged(name, f"largest difference to the same in two halves: {worst:.1e}", is_good=worst <= 0.1)
