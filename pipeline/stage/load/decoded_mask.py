"""The mask of a photograph, decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.errors import ImageError
from pipeline.images.colour.luma_chroma import luma
from pipeline.stage.load.inputs import decode_source

if TYPE_CHECKING:
    from pipeline.images.picture import Picture, Plane
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.load.inputs import Source

_DARKEST: Final = 1 / 255
"""Smallest maximum of a mask, 0–1; a darker one is black everywhere."""
_PROPORTIONS_TOLERANCE: Final = 0.02
"""Largest relative difference between the proportions of mask and photograph that rounding explains."""


@dataclass(frozen=True)
class DecodedMask:
    """The mask of a photograph."""

    plane: Plane
    """Weight of the style, 0–1; transparent pixels are 0."""
    picture: Picture
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, file: Source, content: Picture, images: ImageSettings) -> DecodedMask:
        """Decode the mask of a photograph.

        Raises:
            ImageError: the mask cannot be used.
        """
        picture = decode_source(file, images, lambda _width, _height: content.pixels.shape[1::-1])
        plane = luma(picture.pixels) / np.float32(255)
        if picture.alpha is not None:
            plane *= picture.alpha
        if plane.max() < _DARKEST:
            raise ImageError(
                f"{file.path.name}: the mask is black everywhere, so the style acts nowhere.",
                "Make it white where the photograph is to be painted, or leave it out.",
            )
        warnings = picture.warnings
        if abs(picture.width * content.height / (picture.height * content.width) - 1) > _PROPORTIONS_TOLERANCE:
            warnings = (
                *warnings,
                f"{file.path.name}: has other proportions than the photograph and was stretched to it",
            )
        return cls(plane, picture, warnings)
