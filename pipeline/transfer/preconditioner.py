"""The initial inverse Hessian of L-BFGS for images: large shapes move before single pixels do."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class SpectralPreconditioner:
    """The preconditioner P: multiplies the two-dimensional cosine spectrum by f^(−2α), with f in cycles per pixel.

    The spectrum of natural images and the objective's curvature fall with frequency. For α = 0, P is the identity,
    which gives plain L-BFGS. The cosine transform continues an image by its mirror image, so P is symmetric and
    positive, and the border moves as fast as the rest. (If an image is continued by zeros, the border is slower, which
    shows as a pale frame.)
    """

    def __init__(self, height: int, width: int, alpha: float, device: torch.device) -> None:
        rows, columns = (torch.arange(n, device=device) / (2 * n) for n in (height, width))
        frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / max(height, width))
        amplitude = frequency**-alpha
        self._multiplier = (amplitude / amplitude.mean()) ** 2

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return P·g of a gradient (B, 3, H, W), contiguous."""
        spectrum = cosine_transform(cosine_transform(gradient).mT).mT
        back = inverse_cosine_transform(spectrum * self._multiplier)
        return inverse_cosine_transform(back.mT).mT.contiguous()


def cosine_transform(x: Tensor) -> Tensor:
    """Return the DCT-II along the last dimension, by one FFT of length N (Makhoul 1980).

    X_k = Σ_n x_n cos(π k (2n + 1) / 2N).

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
    half = torch.complex(x, -mirrored)[..., : length // 2 + 1] * _phases(length, x.device).conj()
    order = torch.fft.irfft(half, n=length)
    result = torch.empty_like(order)
    middle = (length + 1) // 2
    result[..., ::2], result[..., 1::2] = order[..., :middle], order[..., middle:].flip(-1)
    return result


def _phases(length: int, device: torch.device) -> Tensor:
    """Return e^(−iπk/2N) for k = 0 … N/2."""
    angles = torch.arange(length // 2 + 1, device=device) * (-math.pi / (2 * length))
    return torch.polar(torch.ones_like(angles), angles)
