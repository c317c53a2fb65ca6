"""The way in: two files to two pictures of one size, with the colours that the network is to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ImageError
from pipeline.images.colour import with_chroma_of
from pipeline.images.read import Picture, Pixels, SourceFile, decode, read_file
from pipeline.images.size import fit_style, resize, working_size
from pipeline.outbox.metadata import InputFile, PairInputs

if TYPE_CHECKING:
    from pipeline.pair import Pair


@dataclass(frozen=True)
class LoadedPair:
    """All that the device needs of a pair, and what the metadata will say of its inputs."""

    content: Pixels
    style: Pixels
    inputs: PairInputs
    warnings: tuple[str, ...]


def load(pair: Pair, max_pixels: int) -> LoadedPair:
    """Read, decode, resize and recolour a pair.

    Raises:
        ImageError: one of the two images cannot be used.
    """
    files = read_file(pair.content), read_file(pair.style)
    content, style = (decode(file, max_pixels=max_pixels) for file in files)
    settings = pair.settings
    try:
        width, height = working_size(content.width, content.height, settings.image.size)
    except ImageError as error:
        raise ImageError(f"{pair.content.name}: {error.message}", error.remedy) from error
    content_pixels = resize(content.pixels, width, height)
    style_pixels = fit_style(style, width, height, settings.style.fit)
    if settings.colour.mode == "style-yuv":
        style_pixels = with_chroma_of(style_pixels, content_pixels)
    inputs = PairInputs(
        content=_describe(pair.content_label, files[0], content), style=_describe(pair.style_label, files[1], style)
    )
    return LoadedPair(content_pixels, style_pixels, inputs, content.warnings + style.warnings)


def _describe(label: str, file: SourceFile, picture: Picture) -> InputFile:
    return InputFile(
        path=label, sha256=file.sha256, width=picture.width, height=picture.height, format=picture.format.lower()
    )
