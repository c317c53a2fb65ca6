"""Tests of the conversion between RGB and YUV, and of the exchange of luma and chroma between pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.colour.luma_chroma import (
    blend,
    into_gamut,
    luma,
    rgb_to_yuv,
    share_of_moved,
    with_chroma_in_gamut,
    with_chroma_of,
    yuv_to_rgb,
)
from tests import oracle
from tests.conftest import photo

PICTURE, OTHER = photo(seed=1).astype(np.float32), photo(seed=2).astype(np.float32)


def test_yuv_is_bt601_and_its_inverse_gives_the_picture_back() -> None:
    np.testing.assert_allclose(rgb_to_yuv(PICTURE), oracle.yuv(PICTURE), atol=1e-3)
    np.testing.assert_allclose(yuv_to_rgb(rgb_to_yuv(PICTURE)), PICTURE, atol=1e-3)
    np.testing.assert_allclose(luma(PICTURE), oracle.yuv(PICTURE)[..., 0], atol=1e-3)
    by_opencv = cv2.cvtColor(PICTURE / 255, cv2.COLOR_RGB2YUV) * 255 - [0, 127.5, 127.5]
    np.testing.assert_allclose(rgb_to_yuv(PICTURE), by_opencv, atol=0.1)


def test_with_chroma_of_keeps_luma_and_takes_chroma_unclipped() -> None:
    before = PICTURE.copy()
    mixed = oracle.yuv(with_chroma_of(PICTURE, OTHER))
    np.testing.assert_allclose(mixed[..., 0], oracle.yuv(PICTURE)[..., 0], atol=1e-3)
    np.testing.assert_allclose(mixed[..., 1:], oracle.yuv(OTHER)[..., 1:], atol=1e-3)
    np.testing.assert_array_equal(PICTURE, before)
    assert with_chroma_of(PICTURE, OTHER).min() < 0


def test_in_gamut_the_chroma_is_exact_and_the_luma_gives_way() -> None:
    mixed, share = with_chroma_in_gamut(PICTURE, OTHER)
    unclipped = with_chroma_of(PICTURE, OTHER)
    fits = ((unclipped >= 0) & (unclipped <= 255)).all(axis=2)
    assert 0.05 < share < 0.95
    assert share == pytest.approx(1 - fits.mean(), abs=0.01)
    np.testing.assert_allclose(mixed[fits], unclipped[fits], atol=1e-3)
    np.testing.assert_allclose(oracle.yuv(mixed)[..., 1:], oracle.yuv(OTHER)[..., 1:], atol=1e-3)
    assert mixed.min() > -1e-3
    assert mixed.max() < 255 + 1e-3
    moved = np.abs(luma(mixed) - luma(PICTURE))
    assert moved[fits].max() < 1e-3
    beyond = np.maximum(-unclipped.min(axis=2), unclipped.max(axis=2) - 255)
    np.testing.assert_allclose(moved[~fits], beyond[~fits], atol=1e-2, err_msg="no further than need be")


COLOUR = st.lists(st.integers(0, 255), min_size=3, max_size=3)


@given(st.lists(st.tuples(COLOUR, st.floats(-300, 600, width=32)), min_size=1, max_size=20))
def test_every_colour_has_a_luma_for_which_its_chroma_fits(cases: list[tuple[list[int], float]]) -> None:
    source = np.array([[colour for colour, _ in cases]], np.float32)
    lumas = np.array([[[luma] * 3 for _, luma in cases]], np.float32)
    mixed, share = with_chroma_in_gamut(lumas, source)
    assert mixed.min() > -1e-3
    assert mixed.max() < 255 + 1e-3
    np.testing.assert_allclose(oracle.yuv(mixed)[..., 1:], oracle.yuv(source)[..., 1:], atol=1e-3)
    assert share == pytest.approx(np.mean(np.abs(luma(mixed) - lumas[..., 0]) > 0.01), abs=1 / len(cases) + 1e-9)


def test_a_pictures_own_chroma_moves_nothing() -> None:
    same, share = with_chroma_in_gamut(PICTURE, PICTURE)
    assert share == 0
    np.testing.assert_allclose(same, PICTURE, atol=1e-3)


@given(st.lists(st.lists(st.floats(-400, 700, width=32), min_size=3, max_size=3), min_size=1, max_size=20))
def test_into_gamut_hue_stays_and_luma_and_chroma_give_way(colours: list[list[float]]) -> None:
    before = np.array([colours], np.float32)
    after = before.copy()
    into_gamut(after)
    assert after.min() >= 0
    assert after.max() <= 255
    inside = ((before >= 0) & (before <= 255)).all(axis=2)
    np.testing.assert_array_equal(after[inside], before[inside])
    wide, narrow = (oracle.yuv(each)[..., 1:] for each in (before, after))
    cross = wide[..., 0] * narrow[..., 1] - wide[..., 1] * narrow[..., 0]
    assert np.abs(cross).max() <= 1e-3 * max(1, np.abs(wide).max()) ** 2, "the hue is kept"
    lengths = np.hypot(*np.moveaxis(wide, 2, 0)), np.hypot(*np.moveaxis(narrow, 2, 0))
    assert (lengths[1] <= lengths[0] + 1e-3).all()
    assert share_of_moved(before, before) == 0


def test_half_of_what_a_colour_lies_outside_is_taken_from_its_luma() -> None:
    dark_blue = np.array([[[-30, 0, 120]]], np.float32)
    after = dark_blue.copy()
    into_gamut(after)
    alone, moved = with_chroma_in_gamut(np.full_like(dark_blue, luma(dark_blue)[0, 0]), dark_blue + 30)
    assert moved == 1
    assert luma(dark_blue)[0, 0] < luma(after)[0, 0] < luma(alone)[0, 0]
    assert after[0, 0, 0] == pytest.approx(0, abs=1e-3)
    fits = luma(dark_blue)[0, 0] / (luma(dark_blue)[0, 0] + 30)
    np.testing.assert_allclose(oracle.yuv(after)[..., 1:], (1 + fits) / 2 * oracle.yuv(dark_blue)[..., 1:], atol=1e-3)
    assert share_of_moved(dark_blue, after) == 1


def test_a_blend_is_linear_and_exact_at_its_ends() -> None:
    assert blend(PICTURE, OTHER, 0) is PICTURE
    assert blend(PICTURE, OTHER, 1) is OTHER
    np.testing.assert_allclose(blend(PICTURE, OTHER, 0.25), 0.75 * PICTURE + 0.25 * OTHER, atol=1e-3)
