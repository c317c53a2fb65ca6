"""Tests of colour matching: giving one picture the colour statistics of another."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from pipeline.images.colour.matching import Match, histogram_match, linear_match
from tests.conftest import photo

METHODS = get_args(Match)
ROTATION = np.linalg.qr(np.array([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]]).T)[0].T
"""Matrix (3, 3) from grey and two chroma axes to R, G and B."""
SOURCE, TARGET = photo(60, 50, seed=1).astype(np.float32), photo(64, 40, seed=2).astype(np.float32)


def covariance(pixels: np.ndarray) -> np.ndarray:
    return np.cov(pixels.reshape(-1, 3).astype(np.float64), rowvar=False, bias=True)


def mean(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, 3).mean(axis=0)


def grey(seed: int) -> np.ndarray:
    return np.repeat(photo(60, 50, seed)[:, :, :1], 3, axis=2).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_a_matched_picture_has_the_targets_mean_and_covariance(method: Match) -> None:
    before = SOURCE.copy()
    matched = linear_match(SOURCE, TARGET, method)
    assert matched.dtype == np.float32
    np.testing.assert_allclose(mean(matched), mean(TARGET), atol=1e-2)
    ours, theirs = covariance(matched), covariance(TARGET)
    if method == "mean-std":
        ours, theirs = np.diag(np.diag(ours)), np.diag(np.diag(theirs))
    np.testing.assert_allclose(ours, theirs, atol=0.01 * np.abs(theirs).max())
    np.testing.assert_array_equal(SOURCE, before)


def test_methods_differ_and_monge_kantorovich_moves_colours_least() -> None:
    moves = {method: float(((linear_match(SOURCE, TARGET, method) - SOURCE) ** 2).mean()) for method in METHODS[1:]}
    assert moves["monge-kantorovich"] < min(moves["cholesky"], moves["pca"])
    assert len({round(move, 2) for move in moves.values()}) == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_matched_to_itself_is_itself(method: Match) -> None:
    assert np.abs(linear_match(SOURCE, SOURCE, method) - SOURCE).mean() < 0.05


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_direction_with_little_in_it_gets_its_variance_too(method: Match) -> None:
    rng = np.random.default_rng(0)
    source = (127 + rng.normal(0, [60, 12, 3], (50, 60, 3)) @ ROTATION).astype(np.float32)
    target = (127 + rng.normal(0, [70, 15, 6], (50, 60, 3)) @ ROTATION).astype(np.float32)
    values, vectors = np.linalg.eigh(covariance(target))
    whitening = vectors / np.sqrt(values)
    whitened = whitening.T @ covariance(linear_match(source, target, method)) @ whitening
    np.testing.assert_allclose(whitened, np.eye(3), atol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_colourful_picture_becomes_grey_with_a_grey_one(method: Match) -> None:
    matched = linear_match(SOURCE, grey(2), method)
    spread = np.ptp(matched, axis=2).mean()
    assert spread < (np.ptp(SOURCE, axis=2).mean() if method == "mean-std" else 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_the_grain_of_a_grey_picture_is_not_blown_up_to_colours(method: Match) -> None:
    grain = np.random.default_rng(0).normal(0, 1, SOURCE.shape).astype(np.float32)
    flat = grey(1)
    flat[:] = np.linspace(20, 230, flat.shape[0])[:, None, None]
    matched = linear_match(flat + grain, TARGET, method)
    chroma = matched - matched.mean(axis=2, keepdims=True)
    along = chroma - chroma.mean(axis=1, keepdims=True)
    assert along.std() < (5 if method in ("mean-std", "monge-kantorovich") else 12)


@pytest.mark.parametrize(
    "source", [SOURCE, grey(1), np.full((1, 1, 3), 7, np.float32), np.full((9, 5, 3), 200, np.float32)]
)
@pytest.mark.parametrize(
    "target", [TARGET, grey(2), np.full((1, 1, 3), 7, np.float32), np.full((9, 5, 3), 200, np.float32)]
)
def test_degenerate_pictures_give_finite_colours(source: np.ndarray, target: np.ndarray) -> None:
    for method in METHODS:
        matched = linear_match(source, target, method)
        assert matched.shape == source.shape
        assert np.abs(mean(matched) - mean(target)).max() < 1
    by_histogram = histogram_match(source, target)
    assert by_histogram.shape == source.shape
    assert ((by_histogram >= target.min()) & (by_histogram <= target.max())).all()


@pytest.mark.parametrize("size", [(64, 40), (30, 70)])
def test_a_matched_histogram_is_the_targets(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    source = rng.gamma(2, 30, (size[1], size[0], 3)).astype(np.float32)
    matched = histogram_match(source, TARGET)
    for channel in range(3):
        ours, theirs = np.sort(matched[..., channel], axis=None), np.sort(TARGET[..., channel], axis=None)
        quantiles = np.linspace(0, 1, 101)
        np.testing.assert_allclose(np.quantile(ours, quantiles), np.quantile(theirs, quantiles), atol=1.0)
        order = np.argsort(source[..., channel], axis=None)
        assert (np.diff(matched[..., channel].ravel()[order]) >= 0).all(), "matching keeps the order of values"
        if ours.size == theirs.size:
            np.testing.assert_array_equal(ours, theirs)


def test_flat_areas_stay_flat_and_ties_are_told_apart_by_what_is_around_them() -> None:
    source = np.zeros((20, 20, 3), np.float32)
    source[:, 10:] = 100
    ramp = np.linspace(0, 255, 400, dtype=np.float32).reshape(20, 20, 1).repeat(3, axis=2)
    matched = histogram_match(source, ramp)[..., 0]
    assert np.ptp(matched[:, 1:7]) < 1e-3, "pixels of a flat area far from the edge stay equal"
    assert matched[5, 9] > matched[5, 3], "pixels beside a light area become lighter"
    turned = histogram_match(np.ascontiguousarray(source[::-1]), ramp)[::-1, :, 0]
    np.testing.assert_array_equal(turned, matched, err_msg="whatever the order of pixels")


def test_a_matched_histogram_does_not_depend_on_the_order_of_pixels() -> None:
    rng = np.random.default_rng(0)
    patches = np.kron(rng.normal(90, 90, (7, 9, 3)), np.ones((8, 8, 1))).astype(np.float32)
    assert patches.min() < 0, "the picture is not clipped"
    matched = histogram_match(patches, TARGET)
    for turn in (np.flipud, np.fliplr, lambda picture: picture.transpose(1, 0, 2)):
        turned = histogram_match(np.ascontiguousarray(turn(patches)), TARGET)
        np.testing.assert_array_equal(turned, turn(matched))
    middles, below = matched[4::8, 4::8, 0], patches[4::8, 4::8, 0] < 0
    assert middles[below].max() <= middles[~below].min(), "patches below 0 stay darker than patches above 0"


def test_nearer_neighbours_count_more_than_farther_ones() -> None:
    source = np.zeros((30, 40, 3), np.float32)
    source[10, 9] = 10  # five pixels beside (10, 10)
    source[18:23:2, 28] = source[18:21:2, 32] = 10  # five pixels around (20, 30), none beside it
    ramp = np.linspace(0, 255, 1200, dtype=np.float32).reshape(30, 40, 1).repeat(3, axis=2)
    matched = histogram_match(source, ramp)[..., 0]
    assert matched[10, 10] > matched[20, 30] > matched[20, 10]


def test_a_picture_of_one_colour_gets_the_targets_median() -> None:
    matched = histogram_match(np.full_like(SOURCE, 9), TARGET)
    np.testing.assert_allclose(matched, np.broadcast_to(np.median(TARGET, axis=(0, 1)), SOURCE.shape))


def test_a_target_of_one_colour_gives_one_colour() -> None:
    np.testing.assert_array_equal(histogram_match(SOURCE, np.full((2, 2, 3), 9, np.float32)), np.full_like(SOURCE, 9))
