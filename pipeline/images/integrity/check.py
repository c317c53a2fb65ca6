"""The check of a file by its format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.images.integrity.checked import Checked
from pipeline.images.integrity.jpeg import check_jpeg
from pipeline.images.integrity.png import check_png, without_damaged_metadata
from pipeline.images.integrity.tiff import check_tiff

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECKS: Final[dict[str, Callable[[bytes], Checked]]] = {"JPEG": check_jpeg, "PNG": check_png, "TIFF": check_tiff}


def before_header(data: bytes, image_format: str) -> Checked:
    """Leave out what is damaged and not needed, before the header of a file is read; nothing is decoded."""
    return without_damaged_metadata(data) if image_format == "PNG" else Checked(data)


def check(data: bytes, image_format: str) -> Checked:
    """Check a file of a format in `formats.READABLE`, before it is decoded; formats without a check pass.

    Its size must have been checked before, since a check may decode the whole picture.

    Raises:
        TruncatedError: the file ends before its last pixel.
        DamagedError: the file is damaged where its pixels depend on it.
    """
    of_format = _CHECKS.get(image_format)
    return of_format(data) if of_format else Checked(data)
