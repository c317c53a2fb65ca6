"""Tests of the choice of pairs that go to the device together."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.picture import Tags
from pipeline.outbox.metadata import InputFile, PairInputs
from pipeline.pair import Pair
from pipeline.settings.pair_settings import PairSettings
from pipeline.stage.batching import (
    MAX_BATCH,
    WORTHWHILE_GAIN,
    QueuedPair,
    best_size,
    has_mate,
    kind_key,
    largest_size,
    next_of,
    pick,
)
from pipeline.stage.load.loaded_pair import LoadedPainting, LoadedPair, Original
from pipeline.stage.load.loader import Loading
from pipeline.stage.task import Task

MANY = 100
NUMBERS = itertools.count()
OTHERS = [
    {"objective": {"style_weight": 2.0}},
    {"objective": {"pooling": "average"}},
    {"pyramid": {"evaluations": 7}},
    {"optimiser": {"history": 5}},
    {"evaluations": (3, 4)},
]


def waiting(
    painting: str = "a",
    size: tuple[int, int] = (40, 32),
    evaluations: tuple[int, ...] | None = None,
    optimisation: str = "",
    painting_size: tuple[int, int] | None = None,
    **sections: Any,
) -> QueuedPair:
    """Return a loaded pair in the queue."""
    inputs = PairInputs(
        content=InputFile(path="p.png", sha256="c" * 64, width=1, height=1, format="png"),
        style=InputFile(path="s.png", sha256=painting * 64, width=1, height=1, format="png"),
    )
    image, painted = (
        torch.zeros(1, 1, 1, 1).expand(1, 3, height, width) for width, height in (size, painting_size or size)
    )
    pair = Pair(Path("/p.png"), (Path("/s.png"),), "p.png", "s.png", "p", PairSettings(**sections))
    task = Task(pair, 1, None, evaluations=evaluations)
    loaded = LoadedPair(image, (LoadedPainting(painted, 1.0, None),), None, Original(8, Tags(), None), inputs, ())
    optimisation = optimisation or str(next(NUMBERS))
    return QueuedPair(Loading(task, loaded, "k", optimisation, datetime.now(UTC), 0, 0, 0))


def places(line: list[QueuedPair], most: int = MANY, max_reorder: int = MANY) -> list[int]:
    """Return the indices of the pairs that are picked for the next batch."""
    return [line.index(each) for each in pick(line, most, max_reorder)]


def test_nothing_comes_of_an_empty_line_or_one_where_nothing_is_loaded() -> None:
    assert places([]) == []
    assert places([QueuedPair(), QueuedPair()]) == []


def test_a_batch_begins_with_the_first_and_takes_its_style_before_others() -> None:
    styles = "abacba"
    assert places([waiting(style) for style in styles]) == [0, 2, 5, 1, 3, 4]
    assert places([waiting(style) for style in styles], most=4) == [0, 2, 5, 1]
    assert places([waiting(style) for style in styles], most=2) == [0, 2]
    assert places([waiting(style) for style in styles], most=1) == [0]


def test_the_next_is_the_first_that_is_loaded_or_nobody_while_one_is_waited_for() -> None:
    assert next_of([], MANY) is None
    line = [slow := QueuedPair(), loaded := waiting(), waiting()]
    assert next_of(line, 3) is loaded
    slow.overtaken = 3
    assert next_of(line, 3) is None
    assert slow.overtaken == 3, "asking for the next pair does not count as overtaking"
    slow.loading = loaded.loading
    assert next_of(line, 3) is slow


@pytest.mark.parametrize("other", OTHERS)
def test_pairs_that_are_minimised_otherwise_are_never_in_one_batch(other: dict[str, Any]) -> None:
    assert places([waiting(), waiting(**other), waiting("b")]) == [0, 2]


@pytest.mark.parametrize("size", [(32, 40), (40, 33), (41, 32)])
def test_pairs_of_other_sizes_are_never_in_one_batch(size: tuple[int, int]) -> None:
    assert places([waiting(), waiting(size=size), waiting("b")]) == [0, 2]


def test_a_painting_that_takes_much_memory_is_in_no_batch_with_a_usual_one() -> None:
    scroll = {"painting_size": (640, 32)}
    line = [waiting(), waiting(**scroll), waiting(painting_size=(60, 32)), waiting(**scroll)]
    assert places(line) == [0, 2]
    assert places([line[1], line[3]]) == [0, 1]


def test_pairs_that_only_load_or_save_otherwise_are_in_one_batch() -> None:
    others = [{"colour": {"mode": "none"}}, {"output": {"format": "webp"}}, {"style": {"fit": "cover"}}]
    assert places([waiting(), *(waiting(**other) for other in others)]) == [0, 1, 2, 3]


def test_who_is_not_loaded_yet_does_not_keep_the_device_waiting() -> None:
    line = [QueuedPair(), waiting(), QueuedPair(), waiting()]
    assert places(line) == [1, 3]
    assert line[0].overtaken == 2
    assert line[2].overtaken == 1


def test_who_was_overtaken_often_enough_keeps_the_device_waiting() -> None:
    slow = QueuedPair()
    for _ in range(3):
        assert places([slow, waiting()], max_reorder=3) == [1]
    assert places([slow, waiting()], max_reorder=3) == []
    slow.loading = waiting().loading
    assert places([slow, waiting()], max_reorder=3) == [0, 1]


def test_a_pair_of_another_size_is_passed_only_so_often() -> None:
    other = waiting(size=(20, 16))
    assert places([waiting(), other, waiting(), waiting(), waiting()], max_reorder=2) == [0, 2, 3]
    assert places([waiting(), other, waiting()], max_reorder=2) == [0]
    assert places([other, waiting()], max_reorder=2) == [0]


def test_without_reordering_pairs_go_in_the_order_in_which_they_came() -> None:
    assert places([QueuedPair(), waiting()], max_reorder=0) == []
    assert places([waiting("a"), waiting("b"), waiting("a")], max_reorder=0) == [0, 1]
    assert places([waiting(), waiting(size=(20, 16)), waiting()], max_reorder=0) == [0]


def test_a_batch_does_not_pass_one_that_loads_more_often_than_it_may() -> None:
    slow = QueuedPair()
    assert places([slow, waiting(), waiting()], max_reorder=1) == [1]
    assert slow.overtaken == 1


PAIRS = st.tuples(st.sampled_from("abc"), st.sampled_from([(20, 16), (40, 32)]), st.sampled_from([{}, OTHERS[0]]))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("comes"), PAIRS, st.booleans()),
        st.tuples(st.just("is loaded"), st.integers(0, 3), st.none()),
        st.tuples(st.just("is begun"), st.none(), st.none()),
    ),
    min_size=8,
    max_size=40,
)


class History:
    """A queue of pairs with an independent count of how often each was overtaken."""

    def __init__(self, max_reorder: int, most: int) -> None:
        self.max_reorder, self.most = max_reorder, most
        self.line: list[QueuedPair] = []
        self.loaded: dict[QueuedPair, QueuedPair] = {}
        self.overtaken: dict[QueuedPair, int] = {}

    def come(self, pair: tuple[str, tuple[int, int], dict[str, Any]], *, is_loaded: bool) -> None:
        style, size, sections = pair
        self.line.append(each := QueuedPair())
        self.loaded[each], self.overtaken[each] = waiting(style, size, **sections), 0
        if is_loaded:
            each.loading = self.loaded[each].loading

    def load(self, number: int) -> None:
        for each in [each for each in self.line if each.loading is None][number : number + 1]:
            each.loading = self.loaded[each].loading

    def begin(self) -> list[QueuedPair]:
        first = next_of(self.line, self.max_reorder)
        batch = pick(self.line, self.most, self.max_reorder)
        assert batch[:1] == ([] if first is None else [first])
        assert len(batch) <= self.most
        loadings = [each.loading for each in batch if each.loading is not None]
        assert len(loadings) == len(batch)
        assert len({(each.loaded.width, each.loaded.height) for each in loadings}) <= 1
        assert len({each.task.pair.settings.objective.style_weight for each in loadings}) <= 1
        for each in batch:
            for other in self.line[: self.line.index(each)]:
                self.overtaken[other] += other not in batch
        self.line = [each for each in self.line if each not in batch]
        assert max(self.overtaken.values(), default=0) <= self.max_reorder
        return batch


@settings(deadline=None)
@given(EVENTS, st.integers(0, 4), st.integers(1, 4))
def test_in_any_history_nobody_is_overtaken_too_often_and_everybody_gets_there(
    events: list[Any], max_reorder: int, most: int
) -> None:
    history = History(max_reorder, most)
    for what, of, is_loaded in events:
        if what == "comes":
            history.come(of, is_loaded=is_loaded)
        elif what == "is loaded":
            history.load(of)
        else:
            history.begin()
    while any(each.loading is None for each in history.line):
        history.load(0)
    while history.line:
        assert history.begin(), "a queue of loaded pairs always has a next batch"


def test_the_largest_batch_is_taken_if_it_pays() -> None:
    least = 1 - WORTHWHILE_GAIN
    for seconds, best in ((0.5, 8), (least - 0.001, 8), (least + 0.001, 1), (2.0, 1)):
        assert best_size({1: 1.0, 8: seconds}.__getitem__, 8) == best, "sizes in between are not measured"
    assert best_size({}.__getitem__, 1) == 1, "nothing is measured"


def test_a_batch_that_runs_out_of_memory_while_it_is_measured_is_halved() -> None:
    assert best_size(lambda size: math.inf if size > 4 else 1 / size, 16) == 4
    assert best_size(lambda size: math.inf if size > 1 else 1.0, 16) == 1


def test_the_largest_batch_fits_into_memory() -> None:
    assert largest_size(lambda size: size <= 5) == 4
    assert largest_size(lambda _: False) == 1
    assert largest_size(lambda _: True) == MAX_BATCH


def test_a_pair_has_a_mate_if_another_is_loaded_that_can_go_with_it() -> None:
    first = waiting(optimisation="a")
    assert first.loading is not None
    for other, is_mate in (
        (waiting("b", optimisation="b"), True),
        (QueuedPair(), False),
        (waiting(size=(41, 32)), False),
        (waiting(evaluations=(3, 4)), False),
        (waiting(optimisation="a"), False),
    ):
        assert has_mate([first, other], first.loading) == is_mate
    assert not has_mate([first], first.loading)


def test_pairs_of_similar_sizes_and_equal_settings_are_of_one_kind() -> None:
    def kind(*arguments: Any, **more: Any) -> object:
        loading = waiting(*arguments, **more).loading
        assert loading is not None
        return kind_key(loading)

    assert kind(size=(40, 32)) == kind(size=(41, 33)) == kind("b", (32, 40), (3, 4))
    assert kind(size=(40, 32)) != kind(size=(80, 64))
    assert kind(size=(40, 32)) != kind(objective={"pooling": "average"})


def test_of_pairs_that_one_optimisation_serves_one_goes_to_the_device() -> None:
    line = [waiting(optimisation=name) for name in ("a", "a", "b", "b")]
    assert places(line) == [0, 2]
    assert [each.overtaken for each in line] == [0, 1, 0, 0]
