"""EXIF, XMP and resolution: reading them from a photograph, and making those of a result."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from pipeline.images.metadata.ifd import (
    ASCII,
    EXIF_IFD,
    INTEROPERABILITY_IFD,
    LONG,
    MAKER_NOTE,
    SHORT,
    UNDEFINED,
    Directory,
    EmptyIfdError,
    Exif,
    IfdEntry,
    IfdError,
    IfdReader,
    ascii_entry,
    integers,
    number,
    rational,
    read_exif,
    write_structure,
)
from pipeline.images.metadata.xmp_of_result import SEGMENT, xmp_of_result
from pipeline.images.picture import Tags

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EXIF = SEGMENT - len(b"Exif\0\0")
"""Largest number of bytes of a result's EXIF."""

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _SOFTWARE = 0x112, 0x11A, 0x11B, 0x128, 0x131
_EXIF_VERSION, _IMAGE_HISTORY, _COLOR_SPACE, _WIDTH, _HEIGHT = 0x9000, 0x9213, 0xA001, 0xA002, 0xA003
_UNCALIBRATED = 0xFFFF
_INTEROPERABILITY_INDEX, _OPTION_FILE = 1, b"R03"
_XMP = 700
_MAX_DPI = 65535
"""Highest resolution in pixels per inch that JFIF can hold."""

DESCRIPTIVE = frozenset(
    {
        *(0x10D, 0x10E, 0x10F, 0x110),  # DocumentName, ImageDescription, Make, Model
        *(_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _SOFTWARE),
        *(0x132, 0x13B, 0x13C),  # DateTime, Artist, HostComputer
        *(0x4746, 0x4749, 0x8298),  # Rating, RatingPercent, Copyright
        *range(0x9C9B, 0x9CA0),  # XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject
    }
)
"""Tags of IFD0 that describe the picture; the others describe the structure of the file."""

_OUTDATED = frozenset(
    {
        0x9102,  # CompressedBitsPerPixel: about the source's compression
        *(0x9214, 0xA214),  # SubjectArea, SubjectLocation: in px of the source
        0x8897,  # Xiaomi's mark of a motion photo
        0xA500,  # Gamma: about the source's colour space
        0xC4A5,  # PrintImageMatching: corrections of the source's colours
        *(0xEA1C, 0xEA1D),  # Padding, OffsetSchema: about the source's layout
    }
)
"""Tags of the Exif IFD that are false for a result."""
_REQUIRED = frozenset({_ORIENTATION, _SOFTWARE, _EXIF_VERSION, _IMAGE_HISTORY, _COLOR_SPACE, _WIDTH, _HEIGHT})
"""Tags that every result has; they are never left out."""
_MAX_HISTORY = 4096
"""Largest number of characters of an ImageHistory that is kept."""


def read_tags(image: Image.Image) -> Tags:
    """Read EXIF, XMP and resolution of an opened image. Damaged EXIF is kept, so that `tags_of_result` tells of it.

    EXIF of a TIFF file is built from the descriptive tags of its IFD0, its Exif IFD and its GPS IFD.

    Args:
        image: opened, its pixels not loaded: tags of TIFF and PNG are read from the file, which loading closes.

    Raises:
        ValueError: the pixels have been loaded.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return read_tags_of_tiff(_file(image))
    if isinstance(image, PngImagePlugin.PngImageFile):
        exif, xmp = _read_png(_file(image))
    else:
        exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    parsed = _parsed(exif.removeprefix(b"Exif\0\0"))
    return Tags(exif.removeprefix(b"Exif\0\0"), _packet(xmp), _dpi(image, parsed or Exif()))


def read_tags_of_tiff(file: BinaryIO) -> Tags:
    """Read EXIF, XMP and resolution of a TIFF file, and keep the file's position; damaged ones count as missing."""
    exif, xmp = _read_tiff(file)
    return Tags(exif, _packet(xmp), _dpi_of_exif(_parsed(exif) or Exif()))


def _packet(xmp: bytes) -> bytes:
    return xmp.rstrip(b"\0") if b"<" in xmp else b""


def has_adobe_rgb(structure: bytes) -> bool:
    """Whether EXIF, or the EXIF of a TIFF file, marks the colours as Adobe RGB, as DCF's option files do (DCF 2.0)."""
    try:
        reader = IfdReader(io.BytesIO(structure))
        below = reader.pointed_to(reader.directory(reader.first).entries.get(EXIF_IFD)).entries
    except IfdError:
        return False
    rules = reader.pointed_to(below.get(INTEROPERABILITY_IFD)).entries.get(_INTEROPERABILITY_INDEX)
    is_marked = integers(reader.order, below.get(_COLOR_SPACE)) == [_UNCALIBRATED]
    return is_marked and rules is not None and rules.raw.rstrip(b"\0") == _OPTION_FILE


def is_uncalibrated(exif: bytes) -> bool:
    """Whether EXIF says that the colours are not sRGB, without saying which they are."""
    found = _parsed(exif) or Exif()
    return integers(found.order, found.exif.get(_COLOR_SPACE)) == [_UNCALIBRATED]


