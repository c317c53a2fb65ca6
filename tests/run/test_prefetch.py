"""Tests of the iterator that a thread runs ahead."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.run.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for at most 5 seconds."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "the condition did not hold within 5 seconds"
        time.sleep(0.001)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_all_items_come_in_their_order(most: int) -> None:
    assert [item for item in prefetch(range(50), most) if item is not None] == list(range(50))
    assert not threads()
    assert [item for item in prefetch(iter(()), most) if item is not None] == []


def test_none_comes_where_an_item_is_not_ready_yet() -> None:
    ready = threading.Event()

    def slow() -> Iterator[str]:
        yield "a"
        ready.wait(5)
        yield "b"

    items = prefetch(slow(), 2)
    first = [item for item in (next(items), next(items), next(items)) if item is not None]
    assert first == ["a"]
    assert next(items) is None
    ready.set()
    assert [item for item in items if item is not None] == ["b"]


def test_items_are_made_in_one_other_thread_when_the_first_is_asked_for() -> None:
    made_in: list[threading.Thread] = []

    def make() -> Iterator[int]:
        for number in range(5):
            made_in.append(threading.current_thread())
            yield number

    items = prefetch(make(), 2)
    time.sleep(0.02)
    assert not made_in
    list(items)
    assert len(set(made_in)) == 1
    assert made_in[0] is not threading.current_thread()


@pytest.mark.parametrize("error", [ValueError("third"), KeyboardInterrupt("third")])
def test_an_error_comes_at_its_turn(error: BaseException) -> None:
    raised = threading.Event()

    def fail() -> Iterator[int]:
        yield 1
        yield 2
        raised.set()
        raise error

    items, seen = prefetch(fail(), 10), []

    def collect() -> None:
        for item in items:
            assert raised.wait(5)
            seen.append(item)

    with pytest.raises(type(error), match="third"):
        collect()
    assert [item for item in seen if item is not None] == [1, 2]
    assert not threads()


@pytest.mark.parametrize("most", [1, 4])
def test_no_more_is_made_ahead_than_there_is_room_for(most: int) -> None:
    made = 0

    def count() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    items = prefetch(count(), most)
    for taken in range(1, 6):
        while next(items) is None:
            pass
        until(lambda least=taken + most: made >= least)
        time.sleep(0.02)
        assert made <= taken + most + 1, "one more item is ready and waits for room"
    items.close()


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_closing_ends_the_thread(asked: int) -> None:
    made = 0

    def count() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    items = prefetch(count(), 2)
    for _ in range(asked):
        next(items)
    assert len(threads()) == (asked > 0)
    items.close()
    assert not threads()
    before = made
    time.sleep(0.02)
    assert made == before


def test_leaving_by_an_error_ends_the_thread() -> None:
    def leave() -> None:
        for _ in prefetch(range(1000), 2):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        leave()
    del caught
    until(lambda: not threads())
