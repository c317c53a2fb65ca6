"""Tests of guided upscaling: a result takes fine detail from its photograph."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.images.resize import resize
from pipeline.images.upscale import guided_upscale
from tests.conftest import photo


def detailed() -> np.ndarray:
    """Return a photograph with fine lines."""
    picture = photo(240, 180, seed=1).astype(np.float32)
    picture[:, ::3] *= 0.7
    return picture


NATIVE = detailed()
WORKING = resize(NATIVE, 80, 60)


def cubic(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (240, 180), interpolation=cv2.INTER_CUBIC)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two pictures, in dB."""
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


def test_of_one_size_nothing_is_done() -> None:
    result = photo(240, 180, seed=2).astype(np.float32)
    np.testing.assert_allclose(guided_upscale(result, NATIVE, NATIVE), result, atol=1e-3)


def test_what_follows_the_photograph_gets_its_detail() -> None:
    guided = psnr(guided_upscale(WORKING, WORKING, NATIVE), NATIVE)
    assert guided > psnr(resize(WORKING, 240, 180), NATIVE) + 3


def test_contrast_that_was_lowered_stays_so() -> None:
    soft = 0.5 * WORKING + 60
    guided = guided_upscale(soft, WORKING, NATIVE)
    assert psnr(guided, 0.5 * NATIVE + 60) > psnr(resize(soft, 240, 180), 0.5 * NATIVE + 60) + 3


def test_what_hides_the_photograph_gets_none_of_it() -> None:
    flat = np.full_like(WORKING, 90)
    np.testing.assert_allclose(guided_upscale(flat, WORKING, NATIVE), np.full_like(NATIVE, 90), atol=0.1)
    inverted = 255 - WORKING
    np.testing.assert_allclose(guided_upscale(inverted, WORKING, NATIVE), cubic(inverted), atol=0.1)


def test_strokes_stay_where_they_are() -> None:
    strokes = (WORKING + 40 * np.sin(np.arange(80) / 4)[None, :, None]).astype(np.float32)
    back = resize(np.clip(guided_upscale(strokes, WORKING, NATIVE), 0, 255), 80, 60)
    assert np.abs(back - np.clip(strokes, 0, 255)).mean() < 2.5


def test_it_is_not_clipped_and_does_not_change_what_it_is_given() -> None:
    before = WORKING.copy()
    assert guided_upscale(WORKING * 1.5, WORKING, NATIVE).max() > 300
    np.testing.assert_array_equal(WORKING, before)


@pytest.mark.parametrize("shape", [(16, 16), (16, 400)])
def test_flat_and_narrow_pictures_are_finite(shape: tuple[int, int]) -> None:
    native = np.full((shape[0] * 3, shape[1] * 3, 3), 128, np.float32)
    working = resize(native, shape[1], shape[0])
    guided = guided_upscale(working + 5, working, native)
    assert guided.shape == native.shape
    np.testing.assert_allclose(guided, np.full_like(native, 133), atol=0.01)
