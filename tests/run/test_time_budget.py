"""Tests of the time budget: fewer evaluations where the time is short."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pipeline.pair import Pair
from pipeline.run.time_budget import FLOOR, TimeBudget, scaled
from pipeline.settings import PairSettings
from pipeline.settings.base import parse_duration

ASKED = (60, 30, 20)


class Clock:
    """A clock that shows the seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def pair(name: str) -> Pair:
    settings = PairSettings(pyramid={"evaluations": ASKED})  # type: ignore[arg-type]
    return Pair(Path(f"{name}.png"), (Path("s.png"),), name, "s", name, settings)


def night(pairs: int, seconds: float, slowness: float = 1.0, devices: int = 1) -> tuple[list[tuple[int, ...]], float]:
    """Return the evaluations of each pair, and the seconds of all; an evaluation is expected to take one second."""
    clock = Clock()
    budget = TimeBudget(seconds, lambda _, __, evaluations: float(sum(evaluations)), devices=devices, clock=clock)
    names = [pair(str(i)) for i in range(pairs)]
    for each in names:
        budget.add(each, (64, 48))
    chosen = []
    for each in names:
        if budget.is_over:
            break
        evaluations = budget.begin(each) or ASKED
        took = slowness * sum(evaluations)
        clock.seconds += took / devices
        budget.end(each, took)
        chosen.append(evaluations)
    return chosen, clock.seconds - 1000


def test_with_time_enough_nothing_is_changed() -> None:
    chosen, _ = night(10, 10 * 110 / 0.9)
    assert chosen == [ASKED] * 10


@pytest.mark.parametrize("slowness", [0.5, 1.0, 1.6])
@pytest.mark.parametrize("devices", [1, 2])
def test_all_pairs_are_done_in_time_and_the_time_is_used(slowness: float, devices: int) -> None:
    seconds = 50 * 110 * 0.6 * slowness / devices
    chosen, took = night(50, seconds, slowness, devices)
    assert len(chosen) == 50
    assert 0.85 * seconds <= took <= seconds
    assert all(few < many for each in chosen[10:] for few, many in zip(each, ASKED, strict=True))


def test_there_are_never_fewer_than_the_floor_and_what_is_left_then_waits() -> None:
    chosen, took = night(50, 50 * 110 * 0.1)
    assert set(chosen) == {tuple(round(FLOOR * count) for count in ASKED)}
    assert len(chosen) < 50
    assert took <= 50 * 110 * 0.1 + sum(chosen[0])


def test_a_failed_pair_leaves_its_time_to_the_others() -> None:
    clock = Clock()
    budget = TimeBudget(220, lambda _, __, evaluations: float(sum(evaluations)), clock=clock)
    for name in "abcd":
        budget.add(pair(name), (64, 48))
    before = budget.fraction
    budget.begin(pair("a"))
    budget.end(pair("a"), None)
    assert budget.fraction == pytest.approx(before * 4 / 3)


def test_a_pair_of_unknown_size_has_what_it_asks_for() -> None:
    budget = TimeBudget(1, lambda *_: 100.0)
    assert budget.begin(pair("unreadable")) is None


def test_every_scale_keeps_two_evaluations() -> None:
    assert scaled((1, 2, 100), 0.01) == (1, 2, 25), "with one evaluation there is no step"
    assert scaled(ASKED, 7.0) == ASKED


def test_pairs_of_a_night_get_few_different_numbers_of_evaluations() -> None:
    """Test that they can advance together on a card, although each measurement changes the share a little."""
    chosen, _ = night(200, 200 * 110 * 0.6, slowness=1.1)
    runs = 1 + sum(one != other for one, other in itertools.pairwise(chosen))
    assert len(chosen) / runs > 8
    assert len(set(chosen)) <= 6


@pytest.mark.parametrize(
    ("text", "seconds"), [("8h", 28800), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("0.5h", 1800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "8", "h", "8 hours", "-1h", "1m1h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="8h, 90m"):
        parse_duration(text)
