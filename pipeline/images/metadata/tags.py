"""EXIF, XMP and resolution: what of them survives, and what a result says of itself."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from pipeline.images.metadata.ifd import (
    ASCII,
    LONG,
    MAKER_NOTE,
    SHORT,
    UNDEFINED,
    Directory,
    Exif,
    IfdEntry,
    IfdError,
    ascii_entry,
    header,
    integers,
    number,
    rational,
    read_exif,
    write_exif,
)
from pipeline.images.metadata.xmp import XmpError, without, without_padding
from pipeline.images.picture import Tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_APP1 = 65533
"""What a segment of a JPEG holds; the other formats are held to it too, so that a result's tags do not depend on it."""
MAX_EXIF = _APP1 - len(b"Exif\0\0")
MAX_XMP = _APP1 - len(b"http://ns.adobe.com/xap/1.0/\0")

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _SOFTWARE = 0x112, 0x11A, 0x11B, 0x128, 0x131
_EXIF_VERSION, _IMAGE_HISTORY, _COLOR_SPACE, _WIDTH, _HEIGHT = 0x9000, 0x9213, 0xA001, 0xA002, 0xA003
_XMP = 700
_MAX_DPI = 65535
"""What JFIF can say."""

DESCRIPTIVE = frozenset(
    {
        *(0x10D, 0x10E, 0x10F, 0x110),  # DocumentName, ImageDescription, Make, Model
        *(_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _SOFTWARE),
        *(0x132, 0x13B, 0x13C),  # DateTime, Artist, HostComputer
        *(0x4746, 0x4749, 0x8298),  # Rating, RatingPercent, Copyright
        *range(0x9C9B, 0x9CA0),  # XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject
    }
)
"""The tags of IFD0 that are about the picture; the others are about how the file is built."""

_OUTDATED = frozenset(
    {
        0x9102,  # CompressedBitsPerPixel: of the source's compression
        *(0x9214, 0xA214),  # SubjectArea, SubjectLocation: in px of the source
        0xA500,  # Gamma: of the source's colour space
        0xC4A5,  # PrintImageMatching: corrections of the source's colours
        *(0xEA1C, 0xEA1D),  # Padding, OffsetSchema: of the source's layout
    }
)
_OURS = frozenset({_ORIENTATION, _SOFTWARE, _EXIF_VERSION, _IMAGE_HISTORY, _COLOR_SPACE, _WIDTH, _HEIGHT})
_MAX_HISTORY = 4096

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
_FILE_LAYOUT_IN_XMP = frozenset(
    {
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/1.0/depthmap/",
        "http://ns.google.com/photos/1.0/image/",
    }
)
"""Namespaces about further pictures in the source file."""
_GEO_NS = "http://www.w3.org/2003/01/geo/wgs84_pos#"
_POSITION = re.compile("^gps|latitude|longt?itude", re.IGNORECASE)


