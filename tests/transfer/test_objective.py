"""Tests of the objective and its gradient against an independent computation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pipeline.settings.presets import PRESETS
from pipeline.transfer.losses import ObjectiveSpec, total_variation
from pipeline.transfer.moments import Moments, moment_sums
from pipeline.transfer.objective import Objective
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.tiling import WHOLE, Fit
from pipeline.transfer.vgg import Chain, Vgg19, channels_of
from tests import oracle
from tests.conftest import photo, pixels
from tests.engine import network_of, spec_of
from tests.masks import disc, hard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CPU = torch.device("cpu")
DATA = Path(__file__).parents[2] / "data"
TERMS = ("total", "content", "style", "tv")


def tensor(seed: int, width: int = 40, height: int = 32) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def noise(seed: int, width: int = 40, height: int = 32) -> torch.Tensor:
    """Return a picture of noise (1, 3, H, W), 0–255."""
    return 255 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def objective(
    chain: Chain,
    spec: ObjectiveSpec,
    *pairs: tuple[torch.Tensor, torch.Tensor],
    masks: Sequence[torch.Tensor] | None = None,
) -> Objective:
    targets = [
        Targets.of(chain, spec, content, [Painting(style)], mask=mask)
        for (content, style), mask in zip(pairs, masks or [None] * len(pairs), strict=True)
    ]
    return Objective(chain, spec, Targets.stack(targets))


def truth_of(
    image: torch.Tensor,
    content: torch.Tensor,
    style: torch.Tensor | Sequence[tuple[torch.Tensor, float]],
    spec: ObjectiveSpec,
    mask: torch.Tensor | None = None,
    **network: str,
) -> Any:
    """Return the terms and the gradient of the objective from the oracle."""
    at = image.double().requires_grad_()
    terms = oracle.objective(at, content, style, oracle.Weighted(**vars(spec), **network), mask)
    terms["total"].backward()
    return [terms[name].item() for name in TERMS], at.grad


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("width", "height"), [(40, 32), (33, 47)])
@pytest.mark.parametrize("image_of", [tensor, noise])
def test_equals_an_independent_float64_computation(
    network: Vgg19, preset: str, width: int, height: int, image_of: Any
) -> None:
    content, style, spec, errors = tensor(0, width, height), tensor(1), spec_of(preset), []
    evaluate = objective(Chain(network, CPU, **network_of(preset)), spec, (content, style))
    for seed in (2, 3, 4):
        terms, gradient = evaluate(image := image_of(seed, width, height))
        values, truth = truth_of(image, content, style, spec, **network_of(preset))
        assert terms[0].tolist() == pytest.approx(values, rel=1e-5)
        errors.append(((gradient - truth).norm() / truth.norm()).item())
    # A unit near zero may be rounded to the other side of its rectifier's kink, in either computation.
    assert sorted(errors)[1] <= 1e-5
    assert max(errors) <= 1e-2


def test_layers_may_have_weights(network: Vgg19) -> None:
    content, style, image = tensor(0), tensor(1), tensor(2)
    spec = spec_of("colour-preserving", style_layer_weights=(1.0, 0.5, 2.0, 1.0, 3.0))
    terms, gradient = objective(Chain(network, CPU), spec, (content, style))(image)
    values, truth = truth_of(image, content, style, spec, pooling="max", padding="zero")
    assert terms[0].tolist() == pytest.approx(values, rel=1e-5)
    assert (gradient - truth).norm() <= 1e-5 * truth.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("preset", ["painting", "colour-preserving", "gatys2016"])
@pytest.mark.parametrize("style_weight", [1.0, 1e3, 1e6])
def test_half_precision_is_near_float64(network: Vgg19, dtype: torch.dtype, preset: str, style_weight: float) -> None:
    content, style, image = tensor(0, 61, 45), tensor(1), tensor(2, 61, 45)
    spec = spec_of(preset, style_weight=style_weight)
    terms, gradient = objective(Chain(network, CPU, dtype, **network_of(preset)), spec, (content, style))(image)
    values, truth = truth_of(image, content, style, spec, **network_of(preset))
    assert terms[0].tolist() == pytest.approx(values, rel=0.03)
    assert (gradient - truth).norm() <= 0.08 * truth.norm()


@pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
def test_a_pair_in_a_batch_is_as_alone(network: Vgg19, preset: str) -> None:
    chain, spec = Chain(network, CPU), spec_of(preset)
    pairs = [(tensor(i), tensor(i + 10)) for i in range(3)]
    image = torch.cat([tensor(i + 20) for i in range(3)])
    terms, gradient = objective(chain, spec, *pairs)(image)
    for i, pair in enumerate(pairs):
        alone, gradient_alone = objective(chain, spec, pair)(image[i : i + 1])
        assert terms[i].tolist() == pytest.approx(alone[0].tolist(), rel=1e-5)
        assert (gradient[i] - gradient_alone[0]).norm() <= 1e-5 * gradient_alone.norm()


def test_paintings_are_blended_by_their_weights(network: Vgg19) -> None:
    chain, spec, content = Chain(network, CPU), spec_of("gatys2016"), tensor(0)
    one, two = tensor(1), tensor(2, 50, 30)
    blend = Targets.of(chain, spec, content, [Painting(one, 3.0), Painting(two, 1.0)]).styles
    each = [Targets.of(chain, spec, content, [Painting(style)]).styles for style in (one, two)]
    for layer in spec.style_layers:
        expected = 0.75 * each[0][layer].gram + 0.25 * each[1][layer].gram
        assert (blend[layer].gram - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("masked", [False, True])
def test_a_blend_of_paintings_equals_an_independent_float64_computation(network: Vgg19, *, masked: bool) -> None:
    spec, content, image = spec_of("painting"), tensor(0), tensor(2)
    paintings, mask = [(tensor(1), 3.0), (tensor(5, 50, 30), 1.0)], disc(40, 32) if masked else None
    chain = Chain(network, CPU, **network_of("painting"))
    targets = Targets.of(chain, spec, content, [Painting(*each) for each in paintings], mask=mask)
    terms, gradient = Objective(chain, spec, targets)(image)
    shares = [(painting, weight / 4) for painting, weight in paintings]
    values, truth = truth_of(image, content, shares, spec, mask, **network_of("painting"))
    assert terms[0].tolist() == pytest.approx(values, rel=1e-5)
    assert (gradient - truth).norm() <= 1e-5 * truth.norm()


@pytest.mark.parametrize("style", ["gram", "wasserstein"])
@pytest.mark.parametrize("content_target", ["photograph", "transported"])
def test_styles_and_content_targets_combine(network: Vgg19, style: Any, content_target: Any) -> None:
    content, painting, image = tensor(0), tensor(1), noise(2)
    spec = spec_of(
        "painting", style=style, content_target=content_target, style_layer_weights=(1.0, 0.0, 2.0, 1.0, 3.0)
    )
    evaluate = objective(Chain(network, CPU, **network_of("painting")), spec, (content, painting))
    values, truth = truth_of(image, content, painting, spec, **network_of("painting"))
    terms, gradient = evaluate(image)
    assert terms[0].tolist() == pytest.approx(values, rel=1e-5)
    assert (gradient - truth).norm() <= 1e-5 * truth.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("flat", ["content", "painting", "image", "all"])
def test_pictures_of_one_colour_have_finite_values(network: Vgg19, dtype: torch.dtype, flat: str) -> None:
    pictures = {name: tensor(i, 33, 47) for i, name in enumerate(("content", "painting", "image"))}
    for i, name in enumerate(pictures):
        if flat in (name, "all"):
            pictures[name] = torch.full((1, 3, 47, 33), 60.0 + 50 * i)
    chain = Chain(network, CPU, dtype, **network_of("painting"))
    evaluate = objective(chain, spec_of("painting"), (pictures["content"], pictures["painting"]))
    terms, gradient = evaluate(pictures["image"])
    assert terms.isfinite().all()
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("smallest", [16, 20])
def test_the_smallest_pictures_have_fewer_positions_than_channels(network: Vgg19, smallest: int) -> None:
    pictures = [tensor(i, smallest, smallest) for i in range(3)]
    spec = spec_of("painting")
    evaluate = objective(Chain(network, CPU, **network_of("painting")), spec, (pictures[0], pictures[1]))
    terms, gradient = evaluate(pictures[2])
    values, truth = truth_of(pictures[2], pictures[0], pictures[1], spec, **network_of("painting"))
    assert terms[0].tolist() == pytest.approx(values, rel=1e-4)
    assert (gradient - truth).norm() <= 1e-4 * truth.norm()


def test_content_term_vanishes_at_the_content_and_style_term_at_the_style(network: Vgg19) -> None:
    content, style = tensor(0), tensor(1)
    evaluate = objective(Chain(network, CPU), spec_of("gatys2016"), (content, style))
    assert evaluate(content)[0][0, 1] == 0
    assert evaluate(style)[0][0, 2] == 0
    assert evaluate(content)[0][0, 2] > 0


def test_gatys_preset_is_that_of_the_published_notebook() -> None:
    spec = spec_of("gatys2016")
    assert spec.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert spec.content_layers == ("relu4_2",)
    assert [spec.style_weight / channels_of(layer) ** 2 for layer in spec.style_layers] == [
        1e3 / n**2 for n in (64, 128, 256, 512, 512)
    ]
    assert (spec.content_weight, spec.tv_weight, spec.style_layer_weights) == (1, 0, ())
    assert network_of("gatys2016") == {"pooling": "max", "padding": "zero"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gram_is_per_image_of_a_batch(dtype: torch.dtype) -> None:
    features = torch.rand(2, 5, 3, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    _, grams = moment_sums(features)
    assert (grams.shape, grams.dtype) == ((2, 5, 5), torch.float32)
    assert grams[1, 2, 3].item() == pytest.approx((features[1, 2].float() * features[1, 3].float()).sum().item())


def test_total_variation_is_about_the_mean_absolute_difference() -> None:
    steps = torch.arange(20.0).mul(50).expand(1, 3, 20, 20)
    assert total_variation(steps)[0].item() == pytest.approx(50, rel=0.03)
    value, gradient = total_variation(torch.full((1, 3, 8, 8), 77.0))
    assert (value.item(), gradient.abs().max().item()) == (0, 0)


def picture(path: str, width: int, height: int) -> torch.Tensor:
    return torch.from_numpy(pixels(DATA / path, (width, height))).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("preset", ["painting", "colour-preserving", "gatys2016"])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-5), (torch.bfloat16, 0.08)])
def test_gradient_of_a_batch_of_real_pictures(network: Vgg19, preset: str, dtype: torch.dtype, allowed: float) -> None:
    spec, of_network = spec_of(preset), network_of(preset)
    style = picture("styles/harvest.jpg", 101, 75)
    contents = [picture(f"content/{name}.jpg", 101, 75) for name in ("chelsea", "rocket", "coffee", "astronaut")]
    images = torch.cat([content + 9 * noise(i, 101, 75) / 255 for i, content in enumerate(contents)])
    evaluate = objective(Chain(network, CPU, dtype, **of_network), spec, *((content, style) for content in contents))
    _, gradients = evaluate(images)
    errors = []
    for i, content in enumerate(contents):
        _, truth = truth_of(images[i : i + 1], content, style, spec, **of_network)
        errors.append(((gradients[i : i + 1] - truth).norm() / truth.norm()).item())
    # A unit near zero may be rounded to the other side of its rectifier's kink, in either computation.
    assert sorted(errors)[1] <= allowed
    assert max(errors) <= max(allowed, 1e-2)


@pytest.mark.parametrize("preset", ["painting", "colour-preserving", "gatys2016"])
@pytest.mark.parametrize(("width", "height"), [(40, 32), (33, 47)])
@pytest.mark.parametrize("mask_of", [disc, hard])
def test_a_masked_objective_equals_an_independent_float64_computation(
    network: Vgg19, preset: str, width: int, height: int, mask_of: Callable[[int, int], torch.Tensor]
) -> None:
    content, style, image, mask = tensor(0, width, height), tensor(1), noise(3, width, height), mask_of(width, height)
    spec = spec_of(preset)
    evaluate = objective(Chain(network, CPU, **network_of(preset)), spec, (content, style), masks=[mask])
    terms, gradient = evaluate(image)
    values, truth = truth_of(image, content, style, spec, mask, **network_of(preset))
    assert terms[0].tolist() == pytest.approx(values, rel=1e-5)
    assert (gradient - truth).norm() <= 1e-5 * truth.norm()
    assert not gradient[(mask == 0).expand_as(gradient)].any()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_mask_of_ones_changes_nothing(network: Vgg19, preset: str) -> None:
    chain, spec, image = Chain(network, CPU, **network_of(preset)), spec_of(preset), noise(2)
    terms, gradient = objective(chain, spec, (tensor(0), tensor(1)))(image)
    found, found_gradient = objective(chain, spec, (tensor(0), tensor(1)), masks=[torch.ones(1, 1, 32, 40)])(image)
    assert found[0].tolist() == pytest.approx(terms[0].tolist(), rel=1e-6)
    assert (found_gradient - gradient).norm() <= 1e-5 * gradient.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask_of", [disc, hard])
@pytest.mark.parametrize("style_weight", [1.0, 1e6])
def test_a_mask_in_half_precision_is_near_float64(
    network: Vgg19, dtype: torch.dtype, mask_of: Callable[[int, int], torch.Tensor], style_weight: float
) -> None:
    content, style, image, mask = tensor(0, 61, 45), tensor(1), tensor(2, 61, 45), mask_of(61, 45)
    spec = spec_of("colour-preserving", style_weight=style_weight)
    of_network = network_of("colour-preserving")
    terms, gradient = objective(Chain(network, CPU, dtype, **of_network), spec, (content, style), masks=[mask])(image)
    values, truth = truth_of(image, content, style, spec, mask, **of_network)
    assert terms[0].tolist() == pytest.approx(values, rel=0.03)
    assert (gradient - truth).norm() <= 0.08 * truth.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "white", [(slice(0), slice(0)), (slice(46, 47), slice(0, 1)), (slice(9, 10), slice(9, 10))], ids=str
)
def test_next_to_nothing_of_a_mask_gives_finite_values(
    network: Vgg19, dtype: torch.dtype, white: tuple[slice, slice]
) -> None:
    """Test an empty mask, one with a pixel outside the pooling's grid, and one with a pixel inside it."""
    spec, mask = spec_of("gatys2016", style_weight=1e6), torch.zeros(1, 1, 47, 33)
    mask[0, 0, *white] = 1 / 255
    evaluate = objective(Chain(network, CPU, dtype), spec, (tensor(0, 33, 47), tensor(1)), masks=[mask])
    terms, gradient = evaluate(noise(2, 33, 47))
    assert terms.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient != 0).any() == mask.any()


