"""Tests of the scales of the pyramid."""

from __future__ import annotations

import pytest
import torch

from pipeline.transfer.pyramid import Scale, refine, resample, schedule, work
from tests.conftest import photo


def tensor(width: int, height: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(photo(width, height, seed)).permute(2, 0, 1)[None].float()


def test_each_scale_has_half_the_sides_of_the_next() -> None:
    assert schedule(513, 340, (80, 60, 40)) == (Scale(128, 85, 80), Scale(256, 170, 60), Scale(513, 340, 40))


def test_scales_too_small_for_the_network_are_left_out_but_never_the_finest() -> None:
    assert schedule(100, 70, (80, 60, 40)) == (Scale(50, 35, 60), Scale(100, 70, 40))
    assert schedule(20, 16, (80, 60, 40)) == (Scale(20, 16, 40),)


def test_of_two_scales_for_each_halving_every_second_has_half_the_sides() -> None:
    found = schedule(513, 340, (50, 40, 30, 20, 10), scales_per_halving=2)
    assert found == (
        Scale(128, 85, 50),
        Scale(181, 120, 40),
        Scale(256, 170, 30),
        Scale(363, 240, 20),
        Scale(513, 340, 10),
    )
    assert schedule(60, 50, (30, 20, 10), scales_per_halving=2) == (Scale(42, 35, 20), Scale(60, 50, 10))


PLANNED = (40, 25, 26, 27, 15)


@pytest.mark.parametrize(
    ("size", "scales"),
    [
        # Half of 512 and 1/√2 of it lie above the floor; the scales below it become one of 192.
        ((512, 512), [(192, 192, 40), (256, 256, 26), (362, 362, 27), (512, 512, 15)]),
        # A floor of 192 is close to 1/√2 of 300, which is 212, so that this scale takes it in.
        ((300, 400), [(212, 283, 40), (300, 400, 15)]),
        # The floor counts for the short side.
        ((2000, 250), [(1536, 192, 40), (2000, 250, 15)]),
        ((220, 220), [(220, 220, 40)]),
        ((192, 192), [(192, 192, 40)]),
        ((100, 80), [(100, 80, 40)]),
        # A picture that is smaller than the smallest scale is no exception.
        ((16, 16), [(16, 16, 40)]),
        ((40, 16), [(40, 16, 40)]),
    ],
)
def test_scales_below_the_floor_become_one(size: tuple[int, int], scales: list[tuple[int, int, int]]) -> None:
    found = schedule(*size, PLANNED, scales_per_halving=2, floor=192)
    assert found == tuple(Scale(*each) for each in scales)


def test_the_most_evaluations_count_for_scales_that_become_one() -> None:
    assert schedule(100, 100, (3, 9, 5), floor=100) == (Scale(100, 100, 9),)
    assert schedule(400, 400, (3, 9, 5), scales_per_halving=2, floor=290) == (Scale(290, 290, 9), Scale(400, 400, 5))


def test_a_floor_below_what_the_network_can_see_leaves_its_scales_out() -> None:
    assert schedule(100, 100, (4, 3, 2, 1), floor=20) == (Scale(50, 50, 2), Scale(100, 100, 1))


def test_work_is_counted_by_pixels() -> None:
    scales = schedule(64, 64, (30, 10))
    assert work(scales, 0) == pytest.approx((0.0, 1 / 70))
    assert work(scales, 1) == pytest.approx((30 / 70, 4 / 70))


def test_a_content_refined_with_itself_is_itself() -> None:
    content = tensor(61, 47)
    assert torch.allclose(refine(resample(content, 30, 24), content), content, atol=1e-3)


def test_refining_keeps_what_was_painted_and_adds_the_contents_detail() -> None:
    content = tensor(64, 48)
    coarse = resample(content, 32, 24)
    painted = refine(coarse + 20, content)
    assert torch.allclose(painted, content + 20, atol=0.05)


def test_the_share_of_the_contents_detail_is_what_is_asked_for() -> None:
    content, coarse = tensor(64, 48), tensor(45, 34, seed=1)
    without, half, whole = (refine(coarse, content, share) for share in (0.0, 0.5, 1.0))
    assert torch.equal(without, resample(coarse, 64, 48))
    assert torch.equal(whole, refine(coarse, content))
    detail = content - resample(resample(content, 45, 34), 64, 48)
    assert detail.abs().mean() > 1
    assert torch.allclose(whole - without, detail, atol=1e-3)
    assert torch.allclose(half, (without + whole) / 2, atol=1e-3)
