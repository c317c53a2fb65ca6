"""Tests of the Wasserstein distance of features, and of the optimal transport, against its definition."""

from __future__ import annotations

import pytest
import torch

from pipeline.transfer.moments import Moments
from pipeline.transfer.wasserstein import PRINCIPAL_SHARE, WassersteinTarget, transport_of


def moments(seed: int, channels: int = 12, positions: int = 900) -> Moments:
    """Return the moments of rectified random features with correlated channels."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator)
    features = (mix @ torch.randn(channels, positions, generator=generator) + 0.5).clamp(min=0)
    return Moments(features.mean(1)[None], (features @ features.T / positions)[None])


def test_the_distance_of_a_painting_to_itself_is_the_variance_that_is_left_out() -> None:
    own = moments(0, channels=64)
    target = WassersteinTarget.of(own)
    found = target.compare(own, 1.0, 900)
    assert 0 <= found.term.item() <= 1 - PRINCIPAL_SHARE + 1e-5
    assert target.ranks[0] < 64
    # The offset and the mixer cancel out at the mean, where no feature has to move.
    moved = (found.mixer @ own.mean[..., None])[..., 0] + found.offset
    assert moved.abs().max() <= 1e-6


def test_the_distance_of_a_flat_image_is_the_whole_variance() -> None:
    painting = moments(1)
    flat = Moments(painting.mean, painting.mean[:, :, None] * painting.mean[:, None, :])
    # The variance that is added in every direction counts a little for the flat image, too.
    assert WassersteinTarget.of(painting).compare(flat, 1.0, 900).term.item() == pytest.approx(0.9, abs=0.1)


def test_the_weight_and_the_mean_count() -> None:
    painting, image = WassersteinTarget.of(moments(1)), moments(2)
    once, twice = (painting.compare(image, weight, 900).term.item() for weight in (1.0, 2.0))
    assert twice == pytest.approx(2 * once)
    further = Moments(image.mean + 1, image.second + image.mean[:, :, None] + image.mean[:, None, :] + 1)
    assert painting.compare(further, 1.0, 900).term.item() > once


def test_transported_features_have_the_paintings_moments() -> None:
    content, style = moments(3), moments(4)
    matrix, offset = transport_of(content, style)
    mean = (matrix @ content.mean[..., None])[..., 0] + offset
    covariance = matrix @ content.covariance @ matrix.mT
    assert (mean - style.mean).norm() <= 1e-4 * style.mean.norm()
    assert (covariance - style.covariance).norm() <= 0.05 * style.covariance.norm()
    assert (matrix - matrix.mT).norm() <= 1e-4 * matrix.norm()


def test_paintings_of_a_batch_keep_their_own_ranks() -> None:
    rich, poor = moments(5, channels=64), moments(6, channels=64, positions=9)
    alone = [WassersteinTarget.of(each) for each in (rich, poor)]
    batch = WassersteinTarget.stack(alone)
    assert batch.ranks == (alone[0].ranks[0], alone[1].ranks[0])
    assert batch.ranks[1] <= 8 < batch.ranks[0]
    image = moments(7, channels=64)
    both = Moments(image.mean.repeat(2, 1), image.second.repeat(2, 1, 1))
    together = batch.compare(both, 1.0, 900)
    for index, target in enumerate(alone):
        expected = target.compare(image, 1.0, 900)
        assert together.term[index].item() == pytest.approx(expected.term.item(), rel=1e-5)
        assert (together.mixer[index] - expected.mixer[0]).norm() <= 1e-5 * expected.mixer.norm()
        picked = batch.select([index]).compare(image, 1.0, 900)
        assert (picked.mixer - expected.mixer).norm() <= 1e-6 * expected.mixer.norm()
        assert picked.mixer.shape == expected.mixer.shape
