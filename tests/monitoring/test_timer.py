"""Tests of a function that is called at regular intervals."""

from __future__ import annotations

import threading

import pytest

from pipeline.monitoring.timer import Timer


def test_it_calls_until_its_end() -> None:
    calls, is_called = [], threading.Event()

    def act() -> None:
        calls.append(1)
        if len(calls) == 3:
            is_called.set()

    timer = Timer("test", 0.001, act)
    timer.start()
    assert is_called.wait(30)
    timer.end()
    count = len(calls)
    assert not timer._thread.is_alive()
    assert len(calls) == count


def test_one_that_was_never_started_ends_in_silence() -> None:
    Timer("test", 3600, pytest.fail).end()


def test_a_defect_is_raised_at_the_end() -> None:
    def fail() -> None:
        raise TypeError("a defect")

    timer = Timer("test", 0.001, fail)
    timer.start()
    timer._thread.join(30)
    with pytest.raises(TypeError, match="a defect"):
        timer.end()
