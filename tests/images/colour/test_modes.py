"""Tests of the colour modes: the preparation of a painting, and the finish of a result."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from pipeline.images.colour.luma_chroma import with_chroma_of
from pipeline.images.colour.matching import Match
from pipeline.images.colour.modes import Colour, Mode, finish, finishes, preparation, prepare_content, prepare_style
from pipeline.settings.pair_settings import ColourMode, ColourSettings
from tests import oracle
from tests.conftest import photo

MODES, METHODS = get_args(Mode), get_args(Match)
CONTENT, STYLE = photo(64, 48, seed=1).astype(np.float32), photo(50, 60, seed=2).astype(np.float32)
BEFORE = [mode for mode in MODES if mode not in ("none", "swap-luma")]


def prepare(colour: Colour, content: np.ndarray, style: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return content and style as the network sees them."""
    return prepare_content(colour, content), prepare_style(colour, style, content)


def stylised(amplitude: float = 60) -> np.ndarray:
    """Return a possible result of the optimisation: the photograph with strokes, unclipped."""
    rng = np.random.default_rng(5)
    return (CONTENT + rng.normal(0, amplitude, (48, 64, 1)) + rng.normal(0, 10, CONTENT.shape)).astype(np.float32)


def chroma_errors(result: np.ndarray, levels: int) -> np.ndarray:
    """Return |ΔU|, |ΔV| of every pixel, relative to the whole scale, after rounding to a number of levels."""
    rounded = np.round(np.clip(result / 255, 0, 1) * levels) / levels
    return np.abs(oracle.yuv(rounded) - oracle.yuv(CONTENT.astype(np.float64) / 255))[..., 1:]


def chroma_error(result: np.ndarray, levels: int) -> np.ndarray:
    """Return mean |ΔU|, |ΔV|."""
    return np.asarray(chroma_errors(result, levels).mean(axis=(0, 1)))


@pytest.mark.parametrize("mode", ["luminance", "swap-luma"])
@pytest.mark.parametrize(("levels", "bound"), [(255, 1 / 255), (65535, 1 / 4096)])
@pytest.mark.parametrize("amplitude", [20, 150])
def test_the_chroma_is_the_photographs(mode: Mode, levels: int, bound: float, amplitude: float) -> None:
    result, share = finish(Colour(mode), stylised(amplitude), CONTENT)
    moved = np.abs(oracle.yuv(result) - oracle.yuv(stylised(amplitude)))[..., 0] > 0.01
    assert (0.3 if amplitude > 100 else 0.01) < share < 1
    assert share == pytest.approx(moved.mean(), abs=1e-3)
    errors = chroma_errors(result, levels)
    for pixels in (moved, ~moved):
        assert errors[pixels].mean(axis=0).max() <= bound
    clipped = with_chroma_of(stylised(amplitude), CONTENT)
    assert amplitude < 100 or chroma_error(clipped, levels).max() > 2 * bound, "clipping would have changed it"


@pytest.mark.parametrize("mode", MODES)
def test_no_strength_is_none_and_full_strength_is_all(mode: Mode) -> None:
    nothing = Colour(mode, strength=0)
    assert all(a is b for a, b in zip(prepare(nothing, CONTENT, STYLE), (CONTENT, STYLE), strict=True))
    result = stylised()
    assert finish(nothing, result, CONTENT)[0] is result
    assert preparation(nothing) == preparation(Colour("none"))
    assert not finishes(nothing)


@pytest.mark.parametrize("mode", BEFORE)
def test_between_the_pictures_go_from_none_to_all(mode: Mode) -> None:
    seen = [prepare(Colour(mode, strength), CONTENT, STYLE) for strength in (0, 0.25, 0.5, 0.75, 1)]
    for original, place in ((CONTENT, 0), (STYLE, 1)):
        distances = [float(np.abs(pair[place] - original).mean()) for pair in seen]
        if place == 1 or mode == "luminance":
            assert (np.diff(distances) > 0).all()
            np.testing.assert_allclose(distances[2], distances[4] / 2, rtol=1e-3)
        else:
            assert distances == [0] * 5


@pytest.mark.parametrize("mode", ["luminance", "swap-luma"])
def test_between_the_chroma_comes_ever_nearer_to_the_photographs(mode: Mode) -> None:
    errors = [
        chroma_error(finish(Colour(mode, strength), stylised(), CONTENT)[0], 65535).mean()
        for strength in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(errors) < 0).all()


