"""Tests of the photographs that wait for room or for a style."""

from __future__ import annotations

from pipeline.watch.inbox.claim_queue import ClaimQueue


def test_photographs_come_in_the_order_in_which_they_were_added() -> None:
    queue = ClaimQueue()
    for name in ("b", "a", "c", "b"):
        queue.add(name)
    found = []
    while (name := queue.first()) is not None:
        queue.remove_ready(name)
        found.append(name)
    assert found == ["b", "a", "c"]


def test_a_photograph_waits_for_one_thing_and_may_go() -> None:
    queue = ClaimQueue()
    for name in ("a", "b", "c"):
        queue.add(name)
    queue.wait_for_style("b")
    queue.wait_for_style("d")
    for name in ("a", "d", "unknown"):
        queue.discard(name)
    queue.remove_ready("b")
    assert queue.first() == "c"
    assert (queue.take_waiting_for_style(), queue.take_waiting_for_style()) == (["b"], [])
