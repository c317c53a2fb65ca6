"""Tests of the points of the objective curve in the report."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outbox.report.curve import LEVELS, MOST_POINTS, quantise


@given(st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=200))
def test_keeps_the_ends_and_never_has_more_points_than_are_drawn(totals: list[float]) -> None:
    heights = quantise(list(enumerate(totals)))
    assert len(heights) == min(len(totals), MOST_POINTS)
    if totals[0] == max(totals) > min(totals):
        assert heights[0] == LEVELS[-1]
    if totals[-1] == min(totals):
        assert heights[-1] == LEVELS[0]


def test_a_long_course_has_as_many_points_as_are_drawn() -> None:
    assert len(quantise([(step, 1.0 + step) for step in range(1000)])) == MOST_POINTS


def test_heights_are_of_the_logarithm() -> None:
    assert quantise([(1, 1e9), (2, 1e3), (3, 1.0)]) == LEVELS[-1] + LEVELS[21] + LEVELS[0]


@pytest.mark.parametrize("trace", [[], [(1, math.inf)], [(1, math.nan)]])
def test_of_nothing_finite_is_nothing(trace: list[tuple[int, float]]) -> None:
    assert quantise(trace) == ""


def test_one_value_and_zero_are_drawn_too() -> None:
    assert quantise([(1, 0.0)]) == quantise([(1, -5.0)]) == LEVELS[0]
