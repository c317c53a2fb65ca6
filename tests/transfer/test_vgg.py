"""Tests of the features of VGG19 and of their gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.transfer.calibration import calibration_image
from pipeline.transfer.vgg import CONVOLUTIONS, Chain, Vgg19, follows_pooling
from tests import oracle
from tests.conftest import photo

CPU = torch.device("cpu")


def images(count: int = 1, width: int = 40, height: int = 32) -> torch.Tensor:
    return (
        torch.stack([torch.from_numpy(photo(width, height, seed)) for seed in range(count)]).permute(0, 3, 1, 2).float()
    )


def plain_features(network: Vgg19, image: torch.Tensor, layer: str, pooling: str, padding: str) -> torch.Tensor:
    """Return the features of an independent chain in float64, for autograd."""
    h = (image - torch.tensor(network.mean)[:, None, None]) / torch.tensor(network.std)[:, None, None]
    for name in CONVOLUTIONS:
        if follows_pooling(name):
            h = F.max_pool2d(h, 2) if pooling == "max" else oracle.AVERAGE_GAINS[int(name[4])] * F.avg_pool2d(h, 2)
        kernel, bias = (t.double() for t in network.kernels[name])
        mode = "replicate" if name == "conv1_1" and padding == "replicate" else "constant"
        h = F.conv2d(F.pad(h, (1, 1, 1, 1), mode=mode), kernel, bias)
        if name == layer:
            return h
        h = h.relu()
        if name[4:] == layer[4:]:
            return h
    raise AssertionError(layer)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("padding", ["zero", "replicate"])
@pytest.mark.parametrize("layer", ["conv1_1", "relu1_2", "conv3_4", "relu4_2", "conv5_1"])
def test_features_and_gradient_equal_autograd_in_float64(
    network: Vgg19, layer: str, pooling: str, padding: str
) -> None:
    image = images(2, 37, 51)
    chain = Chain(network, CPU, pooling=pooling, padding=padding)
    truth = image.double().requires_grad_()
    expected = plain_features(network, truth, layer, pooling, padding)
    pull = torch.rand(expected.shape, generator=torch.Generator().manual_seed(1))
    (expected * pull).sum().backward()
    activations = chain.forward(image, [layer])
    assert (activations[layer] - expected).norm() <= 1e-5 * expected.norm()
    gradient = chain.backward(activations, lambda *_: pull.contiguous(memory_format=torch.channels_last))
    # The tolerance for max is a thousandth: near a tie, float32 takes the other side of the kink.
    assert (gradient - truth.grad).norm() <= (1e-3 if pooling == "max" else 1e-5) * truth.grad.norm()
    assert activations.kept == [], "the backward pass frees memory"


def test_layers_before_and_after_one_rectifier_can_be_tapped_together(network: Vgg19) -> None:
    activations = Chain(network, CPU).forward(images(), ["conv2_1", "relu2_1"])
    truth = oracle.activations(images().double())
    for layer in ("conv2_1", "relu2_1"):
        assert (activations[layer] - truth[layer]).norm() <= 1e-5 * truth[layer].norm()
    assert activations["conv2_1"].min() < 0 == activations["relu2_1"].min()


def test_rescaled_activations_are_multiplied_by_their_factor(network: Vgg19) -> None:
    factors = {name: 0.5 + i for i, name in enumerate(CONVOLUTIONS)}
    plain, rescaled = (Chain(n, CPU).forward(images(), CONVOLUTIONS) for n in (network, network.rescaled(factors)))
    for name, factor in factors.items():
        assert (rescaled[name] - factor * plain[name]).norm() <= 1e-5 * rescaled[name].norm()


def test_average_pooling_keeps_the_magnitude_of_max_pooling(network: Vgg19) -> None:
    layers = [name.replace("conv", "relu") for name in CONVOLUTIONS]
    of_max, of_average = (
        Chain(network, CPU, pooling=pooling).forward(calibration_image(), layers) for pooling in ("max", "average")
    )
    for layer in layers:
        assert of_average[layer].mean().item() == pytest.approx(of_max[layer].mean().item(), rel=0.1)


def test_nothing_is_computed_beyond_the_deepest_layer(network: Vgg19) -> None:
    assert len(Chain(network, CPU).forward(images(), ["relu2_2", "conv1_1"]).kept) == 4


def test_network_with_a_standard_deviation(network: Vgg19) -> None:
    std = (58.0, 57.0, 59.0)
    other = Vgg19(network.kernels, network.mean, std)
    found = Chain(other, CPU).forward(images(), ["conv1_1"])["conv1_1"]
    expected = plain_features(other, images().double(), "conv1_1", "max", "zero")
    assert (found - expected).norm() <= 1e-5 * expected.norm()
