"""Tests of EXIF and XMP: reading tags from photographs, and making the tags of a result."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from pipeline.images.metadata.ifd import read_exif
from pipeline.images.metadata.tags import MAX_EXIF, read_tags, tags_of_result
from pipeline.images.metadata.xmp_of_result import MAX_XMP, SEGMENT
from pipeline.images.picture import Tags
from tests.conftest import photo
from tests.images.camera import (
    DATE,
    LATITUDE,
    NOTE,
    THUMBNAIL,
    camera_exif,
    camera_xmp,
    exif_tags,
    fractions,
    gps_tags,
    main_tags,
    numbers,
    structure,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "0123456789abcdef" * 4
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'


def result_of(tags: Tags, *, strip_gps: bool = False) -> tuple[Tags, tuple[str, ...]]:
    return tags_of_result(tags, width=30, height=20, software="impasto 0.1.0", key=KEY, strip_gps=strip_gps)


def by_pillow(exif: bytes) -> Image.Exif:
    """Return EXIF as Pillow reads it."""
    found = Image.Exif()
    found.load(b"Exif\0\0" + exif)
    return found


def saved(image_format: str, **options: object) -> bytes:
    """Return a picture that Pillow writes in a format."""
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, image_format, **options)
    return file.getvalue()


def tags_of(data: bytes) -> Tags:
    """Return the tags of a file; check that reading them leaves the file position."""
    with Image.open(io.BytesIO(data)) as image:
        position = image.fp.tell()
        found = read_tags(image)
        assert image.fp.tell() == position
        return found


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiff_file(order: str, main: Mapping[int, tuple[int, int, bytes]], **parts: object) -> bytes:
    height, width, _ = photo().shape
    built = {
        0x100: numbers(order, "I", width),
        0x101: numbers(order, "I", height),
        0x102: numbers(order, "H", 8, 8, 8),
        0x103: numbers(order, "H", 1),
        0x106: numbers(order, "H", 2),
        0x115: numbers(order, "H", 3),
        0x116: numbers(order, "I", height),
    }
    return structure(order, {**main, **built}, strip=photo().tobytes(), **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "MPO"])
def test_tags_are_read_as_they_stand(image_format: str) -> None:
    data = saved(image_format, exif=b"Exif\0\0" + camera_exif(), **({} if image_format == "MPO" else {"xmp": b"<x/>"}))
    if image_format == "PNG":
        data = data[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>") + data[33:]
    tags = tags_of(data)
    assert tags.exif == camera_exif()
    assert tags.xmp == (b"" if image_format == "MPO" else b"<x/>")
    assert tags.dpi == (300, 300)


def test_png_tags_behind_the_pixels_are_read_too() -> None:
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(camera_xmp()))
    data = saved("PNG")
    assert tags_of(data[:-12] + chunk(b"eXIf", camera_exif(">")) + xmp + data[-12:]) == Tags(
        camera_exif(">"), camera_xmp(), (300, 300)
    )


@pytest.mark.parametrize("kind", [b"zTXt", b"tEXt"])
def test_exif_is_read_from_imagemagicks_png_profile(kind: bytes) -> None:
    digits = (b"Exif\0\0" + camera_exif()).hex().encode()
    profile = b"\nexif\n    %d\n%s\n" % (len(digits), digits)
    stored = b"\0" + zlib.compress(profile) if kind == b"zTXt" else profile
    data = saved("PNG")
    data = data[:33] + chunk(kind, b"Raw profile type exif\0" + stored) + data[33:]
    assert tags_of(data).exif == camera_exif()


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_gives_its_descriptive_tags_only(order: str) -> None:
    xmp = {700: (1, len(camera_xmp()), camera_xmp())}
    data = tiff_file(order, {**main_tags(order), **xmp}, exif=exif_tags(order), gps=gps_tags(order))
    with Image.open(io.BytesIO(data)) as image:
        tags = read_tags(image)
        assert image.convert("RGB").tobytes() == photo().tobytes(), "the pixels can be read after the tags"
    assert tags.xmp == camera_xmp()
    assert tags.dpi == (300, 300)
    exif = by_pillow(tags.exif)
    assert set(exif) == {0x10E, 0x10F, 0x110, 0x112, 0x11A, 0x11B, 0x128, 0x131, 0x132, 0x13B, 0x8298, 0x8769, 0x8825}
    assert set(exif.get_ifd(ExifTags.IFD.Exif)) == set(exif_tags(order))
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (48, 51, 29.9)
    assert struct.pack(f"{order}II", 10, 1250) in tags.exif, "fractions are not reduced"
    at = data.index(NOTE)
    assert tags.exif[at : at + len(NOTE)] == NOTE


def test_a_bigtiff_is_read() -> None:
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "TIFF", tiffinfo={0x10F: "Leica"}, big_tiff=True)
    assert by_pillow(tags_of(file.getvalue()).exif)[0x10F] == "Leica"


def test_a_plain_tiff_without_description_has_no_exif() -> None:
    assert tags_of(tiff_file("<", {})) == Tags()


def test_tags_cannot_be_read_after_the_file_is_closed() -> None:
    with Image.open(io.BytesIO(tiff_file("<", {}))) as image:
        image.fp = None
        with pytest.raises(ValueError, match="before its pixels are loaded"):
            read_tags(image)


@pytest.mark.parametrize(
    ("data", "dpi"),
    [
        (saved("JPEG", dpi=(240, 120)), (240, 120)),
        (saved("JPEG", dpi=(240, 240), exif=b"Exif\0\0" + camera_exif()), (240, 240)),
        (saved("JPEG", exif=b"Exif\0\0" + camera_exif()), (300, 300)),
        (saved("JPEG", exif=b"Exif\0\0" + camera_exif(dpi=None)), None),
        (saved("JPEG"), None),
        (saved("WEBP", exif=b"Exif\0\0" + camera_exif(">", dpi=72)), (72, 72)),
        (saved("PNG", dpi=(300, 150)), pytest.approx((300, 150), abs=0.02)),
        (saved("PNG", exif=camera_exif()), (300, 300)),
        (tiff_file("<", {0x11A: fractions("<", 100, 1), 0x11B: fractions("<", 50, 1)}), (100, 50)),
        (
            tiff_file("<", {0x128: numbers("<", "H", 3)} | {tag: fractions("<", 100, 1) for tag in (0x11A, 0x11B)}),
            (254, 254),
        ),
        (
            tiff_file("<", {0x128: numbers("<", "H", 1)} | {tag: fractions("<", 100, 1) for tag in (0x11A, 0x11B)}),
            None,
        ),
        (tiff_file("<", {0x11A: fractions("<", 100, 0), 0x11B: fractions("<", 50, 0)}), None),
        (tiff_file("<", {0x11A: fractions("<", 1, 1000), 0x11B: fractions("<", 1, 1000)}), None),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_resolution_is_the_formats_own_or_else_that_of_exif(data: bytes, dpi: object) -> None:
    assert tags_of(data).dpi == dpi


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_a_camera_wrote_is_copied(order: str) -> None:
    tags, warnings = result_of(Tags(camera_exif(order), b"", (300.0, 300.0)))
    assert warnings == ()
    assert tags.dpi == (300, 300)
    exif = by_pillow(tags.exif)
    below = exif.get_ifd(ExifTags.IFD.Exif)
    assert exif[0x10E] == "Harbour at dusk"
    assert (exif[0x10F], exif[0x110], exif[0x13B], exif[0x8298]) == (
        *("NIKON CORPORATION", "NIKON D850"),
        *("A. Painter", "CC BY"),
    )
    assert exif[0x132] == below[0x9003] == DATE.decode()
    assert (below[0x9011], below[0xA434], below[0x8827]) == ("+02:00", "NIKKOR 35mm f/1.8", 400)
    assert float(below[0x9201]) == pytest.approx(-7 / 3)
    assert below[0x9286] == b"ASCII\0\0\0dusk"
    assert struct.pack(f"{order}II", 10, 1250) in tags.exif, "fractions are not reduced"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[4] == (2, 17, 40.11)
    assert below[0x927C] == NOTE


def test_maker_note_stays_where_its_pointers_count_from() -> None:
    source = camera_exif()
    at = source.index(NOTE)
    assert result_of(Tags(source))[0].exif.index(NOTE) == at
    tags, _ = result_of(Tags(with_early_note()))
    assert by_pillow(tags.exif).get_ifd(ExifTags.IFD.Exif)[0x927C] == NOTE
    assert by_pillow(tags.exif)[0x131] == "impasto 0.1.0"


def with_early_note() -> bytes:
    """Return EXIF whose MakerNote is where the result's IFD0 must be."""
    note = NOTE + bytes(len(NOTE) % 2)
    first = 8 + len(note)
    pointer = struct.pack("<HHHIII", 1, 0x8769, 4, 1, first + 18, 0)
    return b"II*\0" + struct.pack("<I", first) + note + pointer + struct.pack("<HHHIII", 1, 0x927C, 7, len(NOTE), 8, 0)