def test_regions_change_the_painting_before_and_the_chroma_after() -> None:
    _, recoloured = prepare(Colour("regions"), CONTENT, STYLE)
    assert np.abs(recoloured - STYLE).mean() > 5
    content = CONTENT * np.float32(0.6) + 50
    tinted = content + np.float32([20, 0, -20])
    results = [finish(Colour("regions", strength), tinted, content)[0] for strength in (0, 0.5, 1)]
    tints = np.array([oracle.yuv(result - content).mean(axis=(0, 1)) for result in results])
    shares = tints / tints[0]
    np.testing.assert_allclose(shares, [[1, 1, 1], [1, 0.5, 0.5], [1, 0, 0]], atol=0.02)


def test_style_yuv_gives_the_style_the_photographs_chroma() -> None:
    content, style = prepare(Colour("style-yuv"), CONTENT, photo(64, 48, seed=2).astype(np.float32))
    assert content is CONTENT
    np.testing.assert_allclose(oracle.yuv(style)[..., 1:], oracle.yuv(CONTENT)[..., 1:], atol=1e-3)
    _, smaller = prepare(Colour("style-yuv"), CONTENT, photo(32, 24, seed=2).astype(np.float32))
    np.testing.assert_allclose(
        oracle.yuv(smaller)[..., 1:].mean(axis=(0, 1)), oracle.yuv(CONTENT)[..., 1:].mean(axis=(0, 1)), atol=0.1
    )


def test_in_luminance_both_are_grey_with_the_photographs_mean_and_spread() -> None:
    content, style = prepare(Colour("luminance"), CONTENT, STYLE)
    wanted = oracle.yuv(CONTENT)[..., 0]
    np.testing.assert_allclose(content, wanted[..., None].repeat(3, axis=2), atol=1e-3)
    assert np.ptp(style, axis=2).max() == 0
    assert style.shape == STYLE.shape
    assert style.mean() == pytest.approx(wanted.mean(), abs=0.01)
    assert style.std() == pytest.approx(wanted.std(), abs=0.01)
    correlation = np.corrcoef(style[..., 0].ravel(), oracle.yuv(STYLE)[..., 0].ravel())[0, 1]
    assert correlation == pytest.approx(1, abs=1e-6)


def test_matched_and_histogram_styles_stay_in_gamut() -> None:
    for mode in ("match", "histogram"):
        content, style = prepare(Colour(mode), CONTENT, STYLE)
        assert content is CONTENT
        assert style.min() >= 0
        assert style.max() <= 255
        np.testing.assert_allclose(style.mean(axis=(0, 1)), CONTENT.mean(axis=(0, 1)), atol=6)


def test_modes_that_show_the_network_the_same_share_its_work() -> None:
    assert preparation(Colour("none")) == preparation(Colour("swap-luma"))
    assert preparation(Colour("style-yuv", match="pca")) == preparation(Colour("style-yuv"))
    others = [Colour(mode, strength) for mode in BEFORE for strength in (0.5, 1)]
    others += [Colour("match", match="pca"), Colour("none")]
    assert len({preparation(colour) for colour in others}) == len(others)


ODD = {
    "1×1": np.full((1, 1, 3), 77, np.float32),
    "1×4000": photo(4000, 1, seed=3).astype(np.float32),
    "4000×1": photo(1, 4000, seed=3).astype(np.float32),
    "black": np.zeros((20, 30, 3), np.float32),
    "one colour": np.full((20, 30, 3), (250, 3, 90), np.float32),
    "grey": np.repeat(photo(30, 20, seed=4)[:, :, :1], 3, axis=2).astype(np.float32),
}


@pytest.mark.parametrize("content", ODD)
@pytest.mark.parametrize("style", ODD)
def test_odd_pictures_give_finite_colours(content: str, style: str) -> None:
    for colour in [*(Colour(mode) for mode in MODES), *(Colour("match", 0.5, method) for method in METHODS)]:
        seen, painting = prepare(colour, ODD[content], ODD[style])
        assert seen.shape == ODD[content].shape
        assert painting.shape == ODD[style].shape
        result, moved = finish(colour, seen + 30, ODD[content])
        assert all(np.isfinite(each).all() for each in (seen, painting, result))
        assert 0 <= moved <= 1


def test_the_settings_know_the_same_modes() -> None:
    assert get_args(ColourMode) == MODES
    assert get_args(ColourSettings.model_fields["match"].annotation) == METHODS
