"""Square roots of symmetric, positive matrices: by eigenvalues on the host, by products alone on a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST = 1e-12
"""Smallest eigenvalue relative to the largest one; smaller ones are rounding."""
_ITERATIONS = 26
"""Steps of Newton–Schulz: an eigenvalue that is 10⁻⁷ of the norm needs 20 to grow to about one, and five to settle."""


def root_and_inverse(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return tr(A^½) and A^(−½) of symmetric, positive matrices A, without waiting for the device.

    Args:
        matrix: A, (B, N, N) float32; an eigenvalue that is zero counts as a very small one.

    Returns:
        (B,) and (B, N, N) float32; NaN where A is not finite.
    """
    return (newton_schulz if matrix.is_cuda else by_eigenvalues)(matrix)


def by_eigenvalues(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return tr(A^½) and A^(−½) from the eigenvalues of A, in float64; see `root_and_inverse`."""
    values, vectors = eigen(matrix)
    largest = values[:, -1:].clamp(min=torch.finfo(torch.float32).tiny)
    roots = torch.maximum(values, largest * _SMALLEST).sqrt()
    inverse = (vectors / roots[:, None, :]) @ vectors.mT
    return values.clamp(min=0).sqrt().sum(1).float(), inverse.float()


def eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, rising, and the eigenvectors of symmetric matrices, or NaN where one is not finite.

    LAPACK would raise an error instead, although L-BFGS can return from such an image to a better one.

    Args:
        matrix: (B, N, N).

    Returns:
        (B, N) and (B, N, N) float64.
    """
    is_finite = matrix.isfinite().all(dim=2).all(dim=1)[:, None]
    values, vectors = torch.linalg.eigh(matrix.double().where(is_finite[..., None], 0))
    return values.where(is_finite, torch.nan), vectors


def newton_schulz(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return tr(A^½) and A^(−½) by the coupled iteration of Newton and Schulz (Higham 2008, section 6.7).

    From Y = A/‖A‖ and Z = I, each step multiplies both by T = (3 I − Z·Y)/2; Y converges to the root and Z to its
    inverse. The iteration only multiplies matrices, so that a CUDA graph can hold it. See `root_and_inverse`.
    """
    identity = torch.eye(matrix.shape[1], device=matrix.device).expand_as(matrix)
    norm = torch.linalg.matrix_norm(matrix, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    y, z = matrix / norm, identity
    for _ in range(_ITERATIONS):
        factor = torch.baddbmm(identity, z, y, beta=1.5, alpha=-0.5)
        y, z = y @ factor, factor @ z
    root = norm.sqrt()
    diagonal = y.diagonal(dim1=1, dim2=2) * (matrix.diagonal(dim1=1, dim2=2) > 0)  # rows of zeros fill up a batch
    return diagonal.sum(1) * root[:, 0, 0], z / root
