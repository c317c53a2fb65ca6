"""The styles of a pair in their working size, with the colours that the network sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pipeline.images.colour.modes import preparation, prepare_style
from pipeline.images.resize import fit_style, fitted_size, over_white, resize_plane, scaled_size, shrink
from pipeline.outbox.working_files import LONGEST_SIDE_PX
from pipeline.stage.engine_config import colour_of
from pipeline.stage.load.inputs import decode_source, dimensions_of
from pipeline.stage.load.loaded_pair import LoadedPainting, tensor_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

    from pipeline.images.picture import Picture, Pixels, Plane
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.load.inputs import Source, Sources
    from pipeline.stage.load.predecessor import Shot

_NO_PIXELS: Final[Pixels] = np.empty((0, 0, 3), np.float32)


@dataclass(frozen=True)
class LoadedStyles:
    """The styles of a pair, in the order in which they are named."""

    paintings: list[LoadedPainting]
    pictures: list[Picture]
    """The decoded files, without their pixels."""
    small: dict[str, Pixels]
    """Small pictures of the files, by their SHA-256."""

    @classmethod
    def read(  # noqa: PLR0913 - what a style depends on
        cls,
        pair: Pair,
        files: Sources,
        images: ImageSettings,
        pixels: Pixels,
        *,
        plane: Plane | None,
        shot: Shot | None,
    ) -> LoadedStyles:
        """Decode the styles, one after another, since at full size only one of a blend fits into the room for a pair.

        Args:
            pair: the pair.
            files: its inputs.
            images: formats and sizes that are read.
            pixels: the photograph in working size.
            plane: the mask in working size; None: there is none.
            shot: the frames that the pair follows, if it does.
        """
        settings, size = pair.settings, (pixels.shape[1], pixels.shape[0])
        source = pixels if shot is None else shot.first  # of the colours, which do not waver during a shot
        painted = _painted_pixels(pair, source, plane)
        found = cls([], [], {})
        for file, weight in zip(files.styles, pair.style_weights, strict=True):
            style = _read_style(file, pair, images, size)
            found.small[file.sha256] = small_of(style)
            found.pictures.append(replace(style, pixels=_NO_PIXELS))
            fitted = fit_style(style, *scaled_size(*size, settings.style.scale), settings.style.fit)
            painting = prepare_style(colour_of(settings.colour), fitted, source, painted)
            key = _key_of_painting(pair, file, painting, is_own=painting is fitted, masked=plane is not None)
            # A style with the photograph's chroma counts only where the photograph is painted.
            part = plane if settings.colour.mode == "style-yuv" and key is None else None
            mask = mask_tensor(part, *painting.shape[1::-1])
            found.paintings.append(LoadedPainting(tensor_of(painting), weight, key, mask))
        return found


def _key_of_painting(pair: Pair, file: Source, painting: Pixels, *, is_own: bool, masked: bool) -> Hashable:
    """Return a key that is equal for equal paintings as the network sees them; None if there will be no equal one.

    Args:
        pair: the pair.
        file: the file of the painting.
        painting: the painting as the network sees it.
        is_own: whether it has its own colours.
        masked: whether its colours depend on a mask.
    """
    key = file.sha256, pair.settings.style.fit, *painting.shape[:2]
    if is_own:
        return key
    if pair.predecessor is None or masked:
        return None
    return *key, pair.predecessor.first_sha256, preparation(colour_of(pair.settings.colour))


def painting_size(pair: Pair, file: Source, size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) in px of a painting beside a photograph of this working size."""
    style = pair.settings.style
    target = scaled_size(*size, style.scale)
    own = dimensions_of(file)
    return target if own is None or style.fit != "whole" else fitted_size(*own, target, style.fit)


def _painted_pixels(pair: Pair, pixels: Pixels, plane: Plane | None) -> Pixels | None:
    """Return the painted pixels of a mask, (1, N, 3), for modes that match colours to them; None: all pixels."""
    if plane is None or pair.settings.colour.mode not in ("luminance", "match", "histogram", "regions"):
        return None
    painted: Pixels = pixels[plane >= plane.max() / 2][None]
    return painted


def _read_style(file: Source, pair: Pair, images: ImageSettings, size: tuple[int, int]) -> Picture:
    """Decode a painting, at least in the size that the working size requires; transparency is laid over white."""
    style = pair.settings.style
    target = scaled_size(*size, style.scale)
    picture = decode_source(file, images, lambda width, height: fitted_size(width, height, target, style.fit))
    if picture.alpha is None:
        return picture
    warning = f"{file.path.name}: transparency was laid over white"
    return replace(
        picture,
        pixels=over_white(picture.pixels, picture.alpha),
        alpha=None,
        warnings=(*picture.warnings, warning),
    )


def small_of(picture: Picture) -> Pixels:
    """Return a picture in the size of a thumbnail, without transparency."""
    pixels = picture.pixels if picture.alpha is None else over_white(picture.pixels, picture.alpha)
    return shrink(pixels, LONGEST_SIDE_PX)


def mask_tensor(plane: Plane | None, width: int, height: int) -> Tensor | None:
    """Return the mask of a picture of this size, (1, 1, H, W); None if there is none."""
    return torch.from_numpy(resize_plane(plane, width, height))[None, None] if plane is not None else None
