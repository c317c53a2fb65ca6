"""Tests of the mode `regions`: the recoloured painting, and the photograph's chroma in the large."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.images.colour.regions import STROKES, recoloured, with_chroma_of_regions
from tests import oracle
from tests.conftest import photo

WIDTH, HEIGHT = 192, 144
CONTENT = cv2.GaussianBlur(photo(WIDTH, HEIGHT, seed=1).astype(np.float32), (0, 0), 3) * 0.6 + 50
CONTENT[:, 100:, 0] += 30


def strokes(deviation: float = 25) -> np.ndarray:
    """Return coloured strokes of about 4 px, around 0."""
    noise = np.random.default_rng(7).normal(0, 1, CONTENT.shape).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2)
    return blurred * np.float32(deviation / blurred.std())


def chroma(pixels: np.ndarray) -> np.ndarray:
    """Return U and V, (H, W, 2)."""
    return oracle.yuv(pixels)[..., 1:]


def in_the_large(pixels: np.ndarray) -> np.ndarray:
    """Return mean |U| and |V| after a Gaussian blur, whose sigma is the longer side divided by `STROKES`."""
    return np.abs(cv2.GaussianBlur(chroma(pixels), (0, 0), max(pixels.shape) / STROKES)).mean(axis=(0, 1))


def stroke_energy(pixels: np.ndarray) -> float:
    """Return the spread of U and V about their means over 17 px."""
    own = chroma(pixels)
    return float(np.std(own - cv2.blur(own, (17, 17))))


def test_the_chroma_in_the_large_is_the_photographs_and_that_of_the_strokes_the_results() -> None:
    painted = CONTENT[::-1] * 0.7 + np.float32([60, 10, -20]) + strokes()
    result, moved = with_chroma_of_regions(painted, CONTENT)
    assert in_the_large(painted - CONTENT).min() > 8
    assert in_the_large(result - CONTENT).max() < 1
    assert stroke_energy(result) == pytest.approx(stroke_energy(strokes()), rel=0.15)
    differences = np.abs(oracle.yuv(result) - oracle.yuv(painted))[..., 0]
    assert np.mean(differences > 0.01) == pytest.approx(moved, abs=1e-3)
    assert moved < 0.02


@pytest.mark.parametrize("size", [(96, 72), (192, 144), (768, 576)])
def test_the_width_of_a_region_is_relative_to_the_picture(size: tuple[int, int]) -> None:
    painted = CONTENT + strokes() + np.float32([40, 0, -30])
    expected, _ = with_chroma_of_regions(painted, CONTENT)
    result, _ = with_chroma_of_regions(cv2.resize(painted, size), cv2.resize(CONTENT, size))
    ours, theirs = (chroma(cv2.resize(each, (48, 36), interpolation=cv2.INTER_AREA)) for each in (result, expected))
    assert np.abs(ours - theirs).mean() < 0.6


def test_the_photograph_itself_stays_exactly_as_it_is() -> None:
    rng = np.random.default_rng(3)
    content = rng.uniform(0, 255, (40, 500, 3)).astype(np.float32)
    for mask in (None, rng.uniform(0, 1, (40, 500)).astype(np.float32)):
        result, moved = with_chroma_of_regions(content, content, mask)
        np.testing.assert_array_equal(result, content)
        assert moved == 0


@pytest.mark.parametrize("right", [(60, 120, 180), (148, 107, 50)], ids=["lighter", "as light"])
def test_no_colour_bleeds_over_an_edge_of_the_photograph(right: tuple[int, int, int]) -> None:
    content = np.full((96, 192, 3), (120, 100, 160), np.float32)
    content[:, 96:] = right
    result, _ = with_chroma_of_regions(np.full_like(content, 120), content)
    errors = np.abs(chroma(result) - chroma(content)).max(axis=(0, 2))
    assert errors.max() < 6
    assert np.abs(chroma(content)).max() > 15


def test_colours_beyond_the_gamut_come_back_and_the_regions_keep_their_chroma() -> None:
    blue = np.full((96, 128, 3), (0, 115, 215), np.float32)
    light = cv2.GaussianBlur(np.random.default_rng(4).normal(0, 1, (96, 128)).astype(np.float32), (0, 0), 2)
    painted = blue + (light * np.float32(30 / light.std()) - 10)[:, :, None]
    result, moved = with_chroma_of_regions(painted, blue)
    assert result.min() >= 0
    assert result.max() <= 255
    assert in_the_large(result - blue).max() < 3
    assert 0.3 < moved < 1
    luma = oracle.yuv(result)[..., 0]
    assert np.percentile(luma, 1) < oracle.yuv(blue)[0, 0, 0] - 15, "dark strokes stay dark"


def test_where_a_mask_is_black_the_photograph_stays_and_beside_it_the_regions_are_right() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, 90:] = 1
    mask[:, 80:90] = np.linspace(0, 1, 10)
    painted = CONTENT + mask[:, :, None] * (strokes() + np.float32([50, -20, 30]))
    result, _ = with_chroma_of_regions(painted, CONTENT, mask)
    np.testing.assert_array_equal(result[:, :80], CONTENT[:, :80])
    difference = chroma(result) - chroma(CONTENT)
    assert np.abs(difference[:, 82:90].mean(axis=(0, 1))).max() < 1.5
    assert np.abs(difference[:, 90:96].mean(axis=(0, 1))).max() < 1.5


def test_a_recoloured_painting_has_the_photographs_hues_and_its_own_contrast() -> None:
    pale = (CONTENT - CONTENT.mean(axis=(0, 1))) * 0.3 + np.float32([175, 155, 145])
    vivid = np.clip(110 + strokes(40), 0, 255)
    picture = recoloured(vivid, pale)
    assert picture.min() >= 0
    assert picture.max() <= 255
    np.testing.assert_allclose(chroma(picture).mean(axis=(0, 1)), chroma(pale).mean(axis=(0, 1)), atol=2)
    (of_picture, of_vivid, of_pale) = (oracle.yuv(each) for each in (picture, vivid, pale))
    assert of_picture[..., 0].mean() == pytest.approx((of_vivid[..., 0].mean() + of_pale[..., 0].mean()) / 2, abs=1)
    for part in (slice(0, 1), slice(1, 3)):
        ours, theirs, photographs = (
            float(np.sqrt(each[..., part].var(axis=(0, 1)).sum())) for each in (of_picture, of_vivid, of_pale)
        )
        assert ours == pytest.approx(photographs**0.25 * theirs**0.75, rel=0.05)


def test_a_dull_painting_stays_dull_beside_a_vivid_photograph_but_no_flatter_than_it() -> None:
    dull = np.repeat(128 + strokes(4)[:, :, :1], 3, axis=2) + strokes(2)
    before, after = oracle.yuv(CONTENT), oracle.yuv(recoloured(dull, CONTENT))
    assert after[..., 0].std() == pytest.approx(before[..., 0].std(), rel=0.1)
    assert after[..., 1:].std(axis=(0, 1)).sum() < before[..., 1:].std(axis=(0, 1)).sum() / 3


def test_grey_pictures_give_grey_ones() -> None:
    grey = np.repeat(CONTENT[:, :, :1], 3, axis=2)
    picture = recoloured(np.clip(128 + strokes(), 0, 255), grey)
    assert np.ptp(picture, axis=2).max() < 0.1
    result, _ = with_chroma_of_regions(picture, grey)
    assert np.ptp(result, axis=2).max() < 0.2


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (2, 900), (900, 1)])
def test_tiny_and_narrow_pictures_are_finite(width: int, height: int) -> None:
    content = photo(width, height, seed=3).astype(np.float32)
    for mask in (None, np.zeros((height, width), np.float32)):
        result, moved = with_chroma_of_regions(content[::-1, ::-1] + 40, content, mask)
        assert np.isfinite(result).all()
        assert 0 <= moved <= 1
