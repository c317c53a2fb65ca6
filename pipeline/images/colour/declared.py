"""Colours that a file declares by other means than a profile. They are not applied, but not ignored in silence either.

PNG: cICP, and gAMA with cHRM (W3C PNG, third edition, 11.3.2). AVIF: the colour information box (ISO/IEC 14496-12,
12.1.5). EXIF: ColorSpace.
"""

from __future__ import annotations

import struct
from typing import Final

from pipeline.images.metadata.tags import is_uncalibrated

_SRGB_PRIMARIES: Final = frozenset({1, 2, 5, 6, 7})
"""ColourPrimaries (ITU-T H.273) of sRGB, those that differ from it by less than a viewer sees, and "unspecified"."""
_SRGB_TRANSFERS: Final = frozenset({1, 2, 4, 6, 13, 14, 15})
"""TransferCharacteristics of sRGB, those that programs show alike, and "unspecified"."""
_PRIMARIES: Final = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_TRANSFERS: Final = {8: "linear", 16: "PQ", 18: "HLG"}
_SRGB_GAMMA: Final = 45455
_SRGB_CORNERS: Final = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""gAMA and cHRM of sRGB, in units of 1 / 100,000."""
_TOLERANCE: Final = 0.03
"""Largest relative difference of gAMA and cHRM that does not count."""


def unapplied(data: bytes, image_format: str, exif: bytes) -> str:
    """Return the colours that a file without a profile declares, in words; an empty text: sRGB, or nothing.

    Args:
        data: the file.
        image_format: its format, as in `formats.READABLE`.
        exif: its EXIF.
    """
    if image_format == "PNG":
        declared = _of_png(data)
    elif image_format == "AVIF" and (at := data.find(b"colrnclx")) >= 0:
        declared = _of_code_points(*struct.unpack(">HH", data[at + 8 : at + 12].ljust(4, b"\0")))
    else:
        declared = ""
    if not declared and is_uncalibrated(exif):
        declared = "EXIF (not sRGB, without saying which)"
    return declared


def _of_code_points(primaries: int, transfer: int) -> str:
    if primaries in _SRGB_PRIMARIES and transfer in _SRGB_TRANSFERS:
        return ""
    names = _PRIMARIES.get(primaries), _TRANSFERS.get(transfer)
    return "its colour code points (" + (", ".join(each for each in names if each) or f"{primaries}, {transfer}") + ")"


def _of_png(data: bytes) -> str:
    found: dict[bytes, bytes] = {}
    at = 8
    while at + 8 <= len(data) and b"IDAT" not in found:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"IDAT"):
            found[kind] = data[at + 8 : at + 8 + min(length, 32)]
        at += 12 + length
    if len(found.get(b"cICP", b"")) == 4:  # noqa: PLR2004 - bytes of cICP
        return _of_code_points(*found[b"cICP"][:2])
    if b"sRGB" in found:
        return ""
    gamma, corners = found.get(b"gAMA", b""), found.get(b"cHRM", b"")
    if len(gamma) == 4 and not _is_near(struct.unpack(">I", gamma), (_SRGB_GAMMA,)):  # noqa: PLR2004 - bytes of gAMA
        return f"its gamma (gAMA {int.from_bytes(gamma, 'big') / 100_000:g})"
    if len(corners) == 32 and not _is_near(struct.unpack(">8I", corners), _SRGB_CORNERS):  # noqa: PLR2004 - of cHRM
        return "its primaries (cHRM)"
    return ""


def _is_near(values: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(one - other) <= _TOLERANCE * other for one, other in zip(values, wanted, strict=True))