@pytest.mark.parametrize("preset", ["painting", "colour-preserving"])
def test_a_masked_pair_in_a_batch_is_as_alone(network: Vgg19, monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    chain, spec = Chain(network, CPU), spec_of(preset)
    pairs, masks = [(tensor(i), tensor(i + 10)) for i in range(3)], [disc(40, 32), hard(40, 32), 1 - hard(40, 32)]
    image = torch.cat([tensor(i + 20) for i in range(3)])
    one_by_one = objective(chain, spec, *pairs, masks=masks)
    monkeypatch.setattr(Objective, "_one_by_one", False)  # a CUDA device evaluates a batch at once
    for evaluate in (one_by_one, objective(chain, spec, *pairs, masks=masks)):
        terms, gradient = evaluate(image)
        for i, pair in enumerate(pairs):
            alone, gradient_alone = objective(chain, spec, pair, masks=masks[i : i + 1])(image[i : i + 1])
            assert terms[i].tolist() == pytest.approx(alone[0].tolist(), rel=1e-5)
            assert (gradient[i] - gradient_alone[0]).norm() <= 1e-5 * gradient_alone.norm()


@pytest.mark.parametrize("fit", [WHOLE, Fit(tile=176)], ids=str)
@pytest.mark.parametrize("mask_of", [disc, hard])
def test_of_a_masked_painting_the_part_below_the_mask_counts(
    network: Vgg19, fit: Fit, mask_of: Callable[[int, int], torch.Tensor]
) -> None:
    width, height = 230, 45
    spec, image, mask = spec_of("gatys2016"), tensor(1, width, height), mask_of(width, height)
    chain = Chain(network, CPU)
    targets = Targets.of(chain, spec, tensor(0), [Painting(image, mask=mask)], fit=fit)
    features = oracle.activations(image.double())
    for layer, found in targets.styles.items():
        truth = oracle.guided_gram(features[layer], mask.double(), layer)
        assert (found.gram - truth).norm() <= 1e-5 * truth.norm()
        assert (truth - oracle.gram(features[layer])).norm() > 0.01 * truth.norm(), "the mask changes the Gram matrix"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_of_a_plain_layer_are_exact(dtype: torch.dtype) -> None:
    """Equal addends are all rounded in one direction, so a long sum exceeds the variance of what is not plain."""
    levels = torch.linspace(0.1, 1.9, 64)[None, :, None, None].expand(1, 64, 512, 512).to(dtype)
    first, second = moment_sums(levels.contiguous(memory_format=torch.channels_last))
    found = Moments(first / 512**2, second / 512**2)
    assert found.covariance.abs().max() <= 5e-6 * found.second.max()


@pytest.mark.parametrize("content_target", ["photograph", "transported"])
def test_a_mask_that_the_deep_layers_do_not_see_gives_finite_values(network: Vgg19, content_target: Any) -> None:
    mask = torch.zeros(1, 1, 83, 128)
    mask[:, :, -1] = 1
    spec = spec_of("painting", content_target=content_target)
    evaluate = objective(Chain(network, CPU), spec, (tensor(0, 128, 83), tensor(1)), masks=[mask])
    terms, gradient = evaluate(tensor(2, 128, 83))
    assert terms.isfinite().all()
    assert gradient.isfinite().all()
