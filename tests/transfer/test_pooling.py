"""Tests of pooling by views."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

from pipeline.transfer.pooling import average_unpool, max_pool, max_unpool


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (16, 22), (17, 9)])
def test_pooling_and_its_gradient_equal_those_of_autograd(height: int, width: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, height, width, generator=generator).relu().to(dtype)  # many maxima are equal: 0
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    for pool, unpool in (
        (lambda each: F.max_pool2d(each, 2), max_unpool),
        (lambda e: F.avg_pool2d(e, 2), average_unpool),
    ):
        pooled = pool(x)
        gradient = (
            torch.randn(pooled.shape, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
        )
        (expected,) = torch.autograd.grad(pooled, x, gradient)
        assert torch.equal(unpool(gradient, x.detach()), expected)
    found = max_pool(x.detach())
    assert torch.equal(found, F.max_pool2d(x.detach(), 2))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_maximum_that_is_no_number_stays_one() -> None:
    x = torch.zeros(1, 1, 2, 2)
    x[..., 1, 0] = torch.nan
    assert max_pool(x).isnan().all()
