"""A photograph, decoded and in its working size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ImageError
from pipeline.images.resize import resize_visible, working_size
from pipeline.stage.load.inputs import decode_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.images.picture import Picture, Pixels, Plane
    from pipeline.settings.pair_settings import ImageSettings
    from pipeline.stage.load.inputs import Source


@dataclass(frozen=True)
class Photograph:
    """A photograph in two sizes."""

    picture: Picture
    """The photograph as it was decoded: in its own size if the result has that, else at least in working size."""
    pixels: Pixels
    """In working size, (H, W, 3), 0–255."""
    alpha: Plane | None
    """Opacity in working size, 0–1; None if all is visible."""
    is_upscaled: bool
    """Whether the result has the photograph's own size, which is larger than the working size."""

    @classmethod
    def read(
        cls,
        file: Source,
        own: ImageSettings,
        images: ImageSettings,
        take_room: Callable[[int, tuple[int, int]], None] | None = None,
    ) -> Photograph:
        """Decode a photograph.

        Args:
            file: its file.
            own: settings of the pair, for the working size.
            images: settings of the run, for the formats and sizes that are read.
            take_room: called before the photograph is decoded, with its number of pixels and the working size; its
                exceptions are passed on.

        Raises:
            ImageError: the file cannot be used.
        """

        def wanted(width: int, height: int) -> tuple[int, int]:
            size = _working_size(file, own, width, height)
            if take_room is not None:
                take_room(width * height, size)
            return (width, height) if _is_upscaled(own, (width, height), size) else size

        picture = decode_source(file, images, wanted)
        size = _working_size(file, own, picture.width, picture.height)
        pixels, alpha = resize_visible(picture.pixels, picture.alpha, *size)
        return cls(picture, pixels, alpha, _is_upscaled(own, (picture.width, picture.height), size))

    @property
    def size(self) -> tuple[int, int]:
        """Working size, (width, height) in px."""
        height, width = self.pixels.shape[:2]
        return width, height


def _working_size(file: Source, own: ImageSettings, width: int, height: int) -> tuple[int, int]:
    try:
        return working_size(width, height, own.size)
    except ImageError as error:
        raise ImageError(f"{file.path.name}: {error.message}", error.remedy) from error


def _is_upscaled(own: ImageSettings, native: tuple[int, int], working: tuple[int, int]) -> bool:
    return own.upscale == "guided" and native[0] * native[1] > working[0] * working[1]
