"""Tests of the L-BFGS minimiser."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.transfer import lbfgs
from pipeline.transfer.lbfgs import FIRST_STEP_LEVELS, GROWTH, Minimiser
from pipeline.transfer.lbfgs_state import OVERRELAXATION
from pipeline.transfer.preconditioner import SpectralPreconditioner, to_image, to_spectrum
from tests.engine import minimise

Evaluate = "Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]"
SHAPE = (3, 6, 10)


def start(count: int = 1, seed: int = 0) -> torch.Tensor:
    return 255 * torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def valley(seed: int = 0) -> Evaluate:
    """Return a quadratic with eigenvalues from 0.01 to 10, whose minimum is 0 where all values are 100."""
    size = math.prod(SHAPE)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed)))
    matrix = (basis * torch.logspace(-2, 1, size)) @ basis.mT

    def evaluate(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = (x - 100).flatten(1)
        pull = torch.stack([row @ matrix for row in away])
        return torch.stack([row @ pulled / 2 for row, pulled in zip(away, pull, strict=True)])[:, None], pull.view_as(x)

    return evaluate


class Faulty:
    """A quadratic with wrong values at some evaluations."""

    def __init__(self, faults: dict[int, str]) -> None:
        self.faults, self.count, self.inner = faults, 0, valley()

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.count += 1
        value, gradient = self.inner(x)
        fault = self.faults.get(self.count)
        if fault == "nan":
            value = value * math.nan
        elif fault == "gradient":
            gradient = gradient * math.inf
        elif fault == "explosion":
            value, gradient = value * 1e9, gradient * -1e9
        return value, gradient


def test_minimises_a_badly_conditioned_quadratic() -> None:
    (minimum,) = minimise(valley(), start(), evaluations=120, alpha=0.0)
    totals = [values[0] for values in minimum.values]
    assert len(totals) == 120, "each iteration takes one evaluation"
    assert min(totals) < 1e-6 * totals[0]
    assert (minimum.image - 100).abs().max() < 1
    assert minimum.restarts == ()


def two_loop_steps(evaluate: Evaluate, x: torch.Tensor, evaluations: int, history: int, alpha: float) -> list[float]:
    """Return the values of L-BFGS as in Nocedal & Wright, algorithm 7.4, with our first step, limit and scale."""
    preconditioner = SpectralPreconditioner(*x.shape[2:], alpha, x.device)

    def precondition(image: torch.Tensor) -> torch.Tensor:
        return to_image(to_spectrum(image) * preconditioner.multipliers)

    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
    totals = []
    value, g = evaluate(x)
    for _ in range(evaluations):
        totals.append(value.item())
        q, stack = g.clone(), []
        for s, y in reversed(pairs):
            a = (s * q).sum() / (s * y).sum()
            stack.append(a)
            q -= a * y
        q = precondition(q)
        if pairs:
            s, y = pairs[-1]
            q *= OVERRELAXATION * (s * y).sum() / (y * precondition(y)).sum()
        else:
            q *= FIRST_STEP_LEVELS / q.abs().max()
        for (s, y), a in zip(pairs, reversed(stack), strict=True):
            q += s * (a - (y * q).sum() / (s * y).sum())
        if pairs:
            q *= min(1.0, (GROWTH * pairs[-1][0].norm() / q.norm()).item())
        x = x - q
        value, g_next = evaluate(x)
        pairs = [*pairs, (-q, g_next - g)][-history:]
        preconditioner.learn(to_spectrum(-q)[0], to_spectrum(g_next - g)[0])
        g = g_next
    return totals


@pytest.mark.parametrize("alpha", [0.0, 0.4])
@pytest.mark.parametrize("history", [1, 3, 20])
def test_compact_form_equals_the_two_loop_recursion(alpha: float, history: int) -> None:
    (minimum,) = minimise(valley(), start(), evaluations=12, history=history, alpha=alpha)
    expected = two_loop_steps(valley(), start(), 12, history, alpha)
    assert [values[0] for values in minimum.values] == pytest.approx(expected, rel=2e-3)


class Largest(TorchDispatchMode):
    """The largest number of values of a new tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, function: Any, _: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **named or {})
        if isinstance(result, torch.Tensor) and not function.is_view:
            self.values = max(self.values, result.numel())
        return result


def test_products_of_a_long_history_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    minimiser = Minimiser(255 * torch.rand(1, 3, 40, 50), evaluations=20, history=10)
    for _ in range(4):
        minimiser.step(lambda x: ((x - 100).square().sum().view(1, 1), 2 * (x - 100)))
    one, two = torch.randn(2, 6000, generator=torch.Generator().manual_seed(0))
    whole = minimiser._products(0, one, two)
    monkeypatch.setitem(lbfgs._VALUES_AT_ONCE, "cpu", 250)
    with Largest() as largest:
        in_parts = minimiser._products(0, one, two)
    assert largest.values <= 6000, "no more than the multipliers, and not the history, which is ten times as large"
    assert torch.allclose(in_parts, whole, rtol=1e-3, atol=1e-3 * whole.abs().max().item())


def test_images_of_a_batch_are_independent() -> None:
    together = minimise(valley(), start(4), evaluations=25)
    for index, minimum in enumerate(together):
        (alone,) = minimise(valley(), start(4)[index : index + 1], evaluations=25)
        assert minimum.values == alone.values
        assert torch.equal(minimum.image, alone.image)


