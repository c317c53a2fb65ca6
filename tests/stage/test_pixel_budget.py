"""Tests of the budget of pixels that limits how much is in work at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline.stage.pixel_budget import Closed, PixelBudget

if TYPE_CHECKING:
    from collections.abc import Callable


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for at most 5 seconds."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "the condition did not hold within 5 seconds"
        time.sleep(0.001)


class Queue:
    """Threads that ask the budget for pixels, one after the other."""

    def __init__(self, budget: PixelBudget) -> None:
        self.budget = budget
        self.inside: list[int] = []
        self.sent_away: list[int] = []
        self._threads: list[threading.Thread] = []

    def ask(self, pixels: int) -> None:
        before = len(self.budget._waiting) + len(self.inside)

        def take() -> None:
            try:
                self.budget.take(pixels)
            except Closed:
                self.sent_away.append(pixels)
            else:
                self.inside.append(pixels)

        self._threads.append(threading.Thread(target=take, daemon=True))
        self._threads[-1].start()
        until(lambda: len(self.budget._waiting) + len(self.inside) > before)

    def settle(self, *inside: int) -> None:
        """Wait until these requests were granted; check that no others were."""
        until(lambda: len(self.inside) >= len(inside))
        time.sleep(0.03)
        assert sorted(self.inside) == sorted(inside)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


def test_what_fits_is_taken_at_once_and_given_back() -> None:
    budget = PixelBudget(10)
    budget.take(4)
    budget.take(6)
    assert budget.taken == 10
    budget.release(4)
    budget.take(3)
    assert budget.taken == 9


def test_who_asks_for_more_than_is_left_waits_until_there_is_room() -> None:
    queue = Queue(PixelBudget(10))
    queue.budget.take(8)
    queue.ask(5)
    queue.settle()
    queue.budget.release(2)
    queue.settle()
    queue.budget.release(1)
    queue.settle(5)
    assert queue.budget.taken == 10


def test_a_small_one_does_not_pass_a_large_one_that_came_before() -> None:
    queue = Queue(PixelBudget(10))
    queue.budget.take(8)
    queue.ask(6)
    queue.ask(1)
    queue.ask(2)
    queue.settle()
    queue.budget.release(4)
    queue.settle(6)
    queue.budget.release(4)
    queue.settle(6, 1, 2)
    queue.join()


def test_one_that_is_larger_than_all_gets_in_alone() -> None:
    queue = Queue(PixelBudget(10))
    queue.budget.take(1)
    queue.ask(1000)
    queue.ask(2)
    queue.settle()
    queue.budget.release(1)
    queue.settle(1000)
    queue.budget.release(1000)
    queue.settle(1000, 2)


def test_a_large_one_does_not_starve_among_small_ones_and_there_are_never_too_many() -> None:
    budget, ended, seen = PixelBudget(10), threading.Event(), []

    def small() -> None:
        while not ended.is_set():
            budget.take(3)
            seen.append(budget.taken)
            budget.release(3)

    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(small) for _ in range(4)]
        try:
            for _ in range(20):
                large = pool.submit(budget.take, 10)
                large.result(timeout=5)
                assert budget.taken == 10
                budget.release(10)
        finally:
            ended.set()
        for future in futures:
            future.result(timeout=5)
    assert max(seen) <= 9
    assert budget.taken == 0


def test_closing_sends_away_who_waits_and_who_comes() -> None:
    queue = Queue(PixelBudget(10))
    queue.budget.take(8)
    for pixels in (5, 6, 1):
        queue.ask(pixels)
    queue.budget.close()
    queue.join()
    assert sorted(queue.sent_away) == [1, 5, 6]
    with pytest.raises(Closed):
        queue.budget.take(1)
    assert queue.budget.taken == 8, "requests that were sent away hold no pixels"
    queue.budget.release(8)
    assert queue.budget.taken == 0


def test_room_is_taken_at_once_or_not_at_all() -> None:
    budget = PixelBudget(10)
    assert budget.take_now(6)
    assert not budget.take_now(6)
    assert budget.taken == 6
    assert budget.take_now(4)
    budget.release(10)
    assert budget.take_now(11)  # alone, as `take` allows
    budget.release(11)
    budget.close()
    assert not budget.take_now(1)


def test_nobody_takes_room_at_once_before_those_who_wait() -> None:
    budget = PixelBudget(10)
    budget.take(6)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(budget.take, 9)
        until(lambda: budget.is_waited_for)
        assert not budget.take_now(1)
        budget.release(6)
        waiting.result(10)
    assert not budget.take_now(2)
