"""Whether a JPEG file is whole: the warnings of libjpeg, the end marker, and the scans (ITU-T T.81).

libjpeg decodes damaged data into something, and warns. Pillow drops these warnings, and raises an error for a missing
end marker. simplejpeg raises the first warning as an error; at an eighth of the size it decodes all coefficients in
about half of the time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import simplejpeg

from pipeline.images.file_errors import DamagedError, TruncatedError, UnsupportedError
from pipeline.images.integrity.checked import Checked
from pipeline.images.integrity.jpeg_layout import END, HIERARCHICAL, JPEG_LS, read_layout

if TYPE_CHECKING:
    from pipeline.images.integrity.jpeg_layout import JpegLayout

_LEFT_OVER: Final = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_DAMAGE: Final = re.compile(r"Corrupt JPEG data|Premature end|Inconsistent progression")
"""Warnings of libjpeg about data that is missing or invalid (its jerror.h)."""
_TAIL: Final = bytes(16)
"""Zeros at the end of a file without an end marker."""
_MISSING_SCANS: Final = "some of its scans are missing, so it shows less detail or colour than it had"


def refuse_unusual(data: bytes) -> Checked:
    """Refuse kinds of JPEG that Pillow would call damaged.

    Raises:
        UnsupportedError: the kind is not read.
    """
    layout = read_layout(data, until_scan=True)
    if layout.frame == JPEG_LS:
        raise UnsupportedError("is JPEG-LS, which is not read.")
    if layout.frame in HIERARCHICAL:
        raise UnsupportedError("is a hierarchical JPEG, which is not read.")
    if layout.frame and layout.bits != 8:  # noqa: PLR2004 - bits
        raise UnsupportedError(f"is a JPEG of {layout.bits} bits per channel, which is not read.")
    return Checked(data)


def check_jpeg(data: bytes) -> Checked:
    """Check a JPEG file by decoding it at an eighth of its size.

    Returns:
        The file, with an end marker if only that is missing.

    Raises:
        TruncatedError: the file ends before its last pixel.
        DamagedError: libjpeg warns that data is missing or invalid.
    """
    layout = read_layout(data)
    if not layout.has_end and data[: layout.end].endswith(_TAIL):
        # A copy that ended early may leave zeros, which libjpeg would decode as further rows.
        data = data[: layout.end].rstrip(b"\0")
        layout = read_layout(data)
    if not layout.missing:
        return Checked(data)  # There is no frame; the decoder says so.
    if layout.has_zero_steps:
        raise DamagedError("it has a step of quantisation of 0")
    return _with_end(data, layout) if layout.has_end else _without_end(data, layout)


def _with_end(data: bytes, layout: JpegLayout) -> Checked:
    said = _warning(layout)
    left_over = _LEFT_OVER.search(said)
    warnings = [] if layout.is_complete else [_MISSING_SCANS]
    if left_over:
        padding = data[max(0, layout.end - int(left_over[1])) : layout.end]
        if len(set(padding)) > 1:
            warnings.append(f"may be damaged, look at it: libjpeg found {left_over.group()}, after its last row")
    elif _DAMAGE.match(said):
        raise DamagedError(said)
    elif said:
        warnings.append(f"could not be checked for damage: {said}")
    return Checked(data, tuple(warnings))


def _without_end(data: bytes, layout: JpegLayout) -> Checked:
    """Return the file with an end marker if all rows are there; a trailer, such as phones append, is left out."""
    said = _warning(layout)
    if said and not _LEFT_OVER.search(said):
        raise TruncatedError(said)
    if not layout.is_complete:
        raise TruncatedError("some of its scans are missing")
    ended = data[: layout.end] + bytes((0xFF, END))
    return Checked(ended, ("has no end marker, but all of its rows were read",))


def jpeg_damage(data: bytes, max_pixels: int) -> str:
    """Return what is wrong with JPEG data within another format, in libjpeg's words; an empty text: nothing.

    Args:
        data: the data.
        max_pixels: data that claims more pixels is damaged; it is not decoded.
    """
    layout = read_layout(data)
    if not layout.missing or layout.pixels > max_pixels:
        return "its JPEG data has no frame" if not layout.missing else "its JPEG data has too many pixels"
    said = _warning(layout)
    return said if _DAMAGE.match(said) else ""


def _warning(layout: JpegLayout) -> str:
    """Return the first warning or error of libjpeg, or an empty text.

    Only the first can be had. The segments of applications, which are left out, therefore cannot hide one about pixels.
    """
    stripped = b"".join([*layout.parts, bytes((0xFF, END))])
    colours = "CMYK" if len(layout.missing) == 4 else "GRAY"  # noqa: PLR2004 - channels
    try:
        simplejpeg.decode_jpeg(stripped, colours, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return str(error)
    return ""