def test_steps_grow_by_no_more_than_the_limit() -> None:
    iterates = []

    def barely_curved(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return nearly a plane, then a wall, which a step by the first secant alone would leap over."""
        iterates.append(x.clone())
        away = x - 100
        return (away.abs() + 1e-6 * away**2).sum((1, 2, 3))[:, None], away.sign() + 2e-6 * away

    minimise(barely_curved, torch.full((1, *SHAPE), 5000.0), evaluations=6, alpha=0.0)
    lengths = [(b - a).norm().item() for a, b in pairwise(iterates)]
    assert lengths[0] == pytest.approx(FIRST_STEP_LEVELS * math.prod(SHAPE) ** 0.5, rel=1e-3)
    assert [b / a for a, b in pairwise(lengths)][:2] == pytest.approx([GROWTH, GROWTH], rel=1e-3)


def test_steps_shrink_by_faults_and_recover() -> None:
    faults = dict.fromkeys((4, 6, 8), "nan")
    (minimum,) = minimise(Faulty(faults), start(), evaluations=60)
    assert [(r.evaluation, r.step) for r in minimum.restarts[:3]] == [(4, 0.5), (6, 0.25), (8, 0.125)]
    (late,) = minimise(Faulty(faults | {50: "nan"}), start(), evaluations=60)
    assert late.restarts[-1].evaluation == 50
    assert late.restarts[-1].step == 0.5, "forty evaluations without a fault restored the full step"


def test_goes_on_where_the_curvature_is_negative() -> None:
    """Test f = 1 − exp(−r²/2σ²), which is concave beyond σ from its minimum at 100; the start is at 3 σ."""
    sigma = 30.0

    def evaluate(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = (x - 100) / sigma
        fallen = torch.exp(-away.square().mean((1, 2, 3)) / 2)
        count = away[0].numel()
        return 1 - fallen[:, None], (fallen[:, None, None, None] * away) / (sigma * count)

    (minimum,) = minimise(evaluate, torch.full((1, *SHAPE), 190.0), evaluations=40, alpha=0.0)
    assert minimum.values[0][0] > 0.98
    assert minimum.values[-1][0] < 0.01


def test_keeps_the_best_iterate() -> None:
    seen = []
    evaluate = valley()

    def watch(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value, gradient = evaluate(x)
        seen.append((value.item(), x.clone()))
        return value, gradient

    (minimum,) = minimise(watch, start(), evaluations=9, history=1)
    assert torch.equal(minimum.image, min(seen, key=lambda pair: pair[0])[1])


@pytest.mark.parametrize("seed", range(20))
def test_returns_to_the_best_iterate_from_faults(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    faults = {n: rng.choice(["nan", "gradient", "explosion"]) for n in rng.sample(range(2, 30), 5)}
    (minimum,) = minimise(Faulty(faults), start(), evaluations=40, history=6)
    assert minimum.image.isfinite().all()
    honest = [values[0] for values in minimum.values if values is not None]
    assert valley()(minimum.image)[0].item() == pytest.approx(min(honest), rel=1e-5)
    assert {restart.evaluation for restart in minimum.restarts} >= set(faults)
    assert all((minimum.values[n - 1] is None) == (kind != "explosion") for n, kind in faults.items())
    assert valley()(minimum.image)[0] < 0.5 * honest[0], "the minimisation continues after the faults"


def test_a_fault_of_one_image_leaves_the_others_alone() -> None:
    inner = valley()
    calls = 0

    def evaluate(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal calls
        calls += 1
        value, gradient = inner(x)
        if calls == 5:
            value[0], gradient[0] = math.nan, math.nan
        return value, gradient

    sick, healthy = minimise(evaluate, start(2), evaluations=20)
    _, alone = minimise(valley(), start(2), evaluations=20)
    assert [restart.evaluation for restart in sick.restarts] == [5]
    assert healthy.restarts == ()
    assert healthy.values == alone.values


def test_without_any_finite_value_the_start_is_kept_and_no_time_is_spent() -> None:
    (minimum,) = minimise(lambda x: (x.sum((1, 2, 3))[:, None] * math.nan, x), start(), evaluations=50)
    assert minimum.values == (None,)
    assert torch.equal(minimum.image, start())


def test_plateau_ends_an_image_and_not_its_neighbour() -> None:
    at_minimum, on_slope = torch.full((1, *SHAPE), 100.001), start()
    both = torch.cat((at_minimum, on_slope))
    assert len(minimise(valley(), both, evaluations=60)[0].values) == 60, (
        "a plateau ends nothing unless this is asked for"
    )
    resting, moving = minimise(valley(), both, evaluations=60, plateau=0.5)
    (alone,) = minimise(valley(), at_minimum, evaluations=60, plateau=0.5)
    assert len(alone.values) < 60
    assert moving.values[-1][0] < 0.01 * moving.values[0][0]
    assert resting.values == alone.values, "an image that has ended is evaluated no more"


def test_a_vanished_gradient_ends_it() -> None:
    (minimum,) = minimise(valley(), torch.full((1, *SHAPE), 100.0), evaluations=60)
    assert len(minimum.values) == 1


def test_callback_sees_every_evaluation_and_may_stop() -> None:
    seen: list[object] = []

    def stop(values: object) -> None:
        seen.append(values)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise(valley(), start(2), evaluations=20, on_evaluation=stop)
    assert [len(values) for values in seen] == [2, 2, 2]


def test_where_nothing_is_to_be_gained_the_start_is_the_end() -> None:
    """Test a photograph and a painting of one colour: the objective is 0, and the gradient only rounding errors."""
    start = torch.full((1, 3, 16, 16), 100.0)

    def evaluate(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = (image - start).square().sum().view(1, 1)
        return torch.cat([total, total, 0 * total, 0 * total], dim=1), torch.full_like(image, 1e-3)

    (minimum,) = minimise(evaluate, start, evaluations=5)
    assert torch.equal(minimum.image, start)
    assert [values[0] for values in minimum.values if values] == [0]
    assert list(minimum.restarts) == []
