"""Tests of the spectral preconditioner."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.transfer.preconditioner import SpectralPreconditioner, cosine_transform, inverse_cosine_transform

CPU = torch.device("cpu")


@pytest.mark.parametrize("length", [2, 3, 16, 17, 509])
def test_cosine_transform_equals_its_definition_and_is_undone_by_its_inverse(length: int) -> None:
    x = torch.rand(2, 3, length, generator=torch.Generator().manual_seed(length))
    k, n = torch.arange(length)[:, None].double(), torch.arange(length).double()
    expected = x.double() @ torch.cos(math.pi * k * (2 * n + 1) / (2 * length)).mT
    assert torch.allclose(cosine_transform(x).double(), expected, atol=1e-5 * length)
    assert torch.allclose(inverse_cosine_transform(cosine_transform(x)), x, atol=1e-5)


def test_preconditioner_is_symmetric_positive_and_prefers_large_shapes() -> None:
    precondition = SpectralPreconditioner(7, 11, 0.4, CPU)
    one, two = torch.rand(1, 3, 7, 11), torch.rand(1, 3, 7, 11)
    assert (precondition(one) * two).sum().item() == pytest.approx((one * precondition(two)).sum().item(), rel=1e-4)
    basis = torch.eye(77).view(77, 1, 7, 11)
    matrix = precondition(basis).view(77, 77).double().numpy()
    assert np.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0
    flat, checks = torch.ones(1, 1, 7, 11), (-1.0) ** torch.arange(77).view(1, 1, 7, 11)
    gain = [(p * precondition(p)).sum() / (p * p).sum() for p in (flat, checks)]
    assert gain[0] > 2 * gain[1]
    plain = SpectralPreconditioner(7, 11, 0.0, CPU)
    assert torch.allclose(plain(one), one, atol=1e-5)


def test_the_border_moves_like_the_rest() -> None:
    moved = SpectralPreconditioner(9, 14, 0.4, CPU)(torch.ones(1, 3, 9, 14))
    assert torch.allclose(moved, moved[..., :1, :1], rtol=1e-4)
