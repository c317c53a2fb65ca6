"""Tests of the comparison with curves and controls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.comparison import Outcome, Point, Verdict, check_control, outcome, pareto_front
from tests.benchmarks.judge import Measured

CURVE = [(0.6, 0.2), (0.2, 0.8), (0.4, 0.4), (0.5, 0.5)]
MEASURED = Measured(
    style=0.3,
    structure=0.4,
    residue=(0.5, 0.6, 0.7, 0.8, 0.9, 0.9),
    subject=0.9,
    ghost=0.0,
    patches=0.0,
    octaves=(0.0,) * 6,
    chroma_octaves=0.0,
    stroke_chroma=1.0,
    tint=1.0,
)


def test_the_front_leaves_out_what_is_worse_on_both_axes() -> None:
    assert pareto_front(CURVE) == [(0.2, 0.8), (0.4, 0.4), (0.6, 0.2)]
    assert pareto_front([(0.2, 0.8), (0.2, 0.5)]) == [(0.2, 0.5)]


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0.3, 0.59), "win"),
        ((0.4, 0.4), "loss"),  # on the line
        ((0.3, 0.61), "loss"),
        ((0.5, 0.29), "win"),  # the point of the curve there is not on its front
        ((0.2, 0.79), "win"),
        ((0.1, 0.8), "win"),
        ((0.1, 0.81), "open"),
        ((0.7, 0.2), "loss"),
        ((0.7, 0.19), "open"),
    ],
)
def test_a_point_beats_a_curve_at_its_own_structure(point: Point, expected: Outcome) -> None:
    assert outcome(point, CURVE) == expected


@pytest.mark.parametrize(("point", "expected"), [((0.3, 0.4), "win"), ((0.5, 0.6), "loss"), ((0.3, 0.6), "open")])
def test_a_curve_of_one_point_is_beaten_on_both_axes(point: Point, expected: Outcome) -> None:
    assert outcome(point, [(0.4, 0.5)]) == expected


def verdict(name: str, pair: str, style: float, structure: float, failed: tuple[str, ...] = ()) -> Verdict:
    return Verdict(name, pair, replace(MEASURED, style=style, structure=structure), failed)


def test_controls_win_only_with_all_gates_passed() -> None:
    real = [
        verdict("a", "one", 0.4, 0.5),
        verdict("b", "one", 0.3, 0.5),
        verdict("a", "two", 0.4, 0.5),
        verdict("a", "three", 0.4, 0.5),
    ]
    fakes = [
        verdict("fake", "one", 0.35, 0.4),  # better than a on both axes, but not than b
        verdict("fake", "two", 0.1, 0.9),  # better than a by the product only
        verdict("fake", "three", 0.1, 0.1, ("G",)),
        verdict("other", "three", 0.1, 0.1),
        verdict("fake", "four", 0.1, 0.1),
    ]
    check = check_control("fake", fakes, real)
    assert (check.passed, check.beating, check.winning) == (("one", "two"), ("one",), ("two",))


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("R1", {"residue": (0.71, 0.0)}),
        ("R2", {"residue": (0.0, 0.81)}),
        ("T", {"subject": 0.39}),
        ("G", {"ghost": 0.11}),
        ("P", {"patches": 0.16}),
        ("B0", {"octaves": (-1.01, -1.0, -1.0, -1.0)}),
        ("B0", {"octaves": (0.41, 0.0, 0.0, 0.0)}),
        ("B0", {"octaves": (-0.58, -1.0, -1.0, -1.0)}),
    ],
)
def test_each_gate_stops_by_itself(gate: str, changes: dict[str, tuple[float, ...]]) -> None:
    assert MEASURED.failed() == ()
    assert replace(MEASURED, **changes).failed() == (gate,)


def test_more_contrast_in_all_bands_is_no_grain() -> None:
    assert replace(MEASURED, octaves=(0.9, 0.8, 0.7, 0.6)).failed() == ()


def test_the_photographs_colours_are_a_gate_for_modes_that_promise_them() -> None:
    measured = replace(MEASURED, tint=2.01)
    assert measured.failed("match") == ()
    assert measured.failed("regions") == ("U",)
    assert MEASURED.product == pytest.approx(0.3 * 1.4)
