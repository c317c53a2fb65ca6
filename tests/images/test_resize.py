"""Tests of resizing pictures, and of the working size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ImageError
from pipeline.images.decode import Picture
from pipeline.images.resize import (
    fit_style,
    fitted_size,
    over_white,
    resize,
    resize_visible,
    scaled_size,
    working_size,
)
from tests.conftest import photo

STYLE = Picture(photo(90, 40).astype(np.float32), "PNG", 90, 40)


@pytest.mark.parametrize(
    ("picture", "size", "wanted"),
    [
        ((4000, 3000), 512, (512, 384)),
        ((300, 400), 512, (384, 512)),
        ((123, 77), "native", (123, 77)),
        ((4000, 3000), "3MP", (2000, 1500)),
    ],
)
def test_working_size_keeps_proportions(picture: tuple[int, int], size: int | str, wanted: tuple[int, int]) -> None:
    assert working_size(*picture, size) == wanted


@pytest.mark.parametrize(("picture", "size"), [((1, 1), "native"), ((1, 4000), 512), ((15, 900), "native")])
def test_a_picture_too_thin_for_the_network_is_refused(picture: tuple[int, int], size: int | str) -> None:
    with pytest.raises(ImageError, match="the shorter side needs 16"):
        working_size(*picture, size)


@pytest.mark.parametrize(("width", "height"), [(45, 20), (180, 80), (90, 40)])
def test_resize_keeps_the_mean_and_the_range(width: int, height: int) -> None:
    resized = resize(STYLE.pixels, width, height)
    assert resized.shape == (height, width, 3)
    assert resized.dtype == np.float32
    assert abs(resized.mean() - STYLE.pixels.mean()) < 1
    assert resized.min() >= 0
    assert resized.max() <= 255


@pytest.mark.parametrize(("fit", "shape"), [("stretch", (60, 50)), ("cover", (60, 50)), ("whole", (50, 112))])
def test_fit_gives_these_sizes(fit: str, shape: tuple[int, int]) -> None:
    assert fit_style(STYLE, 50, 60, fit).shape == (*shape, 3)


def test_cover_crops_the_middle_and_does_not_distort() -> None:
    np.testing.assert_array_equal(fit_style(STYLE, 40, 40, "cover"), STYLE.pixels[:, 25:65])


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (3, 900), (40, 1000)])
def test_a_long_painting_that_covers_is_cropped_before_it_is_enlarged(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    height, width = shape
    style = Picture(photo(width, height).astype(np.float32), "PNG", width, height)
    expected = resize(style.pixels, *fitted_size(width, height, (96, 64), "cover"))
    top, left = (expected.shape[0] - 64) // 2, (expected.shape[1] - 96) // 2
    largest: list[int] = []
    original = cv2.resize

    def noting(values: np.ndarray, size: tuple[int, int], **how: int) -> np.ndarray:
        largest.append(size[0] * size[1])
        return original(values, size, **how)

    monkeypatch.setattr(cv2, "resize", noting)
    fitted = fit_style(style, 96, 64, "cover")
    assert fitted.shape == (64, 96, 3)
    assert np.abs(fitted - expected[top : top + 64, left : left + 96]).mean() < 3
    assert max(largest) <= 20 * max(1, *(64 / height, 96 / width)) * 96 * 64


SIDES = st.integers(1, 5000)


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_painting_that_covers_is_as_large_as_the_photograph_and_no_larger_than_it_must(
    width: int, height: int, across: int, down: int
) -> None:
    fitted = fitted_size(width, height, (across, down), "cover")
    assert fitted[0] >= across
    assert fitted[1] >= down
    assert fitted[0] == across or fitted[1] == down
    assert abs(fitted[0] * height - fitted[1] * width) <= max(width, height), (
        "the painting keeps its proportions, except for rounding"
    )


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_whole_painting_has_the_photographs_short_side(width: int, height: int, across: int, down: int) -> None:
    fitted = fitted_size(width, height, (across, down), "whole")
    assert min(fitted) == min(across, down)
    assert abs(fitted[0] * height - fitted[1] * width) <= max(width, height)


def test_a_stretched_painting_has_the_photographs_size() -> None:
    assert fitted_size(90, 40, (50, 61), "stretch") == (50, 61)


@pytest.mark.parametrize("fit", ["stretch", "cover", "whole"])
@pytest.mark.parametrize("size", [(50, 60), (60, 50), (33, 17), (180, 30)])
def test_a_painting_that_was_decoded_smaller_is_fitted_alike(fit: str, size: tuple[int, int]) -> None:
    large = Picture(photo(720, 320).astype(np.float32), "JPEG", 720, 320)
    small = Picture(resize(large.pixels, 360, 160), "JPEG", 720, 320)
    fitted, wanted = fit_style(small, *size, fit), fit_style(large, *size, fit)
    assert fitted.shape == wanted.shape
    assert np.abs(fitted - wanted).mean() < 2


@pytest.mark.parametrize(("width", "height"), [(10, 8), (80, 64)])
def test_what_is_not_visible_does_not_bleed_into_what_is(width: int, height: int) -> None:
    pixels = np.full((32, 40, 3), 100, np.float32)
    alpha = np.ones((32, 40), np.float32)
    pixels[:, :21], alpha[:, :21] = 255, 0
    resized, visible = resize_visible(pixels, alpha, width, height)
    assert visible is not None
    assert resized.shape == (height, width, 3)
    assert visible.shape == (height, width)
    assert ((visible > 0) & (visible < 1)).any(), "the edge of the visible part is soft"
    np.testing.assert_allclose(resized[visible > 0.01], 100, atol=1e-3)
    assert (resized[visible == 0] == 255).all()
    same, same_alpha = resize_visible(pixels, alpha, 40, 32)
    assert same is pixels
    assert same_alpha is alpha


def test_over_white() -> None:
    pixels = np.full((1, 2, 3), 55, np.float32)
    seen = over_white(pixels, np.array([[0, 0.5]], np.float32))
    np.testing.assert_array_equal(seen[0, :, 0], [255, 155])


@pytest.mark.parametrize(("scale", "size"), [(1.0, (40, 30)), (0.5, (20, 16)), (2.0, (80, 60))])
def test_a_painting_is_scaled_relative_to_the_photograph(scale: float, size: tuple[int, int]) -> None:
    assert scaled_size(40, 30, scale) == size
