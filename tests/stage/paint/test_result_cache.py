"""Tests of the cache of results that the colour variants of a pair share."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pipeline.settings.resolve import for_pair
from pipeline.stage.load.loader import Loading
from pipeline.stage.paint.painted import Painted
from pipeline.stage.paint.result_cache import ResultCache
from pipeline.transfer.styliser import StyliseResult
from pipeline.transfer.tiling import WHOLE


def loading(optimisation: str, mode: str = "none", variants: tuple[str, ...] = ("swap-luma",)) -> Loading:
    """Return a stand-in for a loaded pair."""
    settings = for_pair({}, {"colour": {"mode": mode, "variants": variants}, "style": {"fit": "stretch"}}, {})
    task: Any = SimpleNamespace(pair=SimpleNamespace(settings=settings, predecessor=None))
    return cast("Loading", SimpleNamespace(task=task, optimisation=optimisation))


def painted(side: int = 10) -> Painted:
    """Return a painted square with sides in px."""
    return Painted(StyliseResult(torch.zeros(1, 3, side, side), (), 3, ()), 12.0, WHOLE, 1, (3,), 0, None)


def kept(shared: ResultCache) -> list[str]:
    """Return the keys of the kept results."""
    return list(shared._results)


def test_a_result_serves_the_other_variant_once_and_takes_no_time_again() -> None:
    shared, result = ResultCache(), painted()
    shared.keep(loading("a"), result)
    assert shared.take(loading("b")) is None
    assert shared.take(loading("a", "swap-luma", ("none",))) == replace(result, seconds=0.0)
    assert shared.take(loading("a")) is None
    assert kept(shared) == []


@pytest.mark.parametrize(
    ("mode", "variants"),
    [
        ("none", ()),
        ("none", ("none",)),
        ("style-yuv", ("none", "match")),
        ("regions", ("none", "swap-luma")),
        ("match", ("none",)),
    ],
)
def test_nothing_is_kept_that_no_variant_needs(mode: str, variants: tuple[str, ...]) -> None:
    shared = ResultCache()
    shared.keep(loading("a", mode, variants), painted())
    assert kept(shared) == []


def test_the_oldest_go_when_there_are_too_many_pixels_but_never_the_newest() -> None:
    shared = ResultCache(250)
    for name in "abc":
        shared.keep(loading(name), painted())
    assert kept(shared) == ["b", "c"]
    shared.keep(loading("large"), painted(40))
    assert kept(shared) == ["large"]
    shared.keep(loading("other", variants=()), painted())
    assert kept(shared) == [], "the result is removed in the end"