def test_values_begin_at_even_offsets() -> None:
    exif = result_of(Tags(camera_exif()))[0].exif
    assert len(b"NIKON D850\0") % 2 == 1  # its length is odd, so the next value is moved by a byte
    assert [exif.index(value) % 2 for value in (b"NIKON D850\0", DATE, b"A. Painter\0", b"CC BY\0")] == [0] * 4


def test_of_damaged_exif_the_rest_is_kept() -> None:
    def broken(tag: int, kind: int, count: int) -> bytes:
        entry = struct.pack("<HHI", tag, kind, count)
        at = camera_exif().index(entry) + len(entry)
        return camera_exif()[:at] + b"\xf0\xff\xff\0" + camera_exif()[at + 4 :]

    exif = by_pillow(result_of(Tags(broken(0xA434, 2, 18)))[0].exif)
    assert 0xA434 not in exif.get_ifd(ExifTags.IFD.Exif)
    assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == DATE.decode()
    exif = by_pillow(result_of(Tags(broken(0x8769, 4, 1)))[0].exif)
    assert 0x9003 not in exif.get_ifd(ExifTags.IFD.Exif)
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"no TIFF at all", camera_exif()[:10], b"II*\0\xff\xff\0\0"])
def test_exif_without_any_directory_is_left_out_with_a_warning(image_format: str, exif: bytes) -> None:
    tags, warnings = result_of(tags_of(saved(image_format, exif=b"Exif\0\0" + exif)))
    assert by_pillow(tags.exif)[0x112] == 1
    assert warnings == ("EXIF was damaged and is left out",)


