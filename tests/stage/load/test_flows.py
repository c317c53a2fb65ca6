"""Tests of flows that are computed before their frames are needed."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.pair import Step
from pipeline.stage.load.flows import FlowKey, FlowsAhead, FrameFlow

PLANE = np.ones((2, 2), np.float32)
MADE = FrameFlow(np.zeros((2, 2, 2), np.float32), PLANE, PLANE, 0.0)
HASHES = ("a", "b", "c")


def step(number: int) -> Step:
    return Step(Path(f"{number}.png"), Path(f"{number - 1}.png"), Path("0.png"))


def key(number: int, shot: str = "film") -> FlowKey:
    return FlowKey(shot, step(number), 512)


def flow() -> FrameFlow:
    return MADE


def not_again() -> FrameFlow:
    raise AssertionError("the flow was computed again")


def test_a_flow_is_computed_once_and_taken_once() -> None:
    flows = FlowsAhead()
    flows.compute(key(1), 4, HASHES, flow)
    assert key(1) in flows
    flows.compute(key(1), 4, HASHES, not_again)
    assert flows.take(key(1), HASHES, not_again) is MADE
    assert key(1) not in flows
    assert flows.take(key(1), HASHES, flow) is MADE


def test_a_flow_of_photographs_that_have_changed_is_made_again() -> None:
    flows, other = FlowsAhead(), FrameFlow(MADE.displacement, PLANE, PLANE, 1.0)
    flows.compute(key(1), 4, HASHES, flow)
    assert flows.take(key(1), ("a", "b", "changed"), lambda: other) is other


@pytest.mark.parametrize("fails", [False, True])
def test_a_flow_in_the_making_is_waited_for_and_made_if_that_fails(*, fails: bool) -> None:
    flows, begun, may_end = FlowsAhead(), threading.Event(), threading.Event()

    def slow() -> FrameFlow:
        begun.set()
        assert may_end.wait(10)
        if fails:
            raise MemoryError
        return MADE

    with ThreadPoolExecutor() as threads:
        maker = threads.submit(flows.compute, key(1), 4, HASHES, slow)
        assert begun.wait(10)
        taker = threads.submit(flows.take, key(1), HASHES, flow if fails else not_again)
        assert not taker.done()
        may_end.set()
        assert taker.result(10) is MADE
        assert isinstance(maker.exception(10), MemoryError) == fails


def test_a_flow_that_failed_ahead_is_made_by_who_needs_it_and_is_not_kept() -> None:
    def fail() -> FrameFlow:
        raise MemoryError

    flows = FlowsAhead()
    with pytest.raises(MemoryError):
        flows.compute(key(1), 4, HASHES, fail)
    assert key(1) not in flows
    assert flows.take(key(1), HASHES, flow) is MADE


def test_a_shot_keeps_the_flows_of_its_next_frames_only() -> None:
    flows = FlowsAhead()
    for each in (key(1), key(2), key(3), key(1, "other")):
        flows.compute(each, 4, HASHES, flow)
    flows.expect("film", [step(2)])
    assert [each in flows for each in (key(1), key(2), key(3), key(1, "other"))] == [False, True, False, True]


def test_what_nobody_takes_gives_way_after_a_while() -> None:
    now = [0.0]
    flows = FlowsAhead(max_pixels=8, clock=lambda: now[0])
    flows.compute(key(1), 4, HASHES, flow)
    now[0] = 500
    flows.compute(key(2), 4, HASHES, flow)
    flows.compute(key(3), 4, HASHES, not_again)
    assert [each in flows for each in (key(1), key(2), key(3))] == [True, True, False]
    now[0] = 700
    flows.compute(key(3), 4, HASHES, flow)
    assert [each in flows for each in (key(1), key(2), key(3))] == [False, True, True]


@pytest.mark.parametrize(("shots", "kept"), [(2, 8), (8, 8), (30, 8)])
def test_with_more_shots_than_there_is_room_for_no_flow_is_computed_twice(shots: int, kept: int) -> None:
    flows, frames, made = FlowsAhead(max_pixels=kept), 40, 0

    def counted() -> FrameFlow:
        nonlocal made
        made += 1
        return MADE

    waiting = deque((f"film {each}", 1) for each in range(shots))
    while waiting:
        shot, number = waiting.popleft()
        flows.take(key(number, shot), HASHES, counted)
        coming = [step(each) for each in range(number + 1, min(number + 5, frames))]
        flows.expect(shot, coming)
        for each in coming:
            flows.compute(FlowKey(shot, each, 512), 1, HASHES, counted)
        if number + 1 < frames:
            waiting.append((shot, number + 1))
    assert made == shots * (frames - 1)
