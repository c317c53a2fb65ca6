"""Tests of the optical flow on films whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.images.flow import flow, moved, still
from tests.benchmarks.clips import Clip, sample_clips


@pytest.fixture(scope="module")
def clips() -> dict[str, Clip]:
    return {clip.name: clip for clip in sample_clips(256, 144, 4)}


@pytest.mark.parametrize("name", ["pan", "object", "closer", "turn"])
def test_the_flow_is_precise_where_it_is_trusted_and_hidden_places_are_not(clips: dict[str, Clip], name: str) -> None:
    clip = clips[name]
    for number in (1, 2, 3):
        now, before = (clip.frames[index].astype(np.float32) for index in (number, number - 1))
        found, trust = flow(now, before)
        truth, visible = clip.flows[number], clip.visible[number]
        assert truth is not None
        assert visible is not None
        error = np.sqrt(((found - truth) ** 2).sum(2))[visible & (trust > 0)]
        assert error.mean() < 0.4
        assert trust[visible].mean() > 0.8
        assert trust[~visible].sum() <= 0.1 * (~visible).sum()


def test_moved_takes_what_lies_at_the_displaced_place() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (20, 30, 3)).astype(np.float32)
    displacement = np.tile(np.float32([3, -2]), (20, 30, 1))
    assert np.allclose(moved(picture, displacement)[5, 7], picture[3, 10], atol=1e-3)


def test_noise_stands_still_and_a_slow_change_of_light_does_not(clips: dict[str, Clip]) -> None:
    rng = np.random.default_rng(0)
    first = clips["pan"].frames[0].astype(np.float32)
    nothing = np.zeros((*first.shape[:2], 2), np.float32)

    def noisy(level: float) -> np.ndarray:
        return first + level + rng.normal(0, 2, first.shape).astype(np.float32)

    assert still(noisy(0), noisy(0), first, nothing).min() == 1
    assert still(noisy(6), noisy(5), first, nothing).max() == 0, "the light has changed since the shot began"
    assert still(noisy(0), noisy(0), first, nothing + 1).max() == 0, "it moves"


def test_the_edge_of_what_stands_still_is_soft(clips: dict[str, Clip]) -> None:
    first = clips["pan"].frames[0].astype(np.float32)
    displacement = np.zeros((*first.shape[:2], 2), np.float32)
    displacement[:, :100] = 1
    kept = still(first, first, first, displacement)
    assert kept[:, :100].max() == 0
    assert kept[:, 110:].min() == 1
    assert len(np.unique(kept.round(3))) > 3


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (17, 33)])
def test_small_pictures_have_a_flow(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (*size, 3)).astype(np.float32)
    found, trust = flow(picture, picture)
    assert found.shape == (*size, 2)
    assert trust.shape == size