@pytest.mark.parametrize("exif", [b"", b"II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_exif_without_entries_is_no_damage(exif: bytes) -> None:
    assert result_of(Tags(exif))[1] == ()


@pytest.mark.parametrize("source", [camera_exif("<", orientation=6), camera_exif(">", orientation=6), b""])
def test_what_the_result_says_of_itself(source: bytes) -> None:
    tags, _ = result_of(Tags(source, b"", (150.0, 75.5)))
    exif = by_pillow(tags.exif)
    below = exif.get_ifd(ExifTags.IFD.Exif)
    assert exif[ExifTags.Base.Orientation] == 1
    assert exif[ExifTags.Base.Software] == "impasto 0.1.0"
    assert below[0x9213] == f"impasto key {KEY}"
    assert (below[0xA001], below[0xA002], below[0xA003]) == (1, 30, 20)
    assert (exif[0x11A], exif[0x11B], exif[0x128]) == (150, 75.5, 2)
    assert below[0x9000] == (b"0231" if source else b"0232")


def test_what_is_about_the_source_file_is_dropped() -> None:
    preview = {0xFDEB: (7, len(THUMBNAIL), THUMBNAIL)}
    source = structure(
        "<",
        main_tags("<"),
        exif=exif_tags("<") | preview | {0x111: text(b"strip")},
        thumbnail=THUMBNAIL,
    )
    tags, _ = result_of(Tags(source))
    exif = by_pillow(tags.exif)
    assert exif.get_ifd(ExifTags.IFD.IFD1) == {}
    assert b"THUMBNAIL" not in tags.exif
    assert b"R03" not in tags.exif, "the result does not claim Adobe RGB"
    assert not {0x213, 0xC4A5} & set(exif)
    assert not {0x9214, 0xA005, 0x111} & set(exif.get_ifd(ExifTags.IFD.Exif))


def test_history_grows() -> None:
    once, _ = result_of(Tags(camera_exif()))
    twice, _ = result_of(once)
    history = by_pillow(twice.exif).get_ifd(ExifTags.IFD.Exif)[0x9213]
    assert history == f"impasto key {KEY}; impasto key {KEY}"


@pytest.mark.parametrize("order", ["<", ">"])
def test_no_position_remains_if_it_is_to_be_stripped(order: str) -> None:
    source = Tags(camera_exif(order, note=b"Nikon\0" + LATITUDE.encode()), camera_xmp())
    marks = [LATITUDE.encode(), b"2,17.6685E", struct.pack(f"{order}II", 2990, 100), b"WGS-84"]
    kept, warnings = result_of(source)
    assert warnings == ()
    assert all(mark in kept.exif + kept.xmp for mark in marks)
    stripped, warnings = result_of(source, strip_gps=True)
    assert [mark for mark in marks if mark in stripped.exif + stripped.xmp] == []
    assert b"GPS" not in stripped.xmp
    assert not by_pillow(stripped.exif).get_ifd(ExifTags.IFD.GPSInfo)
    assert 0x8825 not in by_pillow(stripped.exif)
    assert by_pillow(stripped.exif)[0x10F] == "NIKON CORPORATION"
    assert len(warnings) == 1
    assert "MakerNote" in warnings[0]


def test_a_position_of_any_namespace_is_stripped_from_xmp() -> None:
    xmp = (
        f'<r:RDF {RDF.replace("rdf=", "r=")}><r:Description xmlns:d="urn:drone" xmlns:g='
        '"http://www.w3.org/2003/01/geo/wgs84_pos#" d:GpsLatitude="11.5" d:GPSLongtitude="22.5" g:lat="33.5">'
        "<d:Shown><d:Place><d:Longitude>44.5</d:Longitude>Oslo</d:Place></d:Shown></r:Description></r:RDF>"
    ).encode()
    stripped, _ = result_of(Tags(b"", xmp), strip_gps=True)
    assert ET.fromstring(stripped.xmp) is not None  # noqa: S314 - the packet is our own
    assert [mark for mark in (b"11.5", b"22.5", b"33.5", b"44.5") if mark in stripped.xmp] == []
    assert b"<d:Place>Oslo</d:Place>" in stripped.xmp
    assert result_of(Tags(b"", xmp))[0].xmp == xmp


def test_xmp_is_kept_but_for_what_has_become_false() -> None:
    source = camera_xmp(orientation=6)
    tags, warnings = result_of(Tags(b"", source))
    assert warnings == ()
    expected = source.replace(b' tiff:Orientation="6"', b"").replace(b"<t:Orientation>6</t:Orientation>", b"")
    begin, end = expected.index(b"<xmp:Thumbnails>"), expected.index(b"</xmp:Thumbnails>") + len(b"</xmp:Thumbnails>")
    assert tags.xmp == expected[:begin] + expected[end:]
    assert b"""q:odd="a > b, tiff:Orientation='7'\"""" in tags.xmp


def described(*properties: str, attributes: str = "") -> bytes:
    names = {
        "GCamera": "http://ns.google.com/photos/1.0/camera/",
        "GPano": "http://ns.google.com/photos/1.0/panorama/",
        "GAudio": "http://ns.google.com/photos/1.0/audio/",
        "Device": "http://ns.google.com/photos/dd/1.0/device/",
        "OpCamera": "http://ns.oplus.com/photos/1.0/camera/",
        "MiCamera": "http://ns.xiaomi.com/photos/1.0/camera/",
        "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
        "apple-fi": "http://ns.apple.com/faceinfo/1.0/",
        "dc": "http://purl.org/dc/elements/1.1/",
    }
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in names.items())
    inner = "".join(properties)
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>'
        f"<rdf:Description {declared} {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def test_a_result_does_not_say_that_it_holds_a_video_or_further_pictures() -> None:
    attributes = (
        'GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="2000" OpCamera:VideoLength="7" dc:format="image/jpeg"'
    )
    inner = (
        "<GAudio:Mime>audio/mp4</GAudio:Mime><MiCamera:XMPMeta>x</MiCamera:XMPMeta>"
        "<Device:Container>a</Device:Container><HDRGainMap:HDRGainMapVersion>1</HDRGainMap:HDRGainMapVersion>"
    )
    kept = "<apple-fi:Regions>a face</apple-fi:Regions>"
    tags, warnings = result_of(Tags(b"", described(inner, kept, attributes=attributes)))
    assert tags.xmp.split() == described(kept, attributes='dc:format="image/jpeg"').split()
    assert warnings == ()


LENGTHS = {
    "FullPanoWidthPixels": 8000,
    "FullPanoHeightPixels": 4000,
    "CroppedAreaImageWidthPixels": 6000,
    "CroppedAreaImageHeightPixels": 1000,
    "CroppedAreaLeftPixels": 900,
    "CroppedAreaTopPixels": 1500,
}


@pytest.mark.parametrize("as_elements", [False, True])
def test_the_lengths_of_a_panorama_are_those_of_the_result(as_elements: bool) -> None:  # noqa: FBT001
    def packet(factor: float) -> bytes:
        lengths = {name: round(length * factor) for name, length in LENGTHS.items()}
        if as_elements:
            return described(
                "<GPano:ProjectionType>equirectangular</GPano:ProjectionType>",
                *(f"<GPano:{name}>{length}</GPano:{name}>" for name, length in lengths.items()),
            )
        attributes = " ".join(f'GPano:{name}="{length}"' for name, length in lengths.items())
        return described(attributes=f"GPano:ProjectionType='equirectangular' {attributes}")

    tags, _ = tags_of_result(Tags(b"", packet(1)), width=600, height=100, software="x", key=KEY, strip_gps=False)
    assert tags.xmp == packet(0.1)


@pytest.mark.parametrize("area", ["", "0", "wide", "900", "9" * 400, "9" * 5000])
def test_lengths_of_a_panorama_that_cannot_be_scaled_are_left_out(area: str) -> None:
    attributes = f'GPano:FullPanoWidthPixels="8000" GPano:CroppedAreaImageWidthPixels="{area}"'
    more = "<GPano:CroppedAreaImageHeightPixels>1000</GPano:CroppedAreaImageHeightPixels><dc:format>a</dc:format>"
    tags, _ = tags_of_result(
        Tags(b"", described(more, attributes=attributes)), width=600, height=100, software="x", key=KEY, strip_gps=False
    )
    assert b"Pixels" not in tags.xmp
    assert b"<dc:format>a</dc:format>" in tags.xmp


@pytest.mark.parametrize("length", ["9" * 400, "9" * 5000, "-1", ""])
def test_a_length_of_a_panorama_that_no_picture_has_is_left_out_alone(length: str) -> None:
    attributes = f'GPano:FullPanoWidthPixels="{length}" GPano:CroppedAreaImageWidthPixels="6000"'
    more = 'GPano:CroppedAreaImageHeightPixels="1000"'
    packet = described(attributes=f"{attributes} {more}")
    tags, _ = tags_of_result(Tags(b"", packet), width=600, height=100, software="x", key=KEY, strip_gps=False)
    assert b"FullPano" not in tags.xmp
    assert b'GPano:CroppedAreaImageWidthPixels="600" GPano:CroppedAreaImageHeightPixels="100"' in tags.xmp


@pytest.mark.parametrize("where", ["<a{}/>", "<dc:format>{}</dc:format>", "{}<?other?>"])
def test_millions_of_spaces_in_xmp_take_no_hours(where: str) -> None:
    _, warnings = result_of(Tags(b"", described(where.format(" " * 4_000_000))))
    assert warnings == (f"XMP is larger than a file can hold ({SEGMENT} bytes) and is left out",)


@pytest.mark.parametrize(
    ("xmp", "why"),
    [
        (b"<x:xmpmeta", "cannot be read"),
        (b"<a><b></a></b>", "cannot be read"),
        (b"<a>no RDF</a>", "no rdf:RDF"),
        (camera_xmp().decode().encode("utf-16"), "cannot be read"),
        (camera_xmp().replace("é".encode(), b"\xe9"), "cannot be read"),
        (b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>', "document type"),
        (f"<rdf:RDF {RDF}>".encode() + b"<a>" * 200 + b"</a>" * 200 + b"</rdf:RDF>", "nested deeper"),
        (f"<rdf:RDF {RDF}>".encode() + b"x" * MAX_XMP + b"</rdf:RDF>", "larger than a file can hold"),
        (b"<" * ((16 << 20) + 1), "larger than 16 MB"),
        (described(attributes=" ".join(f'xmlns:n{each}="u"' for each in range(501))), "more than 500 namespaces"),
    ],
    ids=range(10),
)
def test_xmp_that_cannot_be_used_is_dropped_with_a_warning(xmp: bytes, why: str) -> None:
    tags, warnings = result_of(Tags(camera_exif(), xmp))
    assert tags.xmp == b""
    assert len(warnings) == 1
    assert "XMP" in warnings[0]
    assert why in warnings[0]
    assert by_pillow(tags.exif)[0x10F] == "NIKON CORPORATION"


def test_padding_makes_room_for_xmp() -> None:
    packet = camera_xmp().replace(b"\n<?xpacket end", b" " * MAX_XMP + b"<?xpacket end")
    tags, warnings = result_of(Tags(b"", packet))
    assert warnings == ()
    assert tags.xmp == result_of(Tags(b"", camera_xmp()))[0].xmp


def test_the_extension_of_xmp_is_reported_lost() -> None:
    note = b'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="0123" xmp:Rating'
    tags, warnings = result_of(Tags(b"", camera_xmp().replace(b"xmp:Rating", note)))
    assert b"HasExtendedXMP" not in tags.xmp
    assert len(warnings) == 1
    assert "extension" in warnings[0]


@pytest.mark.parametrize("comment", [64_000, 70_000])
def test_of_too_much_exif_maker_note_goes_first(comment: int) -> None:
    below = exif_tags(">", bytes(60_000)) | {0x9286: (7, comment, bytes(comment))}
    tags, (warning,) = result_of(Tags(structure(">", main_tags(">"), exif=below, gps=gps_tags(">"))))
    assert len(tags.exif) <= MAX_EXIF
    exif = by_pillow(tags.exif)
    rest = exif.get_ifd(ExifTags.IFD.Exif)
    assert 0x927C not in rest
    assert (0x9286 in rest) == (comment == 64_000)
    assert "MakerNote" in warning
    assert ("0x9286" in warning) == (comment == 70_000)
    assert exif[0x10F] == "NIKON CORPORATION"
    assert rest[0x9003] == DATE.decode()
    assert rest[0x9213] == f"impasto key {KEY}"


def test_maker_note_moves_before_it_is_dropped() -> None:
    late = structure("<", main_tags("<"), exif=exif_tags("<", bytes(30_000)) | {0x8000: (7, 45_000, bytes(45_000))})
    source = read_exif(io.BytesIO(late))
    assert source.note_at is not None
    assert source.note_at + 30_000 > MAX_EXIF
    smaller = late.replace(struct.pack("<HHI", 0x8000, 7, 45_000), struct.pack("<HHI", 0x8000, 7, 4))
    tags, warnings = result_of(Tags(smaller))
    assert warnings == ()
    assert len(by_pillow(tags.exif).get_ifd(ExifTags.IFD.Exif)[0x927C]) == 30_000


def test_a_great_many_small_tags_are_cut_quickly() -> None:
    many = structure("<", {}, exif={tag: (1, 4, b"abcd") for tag in range(0x8000, 0xFFFF) if tag != 0xA005})
    tags, (warning,) = result_of(Tags(many))
    assert len(tags.exif) <= MAX_EXIF
    assert "more" in warning
    assert by_pillow(tags.exif)[0x131] == "impasto 0.1.0"


@pytest.mark.parametrize("order", ["<", ">"])
def test_damaged_exif_never_raises(order: str, *, exhaustive: bool) -> None:
    whole, chance = camera_exif(order), random.Random(0)  # noqa: S311 - not used for security
    damaged = [whole[:end] for end in range(0, len(whole), 1 if exhaustive else 7)]
    for _ in range(20_000 if exhaustive else 400):
        flipped = bytearray(whole)
        for _ in range(chance.choice([1, 3, 30])):
            flipped[chance.randrange(len(whole))] = chance.choice([0, 1, 255, chance.randrange(256)])
        damaged.append(bytes(flipped))
    damaged += [b"", b"II", b"MM\0*\xff\xff\xff\xff", b"II+\0\x08\0\0\0", chance.randbytes(500)]
    plain = saved("PNG")
    for exif in damaged:
        read = tags_of(plain[:33] + chunk(b"eXIf", exif) + plain[33:])
        assert read.exif in (exif, b"")
        for tags in (read, Tags(exif)):
            result, _ = result_of(tags)
            assert by_pillow(result.exif)[0x112] == 1
            assert len(result.exif) <= MAX_EXIF


def test_overlapping_values_do_not_exhaust_memory() -> None:
    rows = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(0x9000, 0x9000 + 5000))
    bomb = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0) + struct.pack("<H", 5000) + rows + bytes(4)
    found = read_exif(io.BytesIO(bomb))
    assert sum(len(each.raw) for each in found.exif.values()) <= len(bomb)


