"""The check of a file by its format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline.images.integrity.checked import Checked
from pipeline.images.integrity.gaps import gap_in
from pipeline.images.integrity.jpeg import check_jpeg, refuse_unusual
from pipeline.images.integrity.png import check_png, without_damaged_metadata
from pipeline.images.integrity.tiff import check_tiff
from pipeline.images.integrity.webp import check_webp, check_webp_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

_BEFORE_HEADER: Final[dict[str, Callable[[bytes], Checked]]] = {
    "JPEG": refuse_unusual,
    "PNG": without_damaged_metadata,
    "WEBP": check_webp,
}
_CHECKS: Final[dict[str, Callable[[bytes], Checked]]] = {
    "JPEG": check_jpeg,
    "PNG": check_png,
    "TIFF": check_tiff,
    "WEBP": check_webp_pixels,
}


def before_header(data: bytes, image_format: str) -> Checked:
    """Check what can be checked before the header of a file is read: nothing is decoded.

    Raises:
        TruncatedError: the file is shorter than it says.
        DamagedError: the file is not built as it should be.
        UnsupportedError: the file is of a kind that is not read.
    """
    of_format = _BEFORE_HEADER.get(image_format)
    return of_format(data) if of_format else Checked(data)


def check(data: bytes, image_format: str) -> Checked:
    """Check a file of a format in `formats.READABLE`, before it is decoded, by its format and for gaps.

    Its size must have been checked before, since a check may decode the whole picture.

    Raises:
        TruncatedError: the file ends before its last pixel.
        DamagedError: the file is damaged where its pixels depend on it.
    """
    of_format = _CHECKS.get(image_format)
    checked = of_format(data) if of_format else Checked(data)
    gap = gap_in(data)
    return replace(checked, warnings=(*checked.warnings, gap)) if gap else checked
