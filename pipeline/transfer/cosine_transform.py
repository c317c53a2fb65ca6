"""The orthonormal cosine transform, in which an image is continued by its mirror image."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def cosine_transform(x: Tensor) -> Tensor:
    """Return the orthonormal DCT-II along the last dimension, by one FFT of length N (Makhoul 1980).

    X_k = √(2/N) · Σ_n x_n cos(π k (2n + 1) / 2N), and X_0 is divided by √2.

    Args:
        x: (…, N), N at least 2.
    """
    length = x.shape[-1]
    half = torch.fft.rfft(torch.cat((x[..., ::2], x[..., 1::2].flip(-1)), dim=-1)) * _phases(length, x.device)
    return torch.cat((half.real, -half.imag[..., 1 : (length + 1) // 2].flip(-1)), dim=-1)


def inverse_cosine_transform(x: Tensor) -> Tensor:
    """Return the inverse of `cosine_transform`."""
    length = x.shape[-1]
    mirrored = torch.nn.functional.pad(x[..., 1:].flip(-1), (1, 0))  # X_N is zero
    half = torch.complex(x, -mirrored)[..., : length // 2 + 1] / _phases(length, x.device)
    order = torch.fft.irfft(half, n=length)
    result = torch.empty_like(order)
    middle = (length + 1) // 2
    result[..., ::2], result[..., 1::2] = order[..., :middle], order[..., middle:].flip(-1)
    return result


@lru_cache(maxsize=64)
def _phases(length: int, device: torch.device) -> Tensor:
    """Return √(2/N) · e^(−iπk/2N) for k = 0 … N/2, of which the first is divided by √2."""
    angles = torch.arange(length // 2 + 1, device=device) * (-math.pi / (2 * length))
    sizes = torch.full_like(angles, math.sqrt(2 / length))
    sizes[0] /= math.sqrt(2)
    return torch.polar(sizes, angles)
