"""Pooling of 2 × 2 px, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows

if TYPE_CHECKING:
    from torch import Tensor

_VALUES_AT_ONCE = 1 << 20
"""Number of maxima whose indices are found at once, 8 MB, since those of a whole image would take as much memory as its
activations."""


def max_pool(x: Tensor) -> Tensor:
    """Return the maxima of x, (B, C, H/2, W/2).

    On a CPU torch's own operator also finds their indices, whether they are needed or not, and takes fifteen times as
    long as maxima of rows and columns. On a card it is one fast kernel.
    """
    if x.device.type == "cuda":
        return F.max_pool2d(x, 2)
    height, width = (side // 2 * 2 for side in x.shape[2:])
    rows = torch.maximum(x[:, :, 0:height:2], x[:, :, 1:height:2])
    return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def max_unpool(gradient: Tensor, x: Tensor) -> Tensor:
    """Return the gradient by x from the gradient by its maxima.

    The maxima of x are found once more, since their int64 indices take more memory.
    """
    size, stride, padding, dilation, no = [2, 2], [2, 2], [0, 0], [1, 1], False
    full = torch.empty_like(x)
    strip = max(1, _VALUES_AT_ONCE // max(1, gradient[:, :, :1].numel()))
    for top in range(0, gradient.shape[2], strip):
        bottom = min(top + strip, gradient.shape[2])
        rows = slice(2 * top, 2 * bottom if bottom < gradient.shape[2] else None)  # the last strip: with an odd row
        part = x[:, :, rows]
        _, at = F.max_pool2d(part, 2, return_indices=True)
        full[:, :, rows] = torch.ops.aten.max_pool2d_with_indices_backward(
            gradient[:, :, top:bottom], part, size, stride, padding, dilation, no, at
        )
    return full


def average_unpool(gradient: Tensor, x: Tensor) -> Tensor:
    """Return the gradient by x from the gradient by its means."""
    size, stride, padding, no, yes = [2, 2], [2, 2], [0, 0], False, True
    unpooled: Tensor = torch.ops.aten.avg_pool2d_backward(gradient, x, size, stride, padding, no, yes, None)
    return unpooled
