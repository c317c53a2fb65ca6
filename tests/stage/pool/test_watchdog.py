"""Tests of the watchdog of a device."""

from __future__ import annotations

from pipeline.stage.pool.watchdog import Watchdog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_device_is_stuck_if_an_evaluation_takes_far_longer_than_those_before_it() -> None:
    clock = Clock()
    watchdog = Watchdog(10.0, clock)
    assert not watchdog.is_stuck
    watchdog.begin("a")
    clock.now = 299
    assert not watchdog.is_stuck, "the first evaluation may take long"
    watchdog.note("a")
    clock.now += 2
    watchdog.note("a")
    clock.now += 299 * 40 - 1
    assert not watchdog.is_stuck
    clock.now += 2
    assert watchdog.is_stuck


def test_short_evaluations_leave_time_to_save() -> None:
    clock = Clock()
    watchdog = Watchdog(10.0, clock)
    watchdog.begin("a")
    for _ in range(3):
        clock.now += 0.1
        watchdog.note("a")
    clock.now += 49
    assert not watchdog.is_stuck
    clock.now += 2
    assert watchdog.is_stuck


def test_a_device_that_has_nothing_to_do_is_not_stuck() -> None:
    clock = Clock()
    watchdog = Watchdog(10.0, clock)
    watchdog.begin("a")
    watchdog.begin("b")
    watchdog.end("a", 1)
    clock.now = 1e6
    assert watchdog.is_stuck
    watchdog.end("b", 0)
    assert not watchdog.is_stuck
    watchdog.begin("c")
    watchdog.rest()
    clock.now = 1e9
    assert not watchdog.is_stuck


def test_pairs_that_are_loaded_for_too_long_are_stuck() -> None:
    clock = Clock()
    watchdog = Watchdog(10.0, clock)
    watchdog.take()
    clock.now += 299
    assert not watchdog.is_stuck
    watchdog.begin("a")
    watchdog.end("a", 1)
    clock.now += 299
    assert not watchdog.is_stuck
    clock.now += 2
    assert watchdog.is_stuck