def tags_of_result(  # noqa: PLR0913 - all but the first are named by callers
    tags: Tags, *, width: int, height: int, software: str, key: str, strip_gps: bool
) -> tuple[Tags, tuple[str, ...]]:
    """Make the tags of a result from those of its content.

    EXIF is copied, dates and MakerNote included, without its thumbnail and without tags about the source file only.
    Software is replaced. `impasto key` and the key are appended to ImageHistory (0x9213 in the Exif IFD, the tag of
    TIFF/EP for "what has been done to the image"). XMP is copied without its thumbnails and without properties that are
    false for the result: orientation, size, colour space, further pictures or a video in the file. The lengths of a
    panorama are scaled.

    Args:
        tags: tags of the content.
        width: width of the result in px.
        height: height of the result in px.
        software: name and version for the tag Software.
        key: key of the result, 64 hexadecimal digits.
        strip_gps: leave the position out of EXIF and XMP, and MakerNote, too, since it may hold one.

    Returns:
        The tags, and the losses in words.
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
    raw, lost_of_exif = _fitting(exif)
    xmp, lost_of_xmp = xmp_of_result(tags.xmp, (width, height), strip_gps=strip_gps)
    return Tags(raw, xmp, tags.dpi), (*lost, *lost_of_exif, *lost_of_xmp)


def _file(image: ImageFile.ImageFile) -> BinaryIO:
    if image.fp is None:
        msg = "read_tags needs the image before its pixels are loaded"
        raise ValueError(msg)
    return image.fp  # type: ignore[return-value]  # Pillow calls it IO[bytes]


def _read_tiff(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return EXIF and XMP of a TIFF file, and keep the file's position."""
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
    return write_structure(replace(found, main=main), keep_note=reachable), xmp


def _read_png(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return EXIF and XMP of a PNG file, even after the pixels, where exiftool writes it; keep the file's position."""
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
    """Decode ImageMagick's form: a line with the kind, a line with the length, lines of hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _parsed(exif: bytes) -> Exif | None:
    """Return EXIF; None if it is damaged."""
    try:
        return read_exif(io.BytesIO(exif))
    except EmptyIfdError:
        return Exif()
    except IfdError:
        return None


def _dpi(image: Image.Image, exif: Exif) -> tuple[float, float] | None:
    """Return the format's own resolution, else EXIF's. If a JPEG's JFIF has none, Pillow's value is ignored."""
    has_own = not isinstance(image, JpegImagePlugin.JpegImageFile) or image.info.get("jfif_unit") in (1, 2)
    match image.info.get("dpi") if has_own else None:
        case (int() | float() as across, int() | float() as down):
            return _plausible(across, down)
    return _dpi_of_exif(exif)


def _dpi_of_exif(exif: Exif) -> tuple[float, float] | None:
    unit = integers(exif.order, exif.main.get(_RESOLUTION_UNIT)) or [2]
    per_inch = {2: 1.0, 3: 2.54}.get(unit[0])
    match [integers(exif.order, exif.main.get(tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]:
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
        if tag >= 0x8000 and tag not in _OUTDATED and not _is_preview(each)  # noqa: PLR2004 - smaller tags are TIFF's own
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


def _history(previous: IfdEntry | None, key: str) -> IfdEntry:
    """Return ImageHistory with the key appended; a previous one that is too long is dropped."""
    note = f"impasto key {key}"
    text = previous.raw.rstrip(b"\0 ").decode("ascii", "replace") if previous and previous.kind == ASCII else ""
    return ascii_entry(f"{text}; {note}" if 0 < len(text) <= _MAX_HISTORY else note)


def _fitting(exif: Exif) -> tuple[bytes, list[str]]:
    """Return as much of EXIF as a JPEG's segment holds, and the losses in words."""
    for keep_note in (True, False):
        raw = write_structure(exif, keep_note=keep_note)
        if len(raw) <= MAX_EXIF:
            return raw, []

    def expendability(tag_and_directory: tuple[int, Directory]) -> tuple[bool, int]:
        tag, directory = tag_and_directory
        return tag == MAKER_NOTE, len(directory[tag].raw)

    parts: tuple[dict[int, IfdEntry], ...] = (dict(exif.main), dict(exif.exif), dict(exif.gps))
    optional = [(tag, part) for part in parts for tag in part if tag not in _REQUIRED]
    size, lost = len(raw), []
    for tag, part in sorted(optional, key=expendability, reverse=True):
        if size <= MAX_EXIF:
            break
        length = len(part.pop(tag).raw)
        size -= 12 + (length if length > 4 else 0)  # noqa: PLR2004 - shorter values are in the entry itself
        lost.append("MakerNote" if tag == MAKER_NOTE else f"tag {tag:#06x}")
    main, rest, gps = parts
    left_out = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")  # noqa: PLR2004
    raw = write_structure(replace(exif, main=main, exif=rest, gps=gps), keep_note=False)
    return raw, [f"EXIF is larger than a file can hold ({SEGMENT} bytes): {left_out} left out"]
