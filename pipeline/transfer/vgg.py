"""VGG19 up to conv5_1 (Simonyan & Zisserman 2014, arXiv:1409.1556) as a feature extractor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F  # noqa: N812 - the name everybody knows

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from torch import Tensor

CONVOLUTIONS = (
    "conv1_1", "conv1_2",
    "conv2_1", "conv2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4",
    "conv5_1",
)  # fmt: skip
"""In the order of the chain; a max pooling stands before each `convN_1` but the first."""

CHANNELS = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
"""Output channels of the convolutions, by block."""


def channels_of(layer: str) -> int:
    """C of a layer such as `conv4_2` or `relu4_2`."""
    return CHANNELS[layer[4]]


@dataclass(frozen=True)
class Vgg19:
    """The thirteen convolutions and the preprocessing that they were trained with.

    A layer is named `conv4_2` before and `relu4_2` after its rectifier.
    """

    kernels: dict[str, tuple[Tensor, Tensor]]
    """By convolution: (C_out, C_in, 3, 3) and (C_out,) float32, for RGB input."""
    mean: tuple[float, float, float]
    """Subtracted from RGB 0–255."""
    std: tuple[float, float, float]
    """Divides what is left."""

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Vgg19:
        """The same network elsewhere, or in another precision."""
        kernels = {name: (w.to(device, dtype), b.to(device, dtype)) for name, (w, b) in self.kernels.items()}
        return Vgg19(kernels, self.mean, self.std)

    def features(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Activations of the named layers; the chain ends at the deepest of them.

        Args:
            image: (B, 3, H, W), sRGB 0–255, H and W at least 16.
            layers: names such as `conv4_2` or `relu4_2`.

        Returns:
            By layer: (B, C, H/2ⁿ, W/2ⁿ), n poolings above, rounded down.
        """
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        h = (image - image.new_tensor(self.mean).view(1, 3, 1, 1)) / image.new_tensor(self.std).view(1, 3, 1, 1)
        for name in CONVOLUTIONS:
            if len(found) == len(wanted):
                break
            if name.endswith("_1") and name != "conv1_1":
                h = F.max_pool2d(h, 2)
            kernel, bias = self.kernels[name]
            h = F.conv2d(h, kernel, bias, padding=1)
            if name in wanted:
                found[name] = h
            h = F.relu(h)  # not in place: it would overwrite the tap before it
            rectified = name.replace("conv", "relu")
            if rectified in wanted:
                found[rectified] = h
        return found
