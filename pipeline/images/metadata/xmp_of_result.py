"""The XMP of a result: that of its photograph, but for what has become false."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.images.metadata.xmp import Name, XmpError, edit_properties, remove_padding, simple_properties

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT = 65533
"""Bytes in a segment of a JPEG; they limit all formats, so that a result's tags do not depend on its format."""
MAX_XMP = SEGMENT - len(b"http://ns.adobe.com/xap/1.0/\0")
"""Largest number of bytes of a result's XMP."""

_TIFF_NS, _EXIF_NS = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_FALSE_IN_XMP = frozenset(
    {
        *((_TIFF_NS, name) for name in ("Orientation", "ImageWidth", "ImageLength")),
        *((_EXIF_NS, name) for name in ("PixelXDimension", "PixelYDimension", "ColorSpace")),
        ("http://ns.adobe.com/photoshop/1.0/", "ICCProfile"),
        ("http://ns.adobe.com/xap/1.0/", "Thumbnails"),
        ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"),
    }
)
"""XMP properties, by namespace and name, that are false for a result."""
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_FILE_LAYOUT_IN_XMP = re.compile(
    r"http://ns\.[^/]+/photos/(?!1\.0/panorama/)"  # motion photos, depth, containers, also of other makers of phones
    r"|http://ns\.google\.com/photos/dd/"
    r"|http://ns\.adobe\.com/(hdr-gain-map|hdr-metadata)/"
    r"|http://ns\.apple\.com/(?!faceinfo/)"
)
"""XMP namespaces about the source file: videos, sound, depth and further pictures in it, and how it was taken apart."""
_PANORAMA_WIDTHS = (
    *("FullPanoWidthPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels"),
    *("LargestValidInteriorRectLeft", "LargestValidInteriorRectWidth"),
)
_PANORAMA_HEIGHTS = (
    *("FullPanoHeightPixels", "CroppedAreaImageHeightPixels", "CroppedAreaTopPixels"),
    *("LargestValidInteriorRectTop", "LargestValidInteriorRectHeight"),
)
"""Lengths in px of the source by which viewers place a panorama on its sphere."""
_MAX_DISTORTION = 1.02
"""Largest ratio of the scales across and down by which a panorama's lengths count as those of the same picture."""
_LENGTH = re.compile(r"\s*([0-9]{1,9})\s*")
"""A length in px; no picture has one of more digits."""
_GEO_NS = "http://www.w3.org/2003/01/geo/wgs84_pos#"
_POSITION = re.compile("^gps|latitude|longt?itude", re.IGNORECASE)


def xmp_of_result(packet: bytes, size: tuple[int, int], *, strip_gps: bool) -> tuple[bytes, list[str]]:
    """Return the XMP of a result of a size in px, and the losses in words."""
    if not packet:
        return b"", []
    try:
        lengths = _panorama_of_result(simple_properties(packet, _PANORAMA), size)
        kept = edit_properties(packet, _unwanted(lengths, strip_gps=strip_gps), lengths)
    except XmpError as error:
        return b"", [f"XMP cannot be read and is left out: {error}"]
    kept = remove_padding(kept) if len(kept) > MAX_XMP else kept
    if len(kept) > MAX_XMP:
        return b"", [f"XMP is larger than a file can hold ({SEGMENT} bytes) and is left out"]
    more = b"HasExtendedXMP" in packet
    return kept, ["the extension of XMP was left out; only its main part was kept"] if more else []


def _panorama_of_result(source: dict[str, str], size: tuple[int, int]) -> dict[Name, str]:
    """Return the lengths of a panorama in px of the result; empty if it is none, or if they are of another picture."""
    lengths = {name: int(found[1]) for name, text in source.items() if (found := _LENGTH.fullmatch(text))}
    area = [lengths.get(f"CroppedAreaImage{each}Pixels", 0) for each in ("Width", "Height")]
    if not all(area):
        return {}
    factors = [side / length for side, length in zip(size, area, strict=True)]
    if max(factors) > _MAX_DISTORTION * min(factors):
        return {}
    return {
        (_PANORAMA, name): str(round(lengths[name] * factor))
        for names, factor in zip((_PANORAMA_WIDTHS, _PANORAMA_HEIGHTS), factors, strict=True)
        for name in names
        if name in lengths
    }


def _unwanted(lengths: dict[Name, str], *, strip_gps: bool) -> Callable[[str, str], bool]:
    """Return the function that tells which properties of XMP are left out; `lengths` are those of a panorama."""

    def unwanted(namespace: str, name: str) -> bool:
        if (namespace, name) in _FALSE_IN_XMP or _FILE_LAYOUT_IN_XMP.match(namespace):
            return True
        if namespace == _PANORAMA and name in (*_PANORAMA_WIDTHS, *_PANORAMA_HEIGHTS):
            return (namespace, name) not in lengths
        return strip_gps and (namespace == _GEO_NS or _POSITION.search(name) is not None)

    return unwanted
