"""Tests of the orthonormal cosine transform."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.transfer.cosine_transform import cosine_transform, inverse_cosine_transform


@pytest.mark.parametrize("length", [2, 3, 16, 17, 509])
def test_cosine_transform_equals_its_definition_and_is_undone_by_its_inverse(length: int) -> None:
    x = torch.rand(2, 3, length, generator=torch.Generator().manual_seed(length))
    k, n = torch.arange(length)[:, None].double(), torch.arange(length).double()
    matrix = math.sqrt(2 / length) * torch.cos(math.pi * k * (2 * n + 1) / (2 * length))
    matrix[0] /= math.sqrt(2)
    assert torch.allclose(matrix @ matrix.mT, torch.eye(length).double(), atol=1e-10)
    assert torch.allclose(cosine_transform(x).double(), x.double() @ matrix.mT, atol=1e-5)
    assert torch.allclose(inverse_cosine_transform(cosine_transform(x)), x, atol=1e-5)
