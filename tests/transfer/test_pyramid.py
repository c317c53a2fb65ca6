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
