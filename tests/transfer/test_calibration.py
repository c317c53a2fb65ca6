"""Tests of the calibration of weights."""

from __future__ import annotations

import random

import pytest
import torch

from pipeline.transfer.calibration import calibrate, calibration_image, mean_activations
from pipeline.transfer.objective import Objective
from pipeline.transfer.targets import Painting, Targets
from pipeline.transfer.vgg import CONVOLUTIONS, MEAN_ACTIVATIONS, Chain, Vgg19
from tests.conftest import photo
from tests.engine import spec_of


def tensor(seed: int) -> torch.Tensor:
    return torch.from_numpy(photo(seed=seed)).permute(2, 0, 1)[None].float()


def terms(network: Vgg19, preset: str) -> list[float]:
    chain, spec = Chain(network, torch.device("cpu")), spec_of(preset)
    targets = Targets.of(chain, spec, tensor(0), [Painting(tensor(1))])
    found: list[float] = Objective(chain, spec, targets)(tensor(2))[0][0].tolist()
    return found


@pytest.fixture
def other(network: Vgg19) -> Vgg19:
    """Return a network that computes the same with activations of other magnitudes."""
    rng = random.Random(5)  # noqa: S311
    return network.rescaled({name: 10 ** rng.uniform(-2, 2) for name in CONVOLUTIONS})


def test_the_packaged_weights_are_the_measure(network: Vgg19) -> None:
    assert mean_activations(network) == pytest.approx(MEAN_ACTIVATIONS, rel=1e-3)


def test_a_rescaled_set_means_the_same_after_calibration(network: Vgg19, other: Vgg19) -> None:
    assert terms(other, "gatys2016") != pytest.approx(terms(network, "gatys2016"), rel=0.5)
    assert terms(calibrate(other), "gatys2016") == pytest.approx(terms(network, "gatys2016"), rel=1e-3)


def test_terms_that_are_relative_to_variances_mean_the_same_without_calibration(network: Vgg19, other: Vgg19) -> None:
    assert terms(other, "painting") == pytest.approx(terms(network, "painting"), rel=1e-3)


def test_a_silent_layer_is_refused(network: Vgg19) -> None:
    dead = network.kernels | {"conv3_2": tuple(torch.zeros_like(t) for t in network.kernels["conv3_2"])}
    with pytest.raises(ValueError, match="conv3_2 is 0"):
        calibrate(Vgg19(dead, network.mean, network.std))


def test_the_image_has_all_levels_and_no_neutral_channel() -> None:
    image = calibration_image()
    assert image.shape == (1, 3, 96, 96)
    assert image.min() < 20
    assert image.max() > 235
    assert (image[:, 0] - image[:, 1]).abs().mean() > 20
