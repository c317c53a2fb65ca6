"""Tests of the approach to Gram matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.transfer import approach, styliser
from pipeline.transfer.approach import evaluations_of_approach
from pipeline.transfer.objective import Objective
from pipeline.transfer.pyramid import Scale
from pipeline.transfer.styliser import Optimisation
from pipeline.transfer.targets import Painting, Subject, Targets
from pipeline.transfer.vgg import Chain
from tests.engine import network_of, spec_of, stylise

if TYPE_CHECKING:
    from pipeline.transfer.vgg import Vgg19

SPEC = spec_of("gatys2016")


@pytest.fixture(scope="module")
def chain(network: Vgg19) -> Chain:
    return Chain(network, torch.device("cpu"), **network_of("gatys2016"))


def picture(seed: int, height: int = 40, width: int = 56) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(1, 3, height // 4, width // 4, generator=generator).repeat_interleave(
        4, 2
    ).repeat_interleave(4, 3)


def test_values_are_those_of_the_objective_and_gradients_those_of_the_distance(chain: Chain) -> None:
    content, painting = picture(0), picture(1)
    targets = Targets.of(chain, SPEC, content, [Painting(painting)])
    image = content + 10 * torch.randn(content.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        terms, gradient = Objective(chain, SPEC, targets)(image)
        near_terms, near_gradient = Objective(chain, SPEC, targets.of_approach())(image)
    assert torch.equal(terms, near_terms)
    relative = {layer: float(target.factor) for layer, target in targets.approach.items()}
    weights = tuple(relative[layer] * SPEC.style_weight_of(layer) for layer in SPEC.style_layers)
    distance = replace(
        SPEC, style="wasserstein", style_weight=sum(weights), style_layer_weights=weights, content_layers=()
    )
    with torch.no_grad():
        of_distance = Targets.of(chain, distance, content, [Painting(painting)])
        _, expected = Objective(chain, distance, of_distance)(image)
        only_style = replace(SPEC, content_layers=())
        _, found = Objective(
            chain, only_style, Targets.of(chain, only_style, content, [Painting(painting)]).of_approach()
        )(image)
    assert (found - expected).norm() < 1e-3 * expected.norm()
    assert (near_gradient - gradient).norm() > 0.1 * gradient.norm()


def test_no_layer_is_left_far_behind(chain: Chain) -> None:
    targets = Targets.of(chain, SPEC, picture(0), [Painting(picture(1))])
    weights = [float(target.factor) * SPEC.style_weight_of(layer) for layer, target in targets.approach.items()]
    assert min(weights) == pytest.approx(max(weights) / 10, rel=1e-4)


def test_there_is_none_for_the_distance_itself_and_without_style(chain: Chain) -> None:
    for spec in (spec_of("painting"), replace(SPEC, style_layers=())):
        targets = Targets.of(chain, spec, picture(0), [Painting(picture(1))])
        assert targets.approach is None
        assert targets.of_approach() is targets


@pytest.mark.parametrize(("evaluations", "expected"), [(2, 0), (3, 1), (10, 4), (35, 14), (500, 14)])
def test_it_takes_a_share_of_a_scale_and_no_more_than_its_limit(evaluations: int, expected: int) -> None:
    assert evaluations_of_approach(evaluations) == expected


def test_it_lowers_the_objective(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(picture(0), [Painting(picture(1))])
    optimisation = Optimisation((Scale(56, 40, 24),))
    (near,) = stylise(chain, [subject], SPEC, optimisation)
    monkeypatch.setattr(styliser, "evaluations_of_approach", lambda _: 0)
    (plain,) = stylise(chain, [subject], SPEC, optimisation)
    assert near.scales[-1].best.total < 0.9 * plain.scales[-1].best.total
    assert near.scales[-1].first.total == plain.scales[-1].first.total
    assert approach.EVALUATIONS > 0
