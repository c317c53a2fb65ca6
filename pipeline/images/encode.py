"""Encoding of pixels and tags to the bytes of an image file: sRGB, upright, equal bytes for equal input."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images.colour.icc import SRGB
from pipeline.images.metadata.ifd import (
    BYTE,
    SHORT,
    UNDEFINED,
    Exif,
    IfdEntry,
    header,
    number,
    rational,
    read_exif,
    with_byte_order,
    write_exif,
)
from pipeline.images.metadata.tags import DESCRIPTIVE
from pipeline.images.picture import Bits, Pixels, Plane, Tags
from pipeline.images.resize import over_white

if TYPE_CHECKING:
    from collections.abc import Callable

Format = Literal["png", "jpeg", "webp", "tiff"]

Samples = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]] | np.ndarray[tuple[int, int, int], np.dtype[np.uint16]]
"""Values of a file, (H, W, 3), or with alpha (H, W, 4), 8 or 16 bits; functions say whether they are RGB or BGR."""

_MAX_SIDE: dict[Format, int] = {"webp": 16383, "jpeg": 65500}
"""Longest side in px: WebP's by its format, JPEG's by its encoder, libjpeg."""

_ROWS = 256
"""Rows that are converted at a time, so that temporary copies in float stay small."""

_INCH = 0.0254
"""Length of an inch in metres."""
_EXTRA_SAMPLES, _XMP, _ICC_PROFILE = 338, 700, 34675
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296


@dataclass(frozen=True)
class Encoding:
    """Format of a written picture."""

    format: Format
    bits: Bits = 8
    """Bits per channel; 16 in PNG and TIFF only."""
    jpeg_quality: int = 95
    """Quality of a JPEG, 1 to 100."""


def has_alpha(image_format: Format) -> bool:
    """Whether the format keeps transparency."""
    return image_format != "jpeg"


def max_bits(image_format: Format) -> Bits:
    """Return the largest number of bits per channel that the format keeps."""
    return 16 if image_format in ("png", "tiff") else 8


def encode(pixels: Pixels, encoding: Encoding, *, alpha: Plane | None = None, tags: Tags = Tags()) -> bytes:  # noqa: B008 - immutable
    """Encode a picture; the only place where values are clipped and rounded, to round(v) or round(257 v).

    PNG, TIFF (deflate) and WebP are lossless; JPEG has no chroma subsampling. All have an sRGB profile.

    Args:
        pixels: (H, W, 3) float32, sRGB, nominally 0–255, not multiplied by alpha.
        encoding: format, bits and quality.
        alpha: (H, W) float32, 0 to 1; a JPEG, which has none, shows the picture over white.
        tags: tags as `tags_of_result` makes them. WebP has a resolution in EXIF only.

    Raises:
        ImageError: the picture is larger than the format allows.
        ValueError: the format has fewer bits, the size of alpha differs from the picture's, or EXIF cannot be parsed.
    """
    height, width = pixels.shape[:2]
    limit = _MAX_SIDE.get(encoding.format)
    if limit is not None and max(width, height) > limit:
        raise ImageError(
            f"The result has {width}×{height} px; {encoding.format} cannot hold more than {limit} px per side.",
            "Set output.format to png or tiff, or lower image.size.",
        )
    if encoding.bits > max_bits(encoding.format):
        msg = f"{encoding.format} has no {encoding.bits} bits per channel"
        raise ValueError(msg)
    if alpha is not None and alpha.shape != (height, width):
        msg = f"alpha is {alpha.shape}, the picture {pixels.shape}"
        raise ValueError(msg)
    return _ENCODERS[encoding.format](pixels, alpha, encoding, tags)


def to_samples(pixels: Pixels, alpha: Plane | None, bits: Bits, *, bgr: bool) -> Samples:
    """Return the values of a file: RGB(A), or BGR(A) for OpenCV."""
    top = 255 if bits == 8 else 65535  # noqa: PLR2004 - a number of bits
    height, width = pixels.shape[:2]
    samples: Samples = np.empty(
        (height, width, 3 if alpha is None else 4),
        np.uint8 if bits == 8 else np.uint16,  # noqa: PLR2004 - a number of bits
    )
    for begin in range(0, height, _ROWS):
        rows = slice(begin, begin + _ROWS)
        colours = _rounded(pixels[rows], top / 255, top)
        samples[rows, :, :3] = colours[:, :, ::-1] if bgr else colours
        if alpha is not None:
            samples[rows, :, 3] = _rounded(alpha[rows], top, top)
    return samples


def _rounded(values: np.ndarray, scale: float, top: int) -> np.ndarray:
    scaled: np.ndarray = np.multiply(values, np.float32(scale), dtype=np.float32)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, top, out=scaled)
    return scaled


def _encode_with_opencv(ending: str, samples: Samples, *parameters: int) -> bytes:
    encoded, buffer = cv2.imencode(ending, samples, parameters)
    if not encoded:
        msg = f"OpenCV could not encode {samples.shape} as {ending}"
        raise RuntimeError(msg)
    return buffer.tobytes()


def _jpeg(pixels: Pixels, alpha: Plane | None, encoding: Encoding, tags: Tags) -> bytes:
    """Encode with OpenCV: Pillow's optimised JPEG fails where a picture needs more bytes than Pillow has estimated."""
    opaque = pixels if alpha is None else over_white(pixels, alpha)
    data = _encode_with_opencv(
        ".jpg",
        to_samples(opaque, None, 8, bgr=True),
        *(cv2.IMWRITE_JPEG_QUALITY, encoding.jpeg_quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        *(cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    )
    after_jfif = 4 + int.from_bytes(data[4:6], "big")
    across, down = (round(side) for side in tags.dpi or (1, 1))
    segments = [
        _segment(0xE0, b"JFIF\0\1\1" + struct.pack(">BHHBB", tags.dpi is not None, across, down, 0, 0)),
        _segment(0xE1, b"Exif\0\0" + tags.exif) if tags.exif else b"",
        _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + tags.xmp) if tags.xmp else b"",
        _segment(0xE2, b"ICC_PROFILE\0\1\1" + SRGB),
    ]
    return b"".join([data[:2], *segments, memoryview(data)[after_jfif:]])


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def _png(pixels: Pixels, alpha: Plane | None, encoding: Encoding, tags: Tags) -> bytes:
    samples = to_samples(pixels, alpha, encoding.bits, bgr=True)
    data = _encode_with_opencv(".png", samples, cv2.IMWRITE_PNG_COMPRESSION, 6)
    after_header = 33
    chunks = [_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB))]
    if tags.dpi:
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(side / _INCH) for side in tags.dpi), 1)))
    if tags.exif:
        chunks.append(_chunk(b"eXIf", tags.exif))
    if tags.xmp:
        chunks.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + tags.xmp))
    return b"".join([data[:after_header], *chunks, memoryview(data)[after_header:]])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _webp(pixels: Pixels, alpha: Plane | None, _encoding: Encoding, tags: Tags) -> bytes:
    """Encode with Pillow: OpenCV does not keep the colours of invisible pixels."""
    file = io.BytesIO()
    image = Image.fromarray(to_samples(pixels, alpha, 8, bgr=False))
    # Pillow's default effort of 80 takes nearly twice as long for a file smaller by a hundredth.
    image.save(file, "WEBP", lossless=True, quality=50, exact=True, icc_profile=SRGB, exif=tags.exif, xmp=tags.xmp)
    return file.getvalue()


