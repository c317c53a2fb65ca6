"""Tests of the verdict on whole pictures: no control wins against the photograph or an honest pastiche."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks import held_out
from tests.benchmarks.controls import controls
from tests.benchmarks.judge import Judge, Measured
from tests.benchmarks.synthetic import painting, photograph

pytestmark = pytest.mark.skipif(not held_out.IS_INSTALLED, reason=held_out.INSTALL)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(photograph(), painting())


@pytest.fixture(scope="module")
def measured(judge: Judge) -> dict[str, Measured]:
    return {name: judge.measure(picture) for name, picture in controls(photograph(), painting()).items()}


def test_photograph_and_painting_are_the_ends_of_both_axes(measured: dict[str, Measured]) -> None:
    assert measured["photograph"].style == pytest.approx(1)
    assert measured["photograph"].structure == pytest.approx(0, abs=1e-5)
    assert measured["photograph"].tint == 0
    assert measured["painting"].style < 1e-3
    assert measured["painting"].structure > 0.5
    assert measured["painting"].stroke_chroma == pytest.approx(1)
    assert measured["painting"].chroma_octaves == pytest.approx(0, abs=1e-6)


def test_double_exposures_would_win_without_the_gates(measured: dict[str, Measured]) -> None:
    """The product alone is no measure: this is why there are gates."""
    for name in ("half and half", "half and half, in pieces", "painting, mirrored"):
        assert measured[name].product < measured["photograph"].product


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("photograph", {"R1", "R2"}),
        ("painting", {"T", "G", "P"}),
        ("painting, mirrored", {"T", "G"}),
        ("painting in pieces", {"T", "P"}),
        ("half and half", {"G", "P"}),
        ("half and half, in pieces", {"P"}),
        ("photograph and noise", {"R2"}),
        ("photograph under strokes", {"P"}),
    ],
)
def test_every_control_fails_the_gate_that_is_meant_for_it(
    name: str, gates: set[str], measured: dict[str, Measured]
) -> None:
    assert gates <= set(measured[name].failed())


def test_noise_in_the_paintings_spectrum_is_no_style(measured: dict[str, Measured], judge: Judge) -> None:
    """It passes the gates on pixels, so the axes must see it."""
    noise = measured["photograph under noise"]
    assert noise.product > 2 * measured["half and half"].product
    assert noise.style > 1.5 * judge.floor()


def test_contrast_is_no_style_and_does_not_change_the_structure(judge: Judge) -> None:
    dim = judge.measure(photograph() * 0.5 + 60)
    assert dim.style == pytest.approx(1, abs=0.05)
    assert dim.structure < 0.1
    assert dim.octaves[0] == pytest.approx(judge.measure(photograph()).octaves[0] - 1, abs=0.05)


def test_the_floor_is_between_copy_and_photograph(judge: Judge) -> None:
    assert 0.1 < judge.floor() < 0.9


def test_a_painting_of_another_shape_is_laid_in_proportion() -> None:
    wide = np.concatenate([painting(2), painting(3), painting(4)], axis=1)
    judge = Judge(photograph(), wide)
    assert judge.painting.shape == wide.shape
    np.testing.assert_array_equal(judge.laid_painting, painting(3))
    assert judge.measure(judge.laid_painting).ghost > 0.5
