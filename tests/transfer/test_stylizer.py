from __future__ import annotations

import math

import pytest
import torch

from pipeline.settings import ObjectiveSettings
from pipeline.transfer import stylizer
from pipeline.transfer.objective import Objective, ObjectiveSpec, Terms
from pipeline.transfer.stylizer import Evaluation, stylise
from pipeline.transfer.vgg import Vgg19
from tests import oracle
from tests.conftest import photo

SPEC = ObjectiveSpec(**dict(ObjectiveSettings()))


def tensor(seed: int) -> torch.Tensor:
    return torch.from_numpy(photo(seed=seed)).permute(2, 0, 1)[None].float()


def test_starts_from_the_content_and_goes_down(network: Vgg19) -> None:
    content, style = tensor(0), tensor(1)
    before = content.clone()
    seen: list[Evaluation] = []
    result = stylise(network, content, style, SPEC, evaluations=25, history=10, on_evaluation=seen.append)
    assert result.first.content == 0, "the first evaluation is at the content itself"
    assert result.best.total < 0.2 * result.first.total
    assert [e.number for e in seen] == list(range(1, 26))
    assert result.trace == tuple((e.number, e.total) for e in seen)
    assert torch.equal(content, before), "the content is not changed in place"


def test_the_image_is_the_best_iterate_and_not_clipped(network: Vgg19) -> None:
    content, style = tensor(0), tensor(1)
    result = stylise(network, content, style, SPEC, evaluations=25, history=10)
    truth = oracle.objective(result.image, content, style, oracle.Weighted())
    assert result.best.total == min(total for _, total in result.trace)
    assert result.best.total == pytest.approx(truth["total"].item(), rel=1e-4)
    assert result.image.min() < 0 or result.image.max() > 255


class Poisoned:
    """An objective that becomes not finite at some evaluations."""

    def __init__(self, bad: set[int], value: float) -> None:
        self.bad, self.value, self.count = bad, value, 0

    def __call__(self, *args: object) -> Poisoned:  # stands for the class and for its instance
        if len(args) > 1:
            return self
        self.count += 1
        image = args[0]
        total = (image - 100.0).square().sum()
        if self.count in self.bad:
            total = total * self.value
        zero = total * 0
        return Terms(total, total, zero, zero)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_goes_on_from_the_best_image_when_the_objective_is_not_finite(
    network: Vgg19, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(stylizer, "Objective", Poisoned({4, 9}, value))
    result = stylise(network, tensor(0), tensor(1), SPEC, evaluations=15, history=5)
    assert result.image.isfinite().all()
    assert result.best.total == min(total for _, total in result.trace)
    assert result.best.total == pytest.approx((result.image - 100).square().sum().item(), rel=1e-5)
    assert [number for number, _ in result.trace if number in (4, 9)] == []
    assert [w.split(";")[0] for w in result.warnings] == [
        f"the objective was not finite at evaluation {n}" for n in (4, 9)
    ]


def test_not_finite_at_the_content_is_an_error(network: Vgg19) -> None:
    with pytest.raises(FloatingPointError, match="at the content itself"):
        stylise(network, tensor(0) * math.nan, tensor(1), SPEC, evaluations=3, history=5)


def test_same_input_same_pixels(network: Vgg19) -> None:
    once, again = (stylise(network, tensor(0), tensor(1), SPEC, evaluations=5, history=5).image for _ in range(2))
    assert torch.equal(once, again)


def test_what_the_callback_raises_ends_the_optimisation(network: Vgg19) -> None:
    def stop(evaluation: Evaluation) -> None:
        if evaluation.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylise(network, tensor(0), tensor(1), SPEC, evaluations=10, history=5, on_evaluation=stop)


def test_objective_is_the_one_that_is_minimised(network: Vgg19) -> None:
    content, style = tensor(0), tensor(1)
    result = stylise(network, content, style, SPEC, evaluations=2, history=5)
    assert result.first.total == pytest.approx(Objective(network, content, style, SPEC)(content).total.item())
