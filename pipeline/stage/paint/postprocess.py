"""From the image of the optimisation to the pixels of the result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.images.colour.modes import finish, prepare_content
from pipeline.images.resize import resize, resize_plane, resize_visible
from pipeline.images.upscale import guided_upscale
from pipeline.transfer.pyramid import resample

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.images.colour.modes import Colour
    from pipeline.images.picture import Pixels
    from pipeline.stage.load.loaded_pair import LoadedPair, Original

_MIN_MASK: Final = 1 / 512
"""Smallest value of a mask that serves as a divisor; a pixel with a smaller value is not painted."""


def finished(image: Tensor, loaded: LoadedPair, colour: Colour) -> tuple[Pixels, float]:
    """Enlarge, recolour and mask the image of an optimisation, according to the settings of the pair.

    Where nothing changes in a film, a frame keeps the result of the frame before as it was published.

    Args:
        image: the result of the optimisation, (1, 3, H, W), in the host's memory.
        loaded: the pair, whose content has this size.
        colour: the colour mode.

    Returns:
        The pixels of the result, and the share of pixels whose luma was moved to make room for their chroma.
    """
    pixels, moved = _finished(_pixels(image), loaded, colour)
    if loaded.motion is not None:
        height, width = pixels.shape[:2]
        before = resize(loaded.motion.before, width, height)
        kept = resize_plane(loaded.motion.still, width, height)[:, :, None]
        pixels = pixels + kept * (before - pixels)
    return pixels, moved


def _finished(pixels: Pixels, loaded: LoadedPair, colour: Colour) -> tuple[Pixels, float]:
    original = loaded.original
    photograph = original.pixels
    if photograph is None:
        return pixels, 0.0
    if original.is_larger:
        height, width = pixels.shape[:2]
        seen, _ = resize_visible(photograph, original.alpha, width, height)
        pixels = guided_upscale(pixels, seen, photograph)
    if original.mask is None or loaded.mask is None:
        return finish(colour, pixels, photograph)
    height, width = original.mask.shape
    applied = resize_plane(loaded.mask[0, 0].numpy(), width, height)
    pixels, moved = finish(colour, pixels, photograph, applied)
    if colour.mode == "luminance" and colour.strength < 1:  # it greyed unpainted pixels, too, which is reversed here
        unpainted, _ = finish(colour, prepare_content(colour, photograph), photograph)
        pixels = pixels - (1 - original.mask)[:, :, None] * (unpainted - photograph)
    if original.is_larger:  # the optimisation applied the small mask, which is less sharp
        sharper = np.minimum(original.mask / np.maximum(applied, _MIN_MASK), 1)
        pixels = photograph + sharper[:, :, None] * (pixels - photograph)
    return pixels, moved


def finished_so_far(image: Tensor, loaded: LoadedPair, colour: Colour) -> Pixels:
    """Return the result that the pair would have if the optimisation ended now, in its working size.

    Args:
        image: the image so far, at any scale, (1, 3, h, w), in the host's memory.
        loaded: the pair.
        colour: the colour mode.
    """
    width, height = loaded.width, loaded.height
    seen = replace(loaded, original=_in_size(loaded.original, width, height))
    return finished(resample(image, width, height), seen, colour)[0]


def _in_size(original: Original, width: int, height: int) -> Original:
    if not original.is_larger or original.pixels is None:
        return original
    pixels, _ = resize_visible(original.pixels, original.alpha, width, height)
    mask = resize_plane(original.mask, width, height) if original.mask is not None else None
    return replace(original, pixels=pixels, mask=mask, is_larger=False)


def _pixels(image: Tensor) -> Pixels:
    """Convert (1, 3, H, W) to (H, W, 3)."""
    pixels: Pixels = image[0].permute(1, 2, 0).numpy()
    return pixels
