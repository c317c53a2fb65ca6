"""Colour modes: the preparation of colours before the optimisation, and their correction afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.images.colour.luma_chroma import blend, grey, luma, with_chroma_in_gamut, with_chroma_of
from pipeline.images.colour.matching import histogram_match, linear_match
from pipeline.images.colour.regions import recoloured, with_chroma_of_regions
from pipeline.images.resize import resize

if TYPE_CHECKING:
    from collections.abc import Hashable

    from pipeline.images.colour.matching import Match
    from pipeline.images.picture import Pixels, Plane

Mode = Literal["style-yuv", "luminance", "swap-luma", "match", "histogram", "regions", "none"]


@dataclass(frozen=True)
class Colour:
    """A colour mode with its settings: whose colours the result has."""

    mode: Mode
    strength: float = 1.0
    """Strength of the mode, 0–1; 0 is the mode `none`."""
    match: Match = "monge-kantorovich"
    """Method of the mode `match`."""


def preparation(colour: Colour) -> Hashable:
    """Return a value that is equal for modes with equal prepared pictures, so that one optimisation serves them all."""
    if not colour.strength or colour.mode in ("none", "swap-luma"):
        return "none"
    return colour.mode, colour.strength, colour.match if colour.mode == "match" else ""


def prepare_content(colour: Colour, content: Pixels) -> Pixels:
    """Return the content as the network sees it; the given array itself if the mode changes nothing."""
    if colour.mode != "luminance" or preparation(colour) == "none":
        return content
    return blend(content, grey(luma(content)), colour.strength)


def prepare_style(colour: Colour, style: Pixels, content: Pixels, painted: Pixels | None = None) -> Pixels:
    """Return the style as the network sees it; the given array itself if the mode changes nothing.

    Args:
        colour: the mode.
        style: the painting, of any size.
        content: the photograph whose colours it gets.
        painted: colours of the content where the style acts, (1, N, 3), for its statistics; None: all of the content.
    """
    if preparation(colour) == "none":
        return style
    painted = content if painted is None else painted
    if colour.mode == "luminance":
        seen = grey(_matched_luma(luma(style), luma(painted)))
    elif colour.mode == "style-yuv":
        seen = with_chroma_of(style, resize(content, style.shape[1], style.shape[0]))
    elif colour.mode == "histogram":
        seen = histogram_match(style, painted)
    elif colour.mode == "regions":
        seen = recoloured(style, painted)
    else:
        seen = np.clip(linear_match(style, painted, colour.match), 0, 255)  # a painting has no colours outside
    return blend(style, seen, colour.strength)


def _matched_luma(of_style: Plane, of_content: Plane) -> Plane:
    """Return the style's luma with the content's mean and spread: L' = σ_c/σ_s·(L − μ_s) + μ_c.

    Gatys et al. 2017, "Controlling perceptual factors in neural style transfer", section 5.1. A style of one luma keeps
    one luma.
    """
    spread = float(of_style.std(dtype=np.float64))
    gain = float(of_content.std(dtype=np.float64)) / spread if spread > _FLAT else 0.0
    return np.asarray((of_style - of_style.mean()) * np.float32(gain) + of_content.mean())


_FLAT = 0.5
"""Largest spread of luma in levels at which a style counts as flat, since it is rounding."""


def finishes(colour: Colour) -> bool:
    """Whether `finish` changes the result, and needs the content for it."""
    return colour.mode in ("luminance", "swap-luma", "regions") and colour.strength > 0


def finish(colour: Colour, result: Pixels, content: Pixels, mask: Plane | None = None) -> tuple[Pixels, float]:
    """Give the result of the optimisation the content's chroma, where the mode asks for it.

    Args:
        colour: the mode.
        result: result of the optimisation.
        content: photograph in the result's size.
        mask: weight of the style in the result, 0–1; None: 1 everywhere. Modes that treat each pixel by itself ignore
            it.

    Returns:
        The result, and the share of pixels whose luma was moved to make room for their chroma.
    """
    if not finishes(colour):
        return result, 0.0
    if colour.mode == "regions":
        coloured, moved = with_chroma_of_regions(result, content, mask)
    else:
        coloured, moved = with_chroma_in_gamut(result, content)
    return blend(result, coloured, colour.strength), moved
