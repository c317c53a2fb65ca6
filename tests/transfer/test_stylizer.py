from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pipeline.errors import NotFiniteError
from pipeline.settings import ObjectiveSettings
from pipeline.transfer import stylizer
from pipeline.transfer.objective import ObjectiveSpec, Painting
from pipeline.transfer.pyramid import Scale, schedule
from pipeline.transfer.stylizer import Evaluation, Optimisation, Stylisation, stylise
from pipeline.transfer.vgg import Chain, Vgg19
from tests import oracle
from tests.conftest import photo

SPEC = ObjectiveSpec(**dict(ObjectiveSettings().model_dump(exclude={"pooling", "padding"})))
ONE_SCALE = Optimisation((Scale(40, 32, 25),))


@pytest.fixture
def chain(network: Vgg19) -> Chain:
    return Chain(network, torch.device("cpu"), pooling="average", padding="replicate")


def tensor(seed: int, width: int = 40, height: int = 32) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def one(chain: Chain, optimisation: Optimisation = ONE_SCALE, **more: Any) -> Stylisation:
    (result,) = stylise(chain, [(tensor(0), [Painting(tensor(1))])], SPEC, optimisation, **more)
    return result


def test_starts_from_the_content_and_goes_down(chain: Chain) -> None:
    content = tensor(0)
    seen: list[Evaluation] = []
    (result,) = stylise(
        chain, [(content, [Painting(tensor(1))])], SPEC, ONE_SCALE, on_evaluation=lambda each: seen.append(each[0])
    )
    (scale,) = result.scales
    assert scale.first.content == 0, "the first evaluation is at the content itself"
    assert scale.best.total < 0.2 * scale.first.total
    assert [e.number for e in seen] == list(range(1, 26))
    assert scale.trace == tuple((e.number, e.total) for e in seen)
    assert torch.equal(content, tensor(0)), "the content is not changed in place"


def test_the_image_is_the_best_iterate_and_not_clipped(chain: Chain) -> None:
    result = one(chain)
    truth = oracle.objective(result.image, tensor(0), tensor(1), oracle.Weighted())
    best = result.scales[-1].best
    assert best.total == min(total for _, total in result.scales[-1].trace)
    assert best.total == pytest.approx(truth["total"].item(), rel=1e-4)
    assert result.image.min() < 0 or result.image.max() > 255


def test_pyramid_goes_from_coarse_to_fine(chain: Chain) -> None:
    seen: list[Evaluation] = []
    pair = (tensor(0, 83, 66), [Painting(tensor(1, 83, 66))])
    optimisation = Optimisation(schedule(83, 66, (9, 8, 7)))
    (result,) = stylise(chain, [pair], SPEC, optimisation, on_evaluation=lambda each: seen.append(each[0]))
    assert result.image.shape == (1, 3, 66, 83)
    assert [(s.scale.width, s.scale.evaluations) for s in result.scales] == [(42, 8), (83, 7)]
    assert [s.trace[0][0] for s in result.scales] == [1, 9], "evaluations are numbered through"
    shares = [e.share for e in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    (alone,) = stylise(chain, [pair], SPEC, Optimisation(schedule(83, 66, (7,))))
    assert result.scales[-1].best.total < 0.9 * alone.scales[-1].best.total


def test_four_pairs_together_are_as_four_alone(chain: Chain) -> None:
    pairs = [(tensor(i), [Painting(tensor(i + 4, 40 + i, 32))]) for i in range(4)]
    optimisation = Optimisation((Scale(40, 32, 20),))
    for pair, together in zip(pairs, stylise(chain, pairs, SPEC, optimisation), strict=True):
        (alone,) = stylise(chain, [pair], SPEC, optimisation)
        assert together.scales[-1].last.total == pytest.approx(alone.scales[-1].last.total, rel=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
def test_restarts_are_told(chain: Chain, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def poisoned(evaluate: Any, _: torch.Tensor) -> Any:
        count = 0

        def evaluate_badly(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            nonlocal count
            count += 1
            terms, gradient = evaluate(image)
            return (terms * value if count in (4, 6) else terms), gradient

        return evaluate_badly, []

    monkeypatch.setattr(stylizer, "capture", poisoned)
    result = one(chain)
    assert result.image.isfinite().all()
    truth = oracle.objective(result.image, tensor(0), tensor(1), oracle.Weighted())["total"].item()
    assert truth == pytest.approx(result.scales[-1].best.total, rel=1e-4)
    assert [(f"evaluation {n} " in w, w.rpartition(" ")[2]) for n, w in zip((4, 6), result.warnings, strict=True)] == [
        (True, "0.5"),
        (True, "0.25"),
    ]


def test_not_finite_at_the_content_is_an_error(chain: Chain) -> None:
    with pytest.raises(NotFiniteError, match="at the start of the scale of 40×32 px"):
        stylise(chain, [(tensor(0) * math.nan, [Painting(tensor(1))])], SPEC, ONE_SCALE)


def test_same_input_same_pixels(chain: Chain) -> None:
    assert torch.equal(one(chain).image, one(chain).image)


def test_what_the_callback_raises_ends_the_optimisation(chain: Chain) -> None:
    def stop(each: list[Evaluation]) -> None:
        if each[0].number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one(chain, on_evaluation=stop)
