"""Tests of the rounding of kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

from pipeline.transfer.rounding import round_kernel


def test_rounding_has_no_bias_on_positive_inputs() -> None:
    """Test a kernel of numbers that are all rounded down, on inputs that are positive."""
    generator = torch.Generator().manual_seed(0)
    unit = 2.0**-7  # distance of neighbouring numbers in bfloat16 between 1 and 2
    kernel = 1 + unit * (torch.randint(0, 100, (8, 64, 3, 3), generator=generator) + 0.4)
    x = torch.rand(1, 64, 12, 12, generator=generator)
    exact = F.conv2d(x, kernel)
    plain, rounded = (F.conv2d(x, each.float()) for each in (kernel.bfloat16(), round_kernel(kernel, torch.bfloat16)))
    assert ((plain - exact) / exact).mean() < -1e-3
    assert ((rounded - exact) / exact).mean().abs() < 2e-5


def test_each_number_is_one_of_its_neighbours_in_that_precision() -> None:
    kernel = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    before = kernel.clone()
    rounded = round_kernel(kernel, torch.bfloat16)
    assert rounded.shape == kernel.shape
    assert rounded.dtype is torch.bfloat16
    assert (rounded.float() - kernel).abs().max() < 2 * 2.0**-8 * kernel.abs().max()
    assert torch.equal(kernel, before), "the kernel itself is not changed"
    assert torch.equal(round_kernel(kernel.bfloat16().float(), torch.bfloat16), kernel.bfloat16())