def read_tags(image: Image.Image) -> Tags:
    """EXIF, XMP and resolution of an image as it was opened; garbage counts as none.

    EXIF of a TIFF file is built from the descriptive tags of its IFD0, its Exif IFD and its GPS IFD.

    Args:
        image: opened, but its pixels not loaded: TIFF and PNG are read from the file, which loading closes.

    Raises:
        ValueError: its pixels were loaded before.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        exif, xmp = _of_tiff(_file(image))
    elif isinstance(image, PngImagePlugin.PngImageFile):
        exif, xmp = _of_png(_file(image))
    else:
        exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    parsed = _parsed(exif.removeprefix(b"Exif\0\0"))
    xmp = xmp.rstrip(b"\0") if b"<" in xmp else b""
    return Tags(exif.removeprefix(b"Exif\0\0") if parsed else b"", xmp, _dpi(image, parsed or Exif()))


def tags_of_result(  # noqa: PLR0913 - all but the first go by name
    tags: Tags, *, width: int, height: int, software: str, key: str, strip_gps: bool
) -> tuple[Tags, tuple[str, ...]]:
    """The tags of a result, made from those of its content.

    EXIF is copied, dates and MakerNote included, but without thumbnail and all that is about the source file only.
    Software is the given one. `impasto key` and the key stand in ImageHistory (0x9213 in the Exif IFD, the tag of
    TIFF/EP for "what has been done to the image"), behind what it held before. XMP is copied without its thumbnails
    and what has become false: orientation, size, colour space, further pictures in the file.

    Args:
        tags: of the content.
        width: of the result, in px.
        height: of the result, in px.
        software: name and version.
        key: 64 hexadecimal digits.
        strip_gps: leave the position out of EXIF and XMP; MakerNote goes too, since it may hold one.

    Returns:
        The tags, and in words what was lost.
    """
    lost = []
    source = _parsed(tags.exif)
    if source is None and tags.exif:
        lost.append("EXIF was damaged and is left out")
    source = source or Exif()
    exif = replace(
        source, main=_main_of_result(source, software, tags.dpi), exif=_exif_of_result(source, width, height, key)
    )
    if strip_gps:
        if MAKER_NOTE in exif.exif:
            lost.append("MakerNote was left out of EXIF together with the GPS position, since it may hold one")
        exif = replace(exif, gps={}, exif={tag: each for tag, each in exif.exif.items() if tag != MAKER_NOTE})
    raw, too_much = _fitting(exif)
    xmp, unfit = _xmp_of_result(tags.xmp, strip_gps=strip_gps)
    return Tags(raw, xmp, tags.dpi), (*lost, *too_much, *unfit)


def _file(image: ImageFile.ImageFile) -> BinaryIO:
    if image.fp is None:
        msg = "read_tags needs the image before its pixels are loaded"
        raise ValueError(msg)
    return image.fp  # type: ignore[return-value]  # of bytes, says Pillow


def _of_tiff(file: BinaryIO) -> tuple[bytes, bytes]:
    """EXIF and XMP; the file's position is kept."""
    position = file.tell()
    try:
        found = read_exif(file)
    except IfdError:
        return b"", b""
    finally:
        file.seek(position)
    xmp = found.main.get(_XMP, IfdEntry(UNDEFINED, b"")).raw
    note = found.exif.get(MAKER_NOTE, IfdEntry(UNDEFINED, b"")).raw
    reachable = found.note_at is not None and found.note_at + len(note) <= MAX_EXIF
    main = {tag: each for tag, each in found.main.items() if tag in DESCRIPTIVE}
    if not (main or found.exif or found.gps):
        return b"", xmp
    return _structure(replace(found, main=main), keep_note=reachable), xmp


