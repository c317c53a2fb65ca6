"""Tests of flows that are computed before their frames are needed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.stage.load.flows import FlowsAhead, FrameFlow

if TYPE_CHECKING:
    from collections.abc import Callable

PLANE = np.ones((2, 2), np.float32)
MADE = FrameFlow(np.zeros((2, 2, 2), np.float32), PLANE, PLANE, 0.0)


def flow() -> FrameFlow:
    return MADE


def not_again() -> FrameFlow:
    raise AssertionError("the flow was computed again")


def test_a_flow_is_computed_once_and_taken_once() -> None:
    flows = FlowsAhead()
    flows.compute("a", 4, flow)
    assert "a" in flows
    flows.compute("a", 4, not_again)
    assert flows.take("a", not_again) is MADE
    assert "a" not in flows
    assert flows.take("a", flow) is MADE


def test_a_flow_in_the_making_is_waited_for() -> None:
    flows, begun, may_end = FlowsAhead(), threading.Event(), threading.Event()

    def slow() -> FrameFlow:
        begun.set()
        assert may_end.wait(10)
        return MADE

    with ThreadPoolExecutor() as threads:
        maker = threads.submit(flows.compute, "a", 4, slow)
        assert begun.wait(10)
        taker = threads.submit(flows.take, "a", not_again)
        assert not taker.done()
        may_end.set()
        assert taker.result(10) is MADE
        maker.result(10)


def test_who_needs_a_flow_that_failed_ahead_makes_it_himself() -> None:
    def fail() -> FrameFlow:
        raise MemoryError

    flows = FlowsAhead()
    with pytest.raises(MemoryError):
        flows.compute("a", 4, fail)
    assert flows.take("a", flow) is MADE


@pytest.mark.parametrize(("pixels", "kept"), [((4, 4, 4), "bc"), ((4, 9, 4), "ac"), ((8, 4, 4), "bc"), ((8, 8), "b")])
def test_of_too_many_flows_the_oldest_are_forgotten(pixels: tuple[int, ...], kept: str) -> None:
    flows = FlowsAhead(max_pixels=8)
    for key, each in zip("abc", pixels, strict=False):
        flows.compute(key, each, flow)
    assert "".join(key for key in "abc" if key in flows) == kept


@pytest.mark.parametrize("make", [flow, not_again])
def test_a_flow_that_is_forgotten_while_it_is_made_harms_nothing(make: Callable[[], FrameFlow]) -> None:
    flows = FlowsAhead(max_pixels=4)

    def making() -> FrameFlow:
        flows.compute("b", 4, flow)
        return make()

    if make is flow:
        flows.compute("a", 4, making)
    else:
        with pytest.raises(AssertionError):
            flows.compute("a", 4, making)
    assert "a" not in flows
    assert flows.take("b", not_again) is MADE
