"""Calibration of other weights to the scale of the packaged ones, so that a setting means the same with all of them.

Activations of different weights differ by more than a factor of ten, and the style term grows with their fourth power.
Because of the rectifiers each layer can be rescaled without changing what it detects (`Vgg19.rescaled`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.transfer.vgg import CONVOLUTIONS, MEAN_ACTIVATIONS, Chain

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.transfer.vgg import Vgg19

_SIDE = 96
"""Side of the calibration image in px."""
_WAVELENGTHS = (48.0, 13.0, 5.0)
"""Wavelengths in px of shapes, strokes and grain."""


def calibration_image() -> Tensor:
    """Return waves of three lengths, in another direction for each channel: (1, 3, 96, 96) float32, sRGB 0–255."""
    y, x = torch.meshgrid(*(torch.arange(_SIDE, dtype=torch.float32),) * 2, indexing="ij")
    channels = []
    for channel in range(3):
        waves = [
            torch.sin(6.2832 * (x * (channel + 1) + y * (3 - channel)) / (3 * length) + channel + length)
            for length in _WAVELENGTHS
        ]
        channels.append(127.5 + 50 * waves[0] + 40 * waves[1] + 30 * waves[2])
    return torch.stack(channels)[None].clamp(0, 255)


@torch.no_grad()
def mean_activations(network: Vgg19) -> dict[str, float]:
    """Return the mean activation of every rectified convolution on the calibration image, by convolution."""
    layers = [name.replace("conv", "relu") for name in CONVOLUTIONS]
    activations = Chain(network, torch.device("cpu")).forward(calibration_image(), layers)
    return {name: activations[layer].mean().item() for name, layer in zip(CONVOLUTIONS, layers, strict=True)}


def calibrate(network: Vgg19) -> Vgg19:
    """Return the network rescaled to the packaged weights' mean activations.

    Raises:
        ValueError: a layer is zero or not finite on the calibration image, so this is no trained network.
    """
    found = mean_activations(network)
    for name, mean in found.items():
        if not 0 < mean < float("inf"):
            msg = f"the mean activation of {name} is {mean}; this is no trained network"
            raise ValueError(msg)
    return network.rescaled({name: MEAN_ACTIVATIONS[name] / mean for name, mean in found.items()})