def _of_png(file: BinaryIO) -> tuple[bytes, bytes]:
    """EXIF and XMP, also those behind the pixels, where exiftool puts them; the file's position is kept."""
    position = file.tell()
    exif = xmp = b""
    for kind, data in _png_chunks(file):
        if kind == b"eXIf":
            exif = data
        elif kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0"):
            compressed, text = data[18:19] != b"\0", data[20:].split(b"\0", 2)[-1]
            xmp = _inflated(text) if compressed else text
        elif kind == b"zTXt" and data.startswith(b"Raw profile type exif\0"):
            exif = exif or _raw_profile(_inflated(data[23:]))
        elif kind == b"tEXt" and data.startswith(b"Raw profile type exif\0"):
            exif = exif or _raw_profile(data[22:])
    file.seek(position)
    return exif, xmp


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:  # noqa: PLR2004 - length and kind
            return
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt"):
            yield kind, file.read(length)
        at += 12 + length


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, 16 << 20)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """What ImageMagick writes: a line with the kind, one with the length, lines of hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _parsed(exif: bytes) -> Exif | None:
    try:
        return read_exif(io.BytesIO(exif))
    except IfdError:
        return None


def _dpi(image: Image.Image, exif: Exif) -> tuple[float, float] | None:
    """The format's own; Pillow's for a JPEG is made up where JFIF has none."""
    own = not isinstance(image, TiffImagePlugin.TiffImageFile) and (
        not isinstance(image, JpegImagePlugin.JpegImageFile) or image.info.get("jfif_unit") in (1, 2)
    )
    match image.info.get("dpi") if own else None:
        case (int() | float() as across, int() | float() as down):
            return _plausible(across, down)
    return _dpi_of(exif)


def _dpi_of(exif: Exif) -> tuple[float, float] | None:
    sides = [integers(exif.order, exif.main.get(tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    unit = integers(exif.order, exif.main.get(_RESOLUTION_UNIT)) or [2]
    per_inch = {2: 1.0, 3: 2.54}.get(unit[0])
    match sides:
        case [[across, over], [down, under]] if per_inch and over and under:
            return _plausible(across / over * per_inch, down / under * per_inch)
    return None


def _plausible(across: float, down: float) -> tuple[float, float] | None:
    return (across, down) if 1 <= across <= _MAX_DPI and 1 <= down <= _MAX_DPI else None


def _main_of_result(source: Exif, software: str, dpi: tuple[float, float] | None) -> dict[int, IfdEntry]:
    order = source.order
    main = {tag: each for tag, each in source.main.items() if tag in DESCRIPTIVE}
    main |= {_ORIENTATION: number(order, SHORT, 1), _SOFTWARE: ascii_entry(software)}
    if dpi:
        main |= {
            _X_RESOLUTION: rational(order, dpi[0]),
            _Y_RESOLUTION: rational(order, dpi[1]),
            _RESOLUTION_UNIT: number(order, SHORT, 2),
        }
    return main


def _exif_of_result(source: Exif, width: int, height: int, key: str) -> dict[int, IfdEntry]:
    exif = {
        tag: each
        for tag, each in source.exif.items()
        if tag >= 0x8000 and tag not in _OUTDATED and not _is_preview(each)  # noqa: PLR2004 - below: TIFF's own
    }
    exif.setdefault(_EXIF_VERSION, IfdEntry(UNDEFINED, b"0232"))
    return exif | {
        _IMAGE_HISTORY: _history(exif.get(_IMAGE_HISTORY), key),
        _COLOR_SPACE: number(source.order, SHORT, 1),
        _WIDTH: number(source.order, LONG, width),
        _HEIGHT: number(source.order, LONG, height),
    }


def _is_preview(entry: IfdEntry) -> bool:
    return entry.raw.startswith(b"\xff\xd8\xff")


def _history(before: IfdEntry | None, key: str) -> IfdEntry:
    ours = f"impasto key {key}"
    text = before.raw.rstrip(b"\0 ").decode("ascii", "replace") if before and before.kind == ASCII else ""
    return ascii_entry(f"{text}; {ours}" if 0 < len(text) <= _MAX_HISTORY else ours)


def _structure(exif: Exif, *, keep_note: bool) -> bytes:
    return header(exif.order, 8) + write_exif(exif, at=8, keep_note=keep_note)


def _fitting(exif: Exif) -> tuple[bytes, list[str]]:
    """As much of it as a JPEG's segment holds, and what was left out."""
    for keep_note in (True, False):
        raw = _structure(exif, keep_note=keep_note)
        if len(raw) <= MAX_EXIF:
            return raw, []

    def goes_first(named: tuple[int, Directory]) -> tuple[bool, int]:
        tag, directory = named
        return tag == MAKER_NOTE, len(directory[tag].raw)

    parts: tuple[dict[int, IfdEntry], ...] = (dict(exif.main), dict(exif.exif), dict(exif.gps))
    optional = [(tag, part) for part in parts for tag in part if tag not in _OURS]
    size, lost = len(raw), []
    for tag, part in sorted(optional, key=goes_first, reverse=True):
        if size <= MAX_EXIF:
            break
        value = len(part.pop(tag).raw)
        size -= 12 + (value if value > 4 else 0)  # noqa: PLR2004 - what an entry holds itself
        lost.append("MakerNote" if tag == MAKER_NOTE else f"tag {tag:#06x}")
    main, rest, gps = parts
    left_out = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")  # noqa: PLR2004
    raw = _structure(replace(exif, main=main, exif=rest, gps=gps), keep_note=False)
    return raw, [f"EXIF is larger than a file can hold ({_APP1} bytes): {left_out} left out"]


def _xmp_of_result(packet: bytes, *, strip_gps: bool) -> tuple[bytes, list[str]]:
    if not packet:
        return b"", []
    try:
        kept = without(packet, _unwanted(strip_gps=strip_gps))
    except XmpError as error:
        return b"", [f"XMP cannot be read and is left out: {error}"]
    kept = without_padding(kept) if len(kept) > MAX_XMP else kept
    if len(kept) > MAX_XMP:
        return b"", [f"XMP is larger than a file can hold ({_APP1} bytes) and is left out"]
    more = b"HasExtendedXMP" in packet
    return kept, ["of XMP only the main part was kept, not the extension"] if more else []


def _unwanted(*, strip_gps: bool) -> Callable[[str, str], bool]:
    def unwanted(namespace: str, name: str) -> bool:
        if (namespace, name) in _FALSE_IN_XMP or namespace in _FILE_LAYOUT_IN_XMP:
            return True
        return strip_gps and (namespace == _GEO_NS or _POSITION.search(name) is not None)

    return unwanted
