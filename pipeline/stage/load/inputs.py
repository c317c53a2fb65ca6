"""The inputs of a pair: files, or pictures of a calling program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.images.decode import decode, dimensions
from pipeline.images.files import SourceFile
from pipeline.images.from_array import ArrayPicture
from pipeline.outbox.ledger import style_sha256
from pipeline.outbox.metadata import BlendedFile, InputFile, PairInputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.images.decode import Wanted
    from pipeline.images.picture import Picture
    from pipeline.pair import Pair
    from pipeline.settings.pair_settings import ImageSettings

Source = SourceFile | ArrayPicture
"""One input: a file, or a picture of a calling program."""


@dataclass(frozen=True)
class Sources:
    """All inputs of a pair."""

    content: Source
    styles: tuple[Source, ...]
    mask: Source | None

    @property
    def all(self) -> tuple[Source, ...]:
        """All inputs: the content, the styles, and the mask if there is one."""
        return (self.content, *self.styles, *([self.mask] if self.mask is not None else []))


def dimensions_of(source: Source) -> tuple[int, int] | None:
    """Return (width, height) in px; None for a file that cannot be read as an image."""
    if isinstance(source, ArrayPicture):
        return source.picture.width, source.picture.height
    return dimensions(source)


def decode_source(source: Source, images: ImageSettings, wanted: Wanted) -> Picture:
    """Decode an input, at least in the wanted size.

    Args:
        source: the input.
        images: formats and sizes that are read.
        wanted: returns the wanted size, given the input's own size, both as (width, height) in px.

    Raises:
        ImageError: the file cannot be used.
    """
    if isinstance(source, ArrayPicture):
        return source.picture
    return decode(source, max_pixels=images.max_pixels, formats=images.kinds, wanted=wanted)


def describe_inputs(
    pair: Pair, sources: Sources, content: Picture, styles: Sequence[Picture], mask: Picture | None
) -> PairInputs:
    """Return the description of the inputs for the metadata."""
    style = _describe(pair.style_label, sources.styles[0], styles[0])
    blend = []
    if len(styles) > 1:
        style = style.model_copy(update={"sha256": style_sha256([each.sha256 for each in sources.styles])})
        blend = [
            BlendedFile(**_describe(source.path.name, source, picture).model_dump(), weight=weight)
            for source, picture, weight in zip(sources.styles, styles, pair.style_weights, strict=True)
        ]
    return PairInputs(
        content=_describe(pair.content_label, sources.content, content),
        style=style,
        blend=blend,
        mask=_describe(pair.mask_label, sources.mask, mask) if sources.mask is not None and mask is not None else None,
    )


def _describe(label: str, source: Source, picture: Picture) -> InputFile:
    return InputFile(
        path=label, sha256=source.sha256, width=picture.width, height=picture.height, format=picture.format.lower()
    )
