"""The working size, and the resampling of content and style to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar, cast

import cv2
import numpy as np

from pipeline.errors import ImageError

if TYPE_CHECKING:
    from pipeline.images.picture import Picture, Pixels, Plane

Values = TypeVar("Values", "Pixels", "Plane")

_FAINTEST = 1 / 512
"""Largest alpha of a pixel that is invisible in 8 bits, and so has no colour."""
_MOST_CROPPED = 8
"""Largest size of a painting that covers a photograph, in sizes of the photograph, before its edges are cropped away. A
larger one, much longer than the photograph is, is cropped first: it could be larger than memory."""
_MARGIN = 3
"""Pixels beside the middle of a painting on which the enlargement of the middle depends."""
SHORTEST_SIDE = 16
"""Shortest side of a picture in px: VGG19 halves it four times before the last layer in use."""


def working_size(width: int, height: int, size: int | str) -> tuple[int, int]:
    """Return (width, height) in px for the setting `image.size`, with the picture's proportions.

    Raises:
        ImageError: the shorter side would be less than `SHORTEST_SIDE`.
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
    """Resample a picture to the given size: by area when shrinking, cubic when growing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.clip(_resample(pixels, width, height), 0, 255)  # cubic overshoots at edges


def _resample(values: Values, width: int, height: int) -> Values:
    shrinks = width * height < values.shape[0] * values.shape[1]
    resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return cast("Values", resized.astype(np.float32, copy=False))


def shrink(pixels: Pixels, longest_side: int) -> Pixels:
    """Return a picture whose longer side is at most `longest_side` px, with its proportions; it is never enlarged."""
    height, width = pixels.shape[:2]
    factor = min(1.0, longest_side / max(height, width))
    return resize(pixels, max(1, round(width * factor)), max(1, round(height * factor)))


def resize_plane(plane: Plane, width: int, height: int) -> Plane:
    """Resample one channel of 0–1 as `resize` does."""
    return np.clip(_resample(plane, width, height), 0, 1) if plane.shape != (height, width) else plane


def resize_visible(pixels: Pixels, alpha: Plane | None, width: int, height: int) -> tuple[Pixels, Plane | None]:
    """Resample a picture with its alpha, so that invisible pixels do not bleed into visible ones."""
    if alpha is None or alpha.shape == (height, width):
        return resize(pixels, width, height), alpha
    resized = _resample(alpha, width, height)  # not clipped yet: alpha and colours overshoot alike
    premultiplied = _resample(pixels * alpha[:, :, None], width, height)
    visible = resized > _FAINTEST
    colours = np.full_like(premultiplied, 255)
    np.divide(premultiplied, resized[:, :, None], out=colours, where=visible[:, :, None])
    return np.clip(colours, 0, 255, out=colours), np.where(visible, np.minimum(resized, 1), np.float32(0))


def over_white(pixels: Pixels, alpha: Plane) -> Pixels:
    """Return a picture as it looks on white paper."""
    laid = pixels - np.float32(255)
    laid *= alpha[:, :, None]
    laid += 255
    return laid


def fitted_size(width: int, height: int, content: tuple[int, int], fit: str) -> tuple[int, int]:
    """Return (width, height) in px that `fit_style` resamples a painting of this size to, before it crops."""
    if fit == "stretch":
        return content
    across, down = content[0] / width, content[1] / height
    scale = min(content) / min(width, height) if fit == "whole" else max(across, down)
    return max(1, round(width * scale)), max(1, round(height * scale))


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """Return (width, height) in px that a painting is fitted to, for the setting `style.scale`."""
    return max(SHORTEST_SIDE, round(width * scale)), max(SHORTEST_SIDE, round(height * scale))


def fit_style(style: Picture, width: int, height: int, fit: str) -> Pixels:
    """Bring a painting to the content's size.

    Args:
        style: the painting.
        width: width of the content in px.
        height: height of the content in px.
        fit: `stretch`: to exactly this size; `cover`: over this size, with the middle cropped out; `whole`: to the same
            shorter side, uncropped and in proportion, so the result may have another size.
    """
    across, down = fitted_size(style.width, style.height, (width, height), fit)
    if fit != "cover":
        return resize(style.pixels, across, down)
    pixels = style.pixels
    if across * down > _MOST_CROPPED * width * height:
        pixels, across, down = _without_edges(pixels, (across, down), (width, height))
    scaled = resize(pixels, across, down)
    top, left = (down - height) // 2, (across - width) // 2
    return scaled[top : top + height, left : left + width]


def _without_edges(pixels: Pixels, fitted: tuple[int, int], content: tuple[int, int]) -> tuple[Pixels, int, int]:
    """Crop a painting before it is enlarged, evenly at both ends, to little more than its middle that will be left.

    Args:
        pixels: the painting.
        fitted: (width, height) in px that the whole painting would be resampled to.
        content: (width, height) in px that is cropped out of it.

    Returns:
        The middle, and the width and height in px that it is resampled to.
    """
    sides, kept, scaled = (pixels.shape[1], pixels.shape[0]), [], []
    for side, whole, wanted in zip(sides, fitted, content, strict=True):
        needed = math.ceil(wanted / whole * side) + 2 * _MARGIN
        cut = max(0, (side - needed) // 2)
        kept.append(slice(cut, side - cut))
        scaled.append(round((side - 2 * cut) / side * whole))
    return pixels[kept[1], kept[0]], scaled[0], scaled[1]
