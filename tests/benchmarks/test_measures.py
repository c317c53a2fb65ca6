"""Tests of the measures of pictures: formulas on known values, and ways to deceive them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.images.colour.luma_chroma import luma, rgb_to_yuv, yuv_to_rgb
from tests.benchmarks import measures
from tests.benchmarks.controls import controls
from tests.benchmarks.synthetic import HEIGHT, WIDTH, painting, photograph

PHOTOGRAPH, PAINTING = luma(photograph()), luma(painting())
CONTROLS = {name: luma(picture) for name, picture in controls(photograph(), painting()).items()}
OTHER = luma(painting(seed=7))


def test_frechet_distance_of_independent_channels_is_that_of_means_and_spreads() -> None:
    one = torch.tensor([1.0, 2.0]).double(), torch.diag(torch.tensor([4.0, 9.0])).double()
    other = torch.tensor([0.0, 5.0]).double(), torch.diag(torch.tensor([1.0, 25.0])).double()
    assert measures.frechet(one, other) == pytest.approx(1 + 9 + (2 - 1) ** 2 + (3 - 5) ** 2)
    assert measures.frechet(one, one) == pytest.approx(0, abs=1e-12)


def test_frechet_distance_is_symmetric_and_blind_to_rotation() -> None:
    rng = torch.Generator().manual_seed(0)
    one, other = (
        measures.moments(torch.randn(5, 8, 9, generator=rng) * torch.arange(1, 6)[:, None, None]) for _ in "ab"
    )
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=rng).double()).Q
    turned = [(rotation @ mean, rotation @ covariance @ rotation.T) for mean, covariance in (one, other)]
    assert measures.frechet(one, other) == pytest.approx(measures.frechet(other, one))
    assert measures.frechet(one, other) == pytest.approx(measures.frechet(*turned))


def test_moments_are_mean_and_covariance_over_places() -> None:
    features = torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(0))
    mean, covariance = measures.moments(features)
    np.testing.assert_allclose(mean, features.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(features.flatten(1).numpy(), bias=True), atol=1e-6)


def test_style_distance_is_relative_to_the_paintings_variance() -> None:
    rng = torch.Generator().manual_seed(0)
    one, other = torch.randn(4, 9, 9, generator=rng), torch.randn(4, 9, 9, generator=rng)
    distance = measures.style_distance([one, one], [other, other])
    assert measures.style_distance([10 * one], [10 * other]) == pytest.approx(distance)
    assert measures.style_distance([0 * one], [other - other.mean((1, 2), keepdim=True)]) == pytest.approx(1)


def test_structure_distance_sees_places_not_what_is_there() -> None:
    features = torch.randn(6, 12, 12, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1))).Q
    other = 3 * torch.einsum("ij,jhw->ihw", rotation, features) + 5
    assert measures.structure_distance([features], [other]) == pytest.approx(0, abs=1e-5)
    assert measures.structure_distance([features], [features.flip(2)]) > 0.8


def test_contrast_is_normalised_away() -> None:
    dim = PHOTOGRAPH * 0.25 + 30
    np.testing.assert_allclose(measures.normalised(dim), measures.normalised(PHOTOGRAPH), atol=1e-2)
    assert np.isfinite(measures.normalised(np.full((8, 8), 7, np.float32))).all()


@pytest.mark.parametrize("band", range(5))
def test_a_wave_lies_in_the_band_of_a_quarter_of_its_length(band: int) -> None:
    length = 4 * 1.3 * 2**band
    wave = np.tile(np.sin(2 * np.pi * np.arange(256) / length).astype(np.float32), (256, 1))
    energies = [float(np.square(each[64:-64, 64:-64]).mean()) for each in measures.bands(wave, 6)]
    assert int(np.argmax(energies)) == band


def test_bands_do_not_depend_on_the_position() -> None:
    moved = measures.bands(np.roll(PAINTING, 5, 1), 4)
    for one, other in zip(measures.bands(PAINTING, 4), moved, strict=True):
        np.testing.assert_allclose(np.roll(one, 5, 1)[:, 60:-60], other[:, 60:-60], atol=1e-3)


def test_correlation_in_place_and_at_its_peak() -> None:
    moved = np.roll(PAINTING, (3, -4), (0, 1))
    assert abs(measures.correlation(PAINTING, moved)) < 0.3
    assert measures.peak_correlation(PAINTING, moved) == pytest.approx(1, abs=1e-5)
    assert measures.peak_correlation(PAINTING, 255 - PAINTING) == pytest.approx(1, abs=1e-5)
    assert measures.correlation(PAINTING, 2 * PAINTING + 3) == pytest.approx(1, abs=1e-5)
    assert measures.correlation(PAINTING, np.full_like(PAINTING, 9)) == 0


def test_the_rest_of_the_photograph_is_found_under_relief_and_when_it_is_moved() -> None:
    relief = 3 * (PHOTOGRAPH - np.roll(PHOTOGRAPH, 1, 1)) + PHOTOGRAPH
    moved = np.roll(PHOTOGRAPH, (2, 3), (0, 1))
    for picture in (moved, relief, 0.5 * PHOTOGRAPH + 20):
        assert min(measures.residue(picture, PHOTOGRAPH)[:2]) > 0.7
    assert max(measures.residue(OTHER, PHOTOGRAPH)[:2]) < 0.2


def test_the_subject_is_there_where_the_photograph_has_one() -> None:
    empty = measures.blurred(np.abs(PHOTOGRAPH - measures.blurred(PHOTOGRAPH, 8)), 8) < 4
    painted = np.where(empty, OTHER, PHOTOGRAPH)
    assert empty.mean() > 0.3
    assert measures.subject(PHOTOGRAPH, PHOTOGRAPH) == pytest.approx(1, abs=1e-5)
    assert measures.subject(painted, PHOTOGRAPH) > 0.8
    for name in ("painting", "painting, mirrored", "painting in pieces"):
        assert measures.subject(CONTROLS[name], PHOTOGRAPH) < 0.4


def test_ghosts_of_the_layout_are_found_wherever_they_lie() -> None:
    honest = measures.ghost(PHOTOGRAPH, [PAINTING])
    assert measures.ghost(OTHER, [PAINTING]) < honest + 0.1
    for flip in np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1]:
        copy = np.roll(PAINTING[flip], 17, 0)
        assert measures.ghost((PHOTOGRAPH + copy) / 2, [OTHER, PAINTING]) > honest + 0.3


def test_pieces_of_the_painting_are_found_where_no_layout_is() -> None:
    honest = measures.patches(PHOTOGRAPH, [PAINTING])
    assert measures.patches(OTHER, [PAINTING]) < honest + 0.15
    for name in ("painting in pieces", "half and half, in pieces", "photograph under strokes", "half and half"):
        assert measures.patches(CONTROLS[name], [OTHER, PAINTING]) > honest + 0.15, name
    assert measures.ghost(CONTROLS["painting in pieces"], [PAINTING]) < 0.3


def test_pictures_that_are_too_small_or_empty_have_no_pieces() -> None:
    assert measures.patches(PHOTOGRAPH, [PAINTING[:20]]) == 0
    assert measures.patches(np.full_like(PHOTOGRAPH, 100), [PAINTING]) == 0


def test_bands_are_compared_in_octaves() -> None:
    np.testing.assert_allclose(measures.octaves(2 * PAINTING, PAINTING), 1, atol=1e-4)
    assert measures.octaves(measures.blurred(PAINTING, 1.5), PAINTING)[0] < -1
    grainy = PAINTING + np.random.default_rng(0).normal(0, 60, PAINTING.shape).astype(np.float32)
    assert measures.octaves(grainy, PAINTING)[0] > 0.4


def test_tint_sees_the_large_and_not_the_strokes() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    yuv = rgb_to_yuv(flat)
    yuv[:, :, 1] -= 3
    yuv[:, :, 2] += 5
    assert measures.tint(yuv_to_rgb(yuv), flat) == pytest.approx(5, abs=1e-3)
    yuv = rgb_to_yuv(flat)
    yuv[::2, :, 2] += 20
    yuv[1::2, :, 2] -= 20
    assert measures.tint(yuv_to_rgb(yuv), flat) < 0.5


@pytest.mark.parametrize(("band", "share"), [(0, 0.01), (1, 0.25), (2, 0.25), (3, 0.25), (4, 0.1)])
def test_strokes_are_neither_grain_nor_shapes(band: int, share: float) -> None:
    length = 4 * 0.7 if band == 0 else 4 * 1.3 * 2**band
    wave = np.tile(np.sin(2 * np.pi * np.arange(512) / length).astype(np.float32), (64, 1))
    energy = measures.stroke_energy(wave) / float(np.square(wave).mean())
    assert energy > share if band in (1, 2, 3) else energy < share


def test_chroma_of_strokes_is_an_energy() -> None:
    yuv = rgb_to_yuv(painting())
    pale = yuv * np.float32([1, 0.5, 0.5])
    assert measures.chroma_energy(yuv_to_rgb(pale)) == pytest.approx(measures.chroma_energy(painting()) / 4, rel=1e-3)
    assert measures.chroma_energy(np.repeat(PAINTING[:, :, None], 3, 2)) < 1e-3
