"""Headers of picture files: size, depth, orientation and tags, before any pixel is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from pipeline.images.file_errors import DamagedError, UnsupportedError
from pipeline.images.metadata.ifd import IfdError, integers, read_exif
from pipeline.images.metadata.tags import has_adobe_rgb, read_tags, read_tags_of_tiff
from pipeline.images.tiff_header import CMYK, TiffHeader, read_tiff_header

if TYPE_CHECKING:
    from PIL import ImageFile

    from pipeline.images.picture import Tags

_TRANSPOSED: Final = 5
"""Smallest orientation by which rows become columns."""
_MAX_BITS: Final = 16
"""Largest number of bits per channel that is read."""

# The setting `image.max_pixels` is checked before decoding; Pillow's limit would only add a second, fixed one.
Image.MAX_IMAGE_PIXELS = None
# A colour profile or a description may well be larger than Pillow's limit of 1 MB.
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20


@dataclass(frozen=True)
class Header:
    """Header of a file's first picture."""

    format: str
    """One of `formats.READABLE`."""
    width: int
    """Width in px after orientation."""
    height: int
    """Height in px after orientation."""
    bits: int
    """Bits per channel."""
    tags: Tags
    orientation: int
    """EXIF's orientation, 1–8."""
    image: ImageFile.ImageFile | None
    """Pillow's image, not loaded; None: Pillow does not know this kind of TIFF."""
    tiff: TiffHeader | None
    """Header as `read_tiff_header` reads it; None: the file is no TIFF."""

    @property
    def is_transposed(self) -> bool:
        """Whether orientation makes rows into columns."""
        return self.orientation >= _TRANSPOSED

    @property
    def pillow_image(self) -> ImageFile.ImageFile:
        """Pillow's image.

        Raises:
            UnsupportedError: Pillow does not know this kind of TIFF.
        """
        if self.image is None:
            raise UnsupportedError("is a kind of TIFF that is not read.")
        return self.image

    @property
    def needs_imagecodecs(self) -> bool:
        """Whether imagecodecs decodes the picture, not Pillow."""
        if self.tiff is not None:
            tiff = self.tiff
            if self.image is None:
                return True
            if tiff.photometric == CMYK:  # Pillow takes separate channels of 16 bits for others of 8 bits.
                return tiff.samples != tiff.colours or (tiff.separate and tiff.bits > 8)  # noqa: PLR2004
            # Pillow knows only the commonest kinds of separate channels, and never inverts them.
            return (tiff.separate and tiff.is_plain) or tiff.bits > 8  # noqa: PLR2004
        return self.format == "PNG" and self.bits > 8  # noqa: PLR2004 - bits

    @property
    def has_more(self) -> bool:
        """Whether further pictures follow; those after a JPEG (MPO) are versions of the first and do not count."""
        if self.tiff is not None:
            return self.tiff.has_more
        return self.format != "JPEG" and bool(getattr(self.image, "is_animated", False))

    @property
    def has_adobe_rgb(self) -> bool:
        """Whether EXIF marks the colours as Adobe RGB; a profile counts more."""
        return self.tiff.has_adobe_rgb if self.tiff is not None else has_adobe_rgb(self.tags.exif)

    @property
    def icc(self) -> bytes:
        """ICC profile; empty: none."""
        if self.tiff is not None:
            return self.tiff.icc
        return (self.image.info.get("icc_profile") if self.image is not None else None) or b""


def read_header(data: bytes, image_format: str) -> Header:
    """Read the header of a file of a format in `formats.READABLE`.

    Raises:
        DamagedError: a number in the header is impossible. For other damages Pillow's exceptions are passed on.
        UnsupportedError: the file may be whole but is not read.
    """
    if image_format == "TIFF":
        return _read_tiff(data)
    image = Image.open(io.BytesIO(data), formats=[image_format])
    tags = read_tags(image)
    orientation = _orientation(tags.exif)
    width, height = image.size if orientation < _TRANSPOSED else image.size[::-1]
    return Header(image_format, width, height, _bits(data, image_format), tags, orientation, image, None)


def _read_tiff(data: bytes) -> Header:
    tiff = read_tiff_header(data)
    if tiff.bits > _MAX_BITS or not tiff.is_integer:
        numbers = "" if tiff.is_integer else ", signed, floating-point or of an unknown kind"
        raise UnsupportedError(f"has {tiff.bits} bits per channel{numbers}, which is not read.")
    width, height = tiff.width, tiff.height
    if tiff.orientation >= _TRANSPOSED:
        width, height = height, width
    tags = read_tags_of_tiff(io.BytesIO(data))
    try:
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
    except UnidentifiedImageError:
        return Header("TIFF", width, height, tiff.bits, tags, tiff.orientation, None, tiff)
    if sorted(image.size) != sorted((width, height)):
        raise DamagedError("it gives two sizes")
    return Header("TIFF", width, height, tiff.bits, tags, tiff.orientation, image, tiff)


def _orientation(exif: bytes) -> int:
    """Return EXIF's orientation, or 1. XMP is not read: programs that write an orientation there write EXIF, too."""
    try:
        parsed = read_exif(io.BytesIO(exif))
    except IfdError:
        return 1
    values = integers(parsed.order, parsed.main.get(ExifTags.Base.Orientation))
    return values[0] if values and 1 <= values[0] <= 8 else 1  # noqa: PLR2004 - EXIF's


def _bits(data: bytes, image_format: str) -> int:
    """Return the bits per channel, which Pillow does not report."""
    if image_format == "PNG":
        if data[12:16] != b"IHDR":
            raise DamagedError("its header does not come first")
        return data[24]
    if image_format == "JPEG2000":  # SIZ marker: ISO/IEC 15444-1, A.5.1
        at = data.find(b"\xff\x4f\xff\x51") + 42
        return (data[at] & 0x7F) + 1
    if image_format == "AVIF":  # pixel information property: ISO/IEC 23008-12, 6.5.6
        at = data.find(b"pixi")
        return data[at + 9] if at >= 0 else 8
    return 8
