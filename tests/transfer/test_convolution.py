"""Tests of convolutions with packed kernels."""

from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

from pipeline.transfer import convolution
from pipeline.transfer.convolution import Convolution

DTYPES = [torch.float32, torch.bfloat16]


def example(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return an image, a kernel and a bias."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 24, 19, 13), (40, 24, 3, 3), (40,)
    x, kernel, bias = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return x.contiguous(memory_format=torch.channels_last), kernel, bias


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_equals_that_of_torch(dtype: torch.dtype, padding: int) -> None:
    x, kernel, bias = example(dtype)
    exact = F.conv2d(x.double(), kernel.double(), bias.double(), padding=padding)
    convolve = Convolution(kernel, bias, padding=padding)
    plain, rectified = convolve(x), convolve(x, rectified=True)
    assert plain.dtype is dtype
    assert (plain.double() - exact).norm() < (1e-6 if dtype is torch.float32 else 4e-3) * exact.norm()
    assert torch.equal(rectified, plain.relu())
    assert plain.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(Convolution(kernel, padding=padding)(x), Convolution(kernel, 0 * bias, padding=padding)(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_packing_it_is_the_same(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x, kernel, bias = example(dtype)
    packed = Convolution(kernel, bias)(x, rectified=True)

    def refuse(*_: object) -> torch.Tensor:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(convolution, "_pack", refuse)
    convolution._can_pack.cache_clear()
    caplog.set_level(logging.INFO)
    try:
        plain = Convolution(kernel, bias)(x, rectified=True)
    finally:
        convolution._can_pack.cache_clear()
    assert torch.allclose(packed.float(), plain.float(), rtol=1e-2, atol=1e-3)
    assert "no such operator" in caplog.text
