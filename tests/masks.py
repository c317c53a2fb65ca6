"""Masks for tests and benchmarks: (1, 1, H, W) float32, 0–1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def disc(width: int, height: int) -> Tensor:
    """Return a mask that is white in the middle, black at the corners and soft between: about a third each."""
    down, across = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return ((1.15 - (down**2 + across**2).sqrt()) / 0.5).clamp(0, 1)[None, None]


def hard(width: int, height: int) -> Tensor:
    """Return a mask that is white in one corner, across the poolings' grids, and black elsewhere."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 2 - 1 :, width // 3 + 1 :] = 1
    return mask
