"""The working size, and how content and style are brought to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipeline.errors import ImageError

if TYPE_CHECKING:
    from pipeline.images.read import Picture, Pixels

SHORTEST_SIDE = 16
"""VGG19 halves a picture four times before its last layer in use."""


def working_size(width: int, height: int, size: int | str) -> tuple[int, int]:
    """(width, height) in px for the setting `image.size`, with the picture's proportions.

    Raises:
        ImageError: the short side would be less than the network can see.
    """
    if isinstance(size, int):
        scale = size / max(width, height)
    elif size == "native":
        scale = 1.0
    else:
        scale = math.sqrt(float(size.removesuffix("MP")) * 1e6 / (width * height))
    scaled = round(width * scale), round(height * scale)
    if min(scaled) < SHORTEST_SIDE:
        raise ImageError(
            f"{width}×{height} px becomes {scaled[0]}×{scaled[1]} at image.size = {size}; "
            f"the shorter side needs {SHORTEST_SIDE}.",
            "Raise image.size or crop the picture.",
        )
    return scaled


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resample to the given size: by area when shrinking, cubic when growing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.clip(resized, 0, 255).astype(np.float32, copy=False)  # cubic overshoots at edges


def fitted_size(width: int, height: int, content: tuple[int, int], fit: str) -> tuple[int, int]:
    """(width, height) in px that a painting of this size is brought to, before it is cropped; see `fit_style`."""
    if fit == "stretch":
        return content
    across, down = content[0] / width, content[1] / height
    scale = min(content) / min(width, height) if fit == "whole" else max(across, down)
    return max(1, round(width * scale)), max(1, round(height * scale))


def fit_style(style: Picture, width: int, height: int, fit: str) -> Pixels:
    """Bring a painting to the content's size.

    Args:
        style: the painting.
        width: of the content, in px.
        height: of the content, in px.
        fit: `stretch` to exactly this size; `cover` it and crop the middle; `whole`: the same shorter side,
            proportions kept, nothing cropped, so the result may have another size.
    """
    scaled = resize(style.pixels, *fitted_size(style.width, style.height, (width, height), fit))
    if fit != "cover":
        return scaled
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]
