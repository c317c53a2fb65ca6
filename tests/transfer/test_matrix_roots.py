"""Tests of square roots of matrices: both methods against a matrix whose root is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pipeline.transfer.matrix_roots import by_eigenvalues, newton_schulz

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

METHODS = [by_eigenvalues, newton_schulz]


def known(smallest: float, size: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    """Return a matrix with eigenvalues from 3 down to `smallest`, its eigenvectors and the roots of its eigenvalues."""
    vectors, _ = torch.linalg.qr(
        torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    values = torch.logspace(0, torch.log10(torch.tensor(smallest)).item(), size, dtype=torch.float64) * 3
    return ((vectors * values) @ vectors.T)[None].float(), vectors, values.sqrt()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("smallest", "allowed"), [(1e-2, 1e-5), (1e-4, 1e-3)])
def test_root_and_inverse_are_known(
    method: Callable[[Tensor], tuple[Tensor, Tensor]], smallest: float, allowed: float
) -> None:
    matrix, vectors, roots = known(smallest)
    trace, inverse = method(matrix)
    assert trace.item() == pytest.approx(roots.sum().item(), rel=1e-4)
    truth = (vectors / roots) @ vectors.T
    assert (inverse[0] - truth).norm() <= allowed * truth.norm()


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_zeros_count_for_nothing(method: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    matrix, _, roots = known(1e-2)
    padded = torch.zeros(2, 70, 70)
    padded[0, :60, :60], padded[1, :60, :60] = matrix[0], 4 * matrix[0]
    trace, inverse = method(padded)
    assert trace.tolist() == pytest.approx([roots.sum().item(), 2 * roots.sum().item()], rel=1e-4)
    alone = method(matrix)[1][0]
    assert (inverse[0, :60, :60] - alone).norm() <= 1e-4 * alone.norm()
    assert inverse.isfinite().all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_of_a_matrix_that_is_not_finite_nothing_is(
    method: Callable[[Tensor], tuple[Tensor, Tensor]], value: float
) -> None:
    matrices = known(1e-2, size=5)[0].repeat(2, 1, 1)
    matrices[1] *= value
    trace, inverse = method(matrices)
    assert trace.isfinite().tolist() == [True, False]
    assert inverse.isfinite().flatten(1).any(1).tolist() == [True, False]


@pytest.mark.parametrize("method", METHODS)
def test_a_matrix_of_zeros_is_safe(method: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    trace, inverse = method(torch.zeros(1, 5, 5))
    assert trace.item() == 0
    assert inverse.isfinite().all()
