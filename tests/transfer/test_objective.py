from __future__ import annotations

import pytest
import torch

from pipeline.settings import PRESETS, ObjectiveSettings
from pipeline.transfer.objective import Objective, ObjectiveSpec, gram, total_variation
from pipeline.transfer.vgg import Vgg19, channels_of
from tests import oracle
from tests.conftest import photo


def tensor(seed: int, width: int = 40, height: int = 32) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def spec_of(preset: str, **changes: object) -> ObjectiveSpec:
    return ObjectiveSpec(**(dict(ObjectiveSettings(**PRESETS[preset]["objective"])) | changes))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("width", "height"), [(40, 32), (33, 47)])
def test_equals_an_independent_float64_computation(network: Vgg19, preset: str, width: int, height: int) -> None:
    content, style, image = tensor(0, width, height), tensor(1), tensor(2, width, height)
    spec = spec_of(preset)
    ours = Objective(network, content, style, spec)(image)
    truth = oracle.objective(image, content, style, oracle.Weighted(**vars(spec)))
    for term in ("total", "content", "style", "tv"):
        assert getattr(ours, term).item() == pytest.approx(truth[term].item(), rel=1e-4), term


def test_gradient_equals_an_independent_float64_computation(network: Vgg19) -> None:
    content, style, image = tensor(0), tensor(1), tensor(2)
    spec = spec_of("colour-preserving", style_layer_weights=(1.0, 0.5, 2.0, 1.0, 3.0))
    ours = image.clone().requires_grad_()
    Objective(network, content, style, spec)(ours).total.backward()
    truth = image.double().requires_grad_()
    oracle.objective(truth, content, style, oracle.Weighted(**vars(spec)))["total"].backward()
    assert (ours.grad - truth.grad).norm() <= 1e-4 * truth.grad.norm()


def test_content_term_vanishes_at_the_content_and_style_term_at_the_style(network: Vgg19) -> None:
    content, style = tensor(0), tensor(1)
    objective = Objective(network, content, style, spec_of("gatys2016"))
    assert objective(content).content.item() == 0
    assert objective(style).style.item() == 0
    assert objective(content).style.item() > 0


def test_gatys_preset_is_that_of_the_published_notebook() -> None:
    spec = spec_of("gatys2016")
    assert spec.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert spec.content_layers == ("relu4_2",)
    assert [spec.style_weight / channels_of(layer) ** 2 for layer in spec.style_layers] == [
        1e3 / n**2 for n in (64, 128, 256, 512, 512)
    ]
    assert (spec.content_weight, spec.tv_weight, spec.style_layer_weights) == (1, 0, ())


def test_gram_is_per_image_of_a_batch_and_normalised_by_pixels() -> None:
    features = torch.rand(2, 5, 3, 4)
    grams = gram(features)
    assert grams.shape == (2, 5, 5)
    assert grams[1, 2, 3].item() == pytest.approx((features[1, 2] * features[1, 3]).mean().item())


def test_total_variation_is_about_the_mean_absolute_difference() -> None:
    steps = torch.arange(20.0).mul(50).expand(1, 3, 20, 20)
    assert total_variation(steps).item() == pytest.approx(50, rel=0.03)
    assert total_variation(torch.full((1, 3, 8, 8), 77.0)).item() == 0