def _tiff(pixels: Pixels, alpha: Plane | None, encoding: Encoding, tags: Tags) -> bytes:
    """Encode with OpenCV, and append a directory that has its entries and those of the tags."""
    samples = to_samples(pixels, alpha, encoding.bits, bgr=True)
    data = _encode_with_opencv(
        ".tiff",
        samples,
        *(cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE),
        *(cv2.IMWRITE_TIFF_PREDICTOR, cv2.IMWRITE_TIFF_PREDICTOR_HORIZONTAL),
    )
    built = read_exif(io.BytesIO(data))
    order = built.order
    described = with_byte_order(read_exif(io.BytesIO(tags.exif)), order) if tags.exif else Exif(order)
    main = {tag: each for tag, each in described.main.items() if tag in DESCRIPTIVE} | dict(built.main)
    main[_ICC_PROFILE] = IfdEntry(UNDEFINED, SRGB)
    if alpha is not None:
        main[_EXTRA_SAMPLES] = number(order, SHORT, 2)  # not multiplied into the colours
    if tags.xmp:
        main[_XMP] = IfdEntry(BYTE, tags.xmp)
    if tags.dpi:
        main[_X_RESOLUTION], main[_Y_RESOLUTION] = (rational(order, side) for side in tags.dpi)
        main[_RESOLUTION_UNIT] = number(order, SHORT, 2)
    padding = bytes(len(data) % 2)
    at = len(data) + len(padding)
    directories = write_exif(replace(described, main=main), at=at, keep_note=False)
    return b"".join([header(order, at), memoryview(data)[8:], padding, directories])


_ENCODERS: dict[Format, Callable[[Pixels, Plane | None, Encoding, Tags], bytes]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
