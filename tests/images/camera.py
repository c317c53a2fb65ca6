"""EXIF and XMP as cameras write them, built by hand for tests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = tuple[int, int, bytes]
"""Value of a TIFF tag: type, count, and bytes in the file's byte order."""

LATITUDE = "48,51.4983N"
THUMBNAIL = b"\xff\xd8\xff\xdb THUMBNAIL \xff\xd9"
NOTE = b"Nikon\0\x02\x10\0\0" + bytes(range(1, 200))
"""MakerNote of unknown structure."""
DATE = b"2021:06:05 04:03:02"


def text(value: bytes) -> Value:
    return 2, len(value) + 1, value + b"\0"


def numbers(order: str, letter: str, *values: int) -> Value:
    kind = {"B": 1, "H": 3, "I": 4}[letter]
    return kind, len(values), struct.pack(f"{order}{len(values)}{letter}", *values)


def fractions(order: str, *values: int) -> Value:
    return 5, len(values) // 2, struct.pack(f"{order}{len(values)}I", *values)


def main_tags(order: str, *, orientation: int = 1, dpi: int | None = 300) -> dict[int, Value]:
    resolution = {
        0x11A: fractions(order, dpi or 1, 1),
        0x11B: fractions(order, dpi or 1, 1),
        0x128: numbers(order, "H", 2),
    }
    return {
        0x10E: text(b"Harbour at dusk"),
        0x10F: text(b"NIKON CORPORATION"),
        0x110: text(b"NIKON D850"),
        0x112: numbers(order, "H", orientation),
        **(resolution if dpi else {}),
        0x131: text(b"Ver.1.00"),
        0x132: text(DATE),
        0x13B: text(b"A. Painter"),
        0x213: numbers(order, "H", 2),
        0x8298: text(b"CC BY"),
        0xC4A5: (7, 20, b"PrintIM\0" + bytes(12)),
    }


def exif_tags(order: str, note: bytes = NOTE, *, srgb: bool = False) -> dict[int, Value]:
    return {
        0x829A: fractions(order, 10, 1250),  # the fraction is not reduced
        0x829D: fractions(order, 28, 10),
        0x8827: numbers(order, "H", 400),
        0x9000: (7, 4, b"0231"),
        0x9003: text(DATE),
        0x9011: text(b"+02:00"),
        0x9201: (10, 1, struct.pack(f"{order}ii", -7, 3)),
        0x9214: numbers(order, "H", 4000, 3000, 50, 60),
        0x927C: (7, len(note), note),
        0x9286: (7, 12, b"ASCII\0\0\0dusk"),
        0xA001: numbers(order, "H", 1 if srgb else 0xFFFF),
        0xA002: numbers(order, "I", 8256),
        0xA003: numbers(order, "I", 5504),
        0xA434: text(b"NIKKOR 35mm f/1.8"),
    }


def gps_tags(order: str) -> dict[int, Value]:
    return {
        0: numbers(order, "B", 2, 3, 0, 0),
        1: text(b"N"),
        2: fractions(order, 48, 1, 51, 1, 2990, 100),
        3: text(b"E"),
        4: fractions(order, 2, 1, 17, 1, 4011, 100),
        0x12: text(b"WGS-84"),
    }


def structure(  # noqa: PLR0913 - all but the first two are keywords
    order: str,
    main: Mapping[int, Value],
    *,
    exif: Mapping[int, Value] | None = None,
    gps: Mapping[int, Value] | None = None,
    thumbnail: bytes = b"",
    strip: bytes = b"",
    srgb: bool = False,
) -> bytes:
    """Return a TIFF structure: IFD0, with an interoperability IFD below the Exif IFD, and IFD1.

    Args:
        order: `<` or `>`.
        main: tags of IFD0.
        exif: tags of the Exif IFD.
        gps: tags of the GPS IFD.
        thumbnail: JPEG in IFD1.
        strip: pixels of a TIFF file.
        srgb: whether the interoperability IFD says sRGB, not Adobe RGB.
    """
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def place(block: bytes) -> int:
        data.extend(bytes(len(data) % 2))
        data.extend(block)
        return len(data) - len(block)

    def table_size(count: int) -> int:
        return 2 + 12 * count + 4

    def directory(tags: Mapping[int, Value], following: int = 0, at: int = 0) -> int:
        at = at or place(bytes(table_size(len(tags))))
        rows = []
        for tag, (kind, count, raw) in sorted(tags.items()):
            value = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(f"{order}I", place(raw))
            rows.append(struct.pack(f"{order}HHI", tag, kind, count) + value)
        table = struct.pack(f"{order}H", len(rows)) + b"".join(rows) + struct.pack(f"{order}I", following)
        data[at : at + len(table)] = table
        return at

    def pointer(at: int) -> Value:
        return numbers(order, "I", at)

    tags = dict(main)
    first = place(bytes(table_size(len(tags) + bool(exif) + bool(gps) + 2 * bool(strip))))
    if exif:
        tags[0x8769] = pointer(directory({**exif, 0xA005: pointer(directory({1: text(b"R98" if srgb else b"R03")}))}))
    if gps:
        tags[0x8825] = pointer(directory(gps))
    if strip:
        tags |= {0x111: pointer(place(strip)), 0x117: pointer(len(strip))}
    following = 0
    if thumbnail:
        following = directory({0x103: numbers(order, "H", 6), 0x201: pointer(place(thumbnail)), 0x202: pointer(32)})
    data[4:8] = struct.pack(f"{order}I", directory(tags, following, first))
    return bytes(data)


def camera_exif(
    order: str = "<", *, orientation: int = 1, dpi: int | None = 300, note: bytes = NOTE, srgb: bool = False
) -> bytes:
    return structure(
        order,
        main_tags(order, orientation=orientation, dpi=dpi),
        exif=exif_tags(order, note, srgb=srgb),
        gps=gps_tags(order),
        thumbnail=THUMBNAIL,
        srgb=srgb,
    )


def camera_xmp(orientation: int = 1) -> bytes:
    """Return XMP with a position and an orientation, as attributes and as elements, and a thumbnail."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
  xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:q="urn:x"
  q:odd="a > b, tiff:Orientation='7'" tiff:Orientation="{orientation}" xmp:Rating='4'
  exif:GPSLatitude="{LATITUDE}">
  <exif:GPSLongitude>2,17.6685E</exif:GPSLongitude><exif:GPSMapDatum/>
  <dc:subject><rdf:Bag><rdf:li>harbour — déjà vu</rdf:li></rdf:Bag></dc:subject>
  <xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><xmp:image>THUMBNAIL</xmp:image></rdf:li></rdf:Alt>
  </xmp:Thumbnails>
</rdf:Description>
<rdf:Description rdf:about="" xmlns:t="http://ns.adobe.com/tiff/1.0/"><t:Orientation>{orientation}</t:Orientation>
<t:Artist>A. Painter</t:Artist></rdf:Description>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()