def test_damaged_xmp_never_raises() -> None:
    whole, chance = camera_xmp(), random.Random(0)  # noqa: S311 - not used for security
    for _ in range(500):
        flipped = bytearray(whole)
        for _ in range(chance.choice([1, 2])):
            flipped[chance.randrange(len(whole))] = chance.choice(b"<>/\"' &;\0\xff")
        tags, warnings = result_of(Tags(b"", bytes(flipped)), strip_gps=True)
        assert bool(tags.xmp) != bool(warnings)
        if tags.xmp:
            ET.fromstring(tags.xmp)  # noqa: S314 - the packet is our own


def test_garbage_xmp_is_not_read() -> None:
    assert tags_of(saved("JPEG", xmp=b"no packet at all")).xmp == b""
    assert tags_of(saved("JPEG", xmp=camera_xmp() + bytes(9))).xmp == camera_xmp()


def test_tags_of_an_unread_result_can_be_made_from_pillows_own() -> None:
    """Compare with the structure that Pillow writes, with a MakerNote."""
    exif = Image.Exif()
    exif[0x10F] = "Ricoh"
    exif[0x8769] = {0x9003: DATE.decode(), 0x927C: NOTE}
    exif[0x8825] = {1: "N", 2: tuple(map(TiffImagePlugin.IFDRational, (48, 51, 29)))}
    tags, _ = result_of(tags_of(saved("JPEG", exif=exif)))
    assert by_pillow(tags.exif).get_ifd(ExifTags.IFD.Exif)[0x927C] == NOTE
