"""Tests of the way from a photograph to a result: each kind of file is read, written as each kind, and read again.

Sources are made by Pillow or by hand, never by the code under test; what they should look like says littleCMS through
Pillow, with 8 bits.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from pipeline.images.colour.icc import SRGB
from pipeline.images.decode import SourceFile, decode
from pipeline.images.encode import Encoding, encode, has_alpha
from pipeline.images.metadata.tags import tags_of_result
from pipeline.images.picture import Picture, Plane
from tests.conftest import photo
from tests.images.camera import DATE, THUMBNAIL, camera_exif, camera_xmp, exif_tags, gps_tags, main_tags, numbers
from tests.images.camera import structure as tiff_structure
from tests.images.profiles import ADOBE_RGB, CMYK, DISPLAY_P3, GREY

WIDTH, HEIGHT = 40, 28
KEY = "ab" * 32
NO_PROFILE = b""
PROFILES = {
    "srgb": NO_PROFILE,
    "display-p3": DISPLAY_P3,
    "adobe-rgb": ADOBE_RGB,
    "adobe-rgb-exif": NO_PROFILE,
    "grey": NO_PROFILE,
    "grey-profile": GREY,
    "cmyk": CMYK,
    "palette": NO_PROFILE,
    "alpha": NO_PROFILE,
    "alpha-p3": DISPLAY_P3,
}
RGB_AND_GREY = ["srgb", "display-p3", "adobe-rgb", "grey", "grey-profile"]
ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif"}
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""Functions from stored to upright pixels, by EXIF's orientation."""


@dataclass(frozen=True)
class Cell:
    """A kind of source file: format, bits per channel, colour, and EXIF orientation."""

    format: str
    bits: int
    colour: str
    orientation: int

    def __str__(self) -> str:
        return f"{self.format}{self.bits}-{self.colour}-o{self.orientation}"


KINDS = [
    *(("JPEG", 8, colour) for colour in [*RGB_AND_GREY, "adobe-rgb-exif", "cmyk"]),
    *(("PNG", 8, colour) for colour in [*RGB_AND_GREY, "palette", "alpha", "alpha-p3"]),
    *(("PNG", 16, colour) for colour in [*RGB_AND_GREY, "alpha", "alpha-p3"]),
    *(("WEBP", 8, colour) for colour in ["srgb", "display-p3", "adobe-rgb", "alpha", "alpha-p3"]),
    *(("TIFF", 8, colour) for colour in [*RGB_AND_GREY, "cmyk", "palette", "alpha", "alpha-p3"]),
    *(("TIFF", 16, colour) for colour in [*RGB_AND_GREY, "alpha", "alpha-p3"]),
]
CELLS = [Cell(*kind, orientation) for kind in KINDS for orientation in TURNS]
SOME = [Cell(*kind, orientation) for place, kind in enumerate(KINDS) for orientation in (1 + place % 4, 5 + place % 4)]
"""Cells of the normal suite: two sources of each kind, which together have all orientations."""
OUTPUTS = [
    Encoding("jpeg", jpeg_quality=100),
    Encoding("png"),
    Encoding("png", 16),
    Encoding("webp"),
    Encoding("tiff"),
    Encoding("tiff", 16),
]


@cache
def alpha_plane() -> Plane:
    """Return stored alpha in steps of 1 / 255: a third is invisible, a third is opaque."""
    ramp = np.clip(np.linspace(-1, 2, WIDTH * HEIGHT), 0, 1).reshape(HEIGHT, WIDTH)
    return (np.round(ramp * 255) / 255).astype(np.float32)


def stored(cell: Cell) -> Image.Image:
    """Return the picture as the file stores it, 8 bits."""
    image = Image.fromarray(photo(WIDTH, HEIGHT, seed=3))
    if cell.colour.startswith("grey"):
        return image.convert("L")
    if cell.colour == "cmyk":
        return Image.merge("CMYK", [*image.split(), Image.fromarray(photo(WIDTH, HEIGHT, seed=5)[:, :, 0] // 3)])
    if cell.colour == "palette":
        return image.quantize(200)
    if cell.colour.startswith("alpha"):
        image.putalpha(Image.fromarray(np.round(alpha_plane() * 255).astype(np.uint8)))
    return image


@cache
def source(cell: Cell) -> bytes:
    """Return the source file of a cell."""
    image, icc = stored(cell), PROFILES[cell.colour]
    order, is_srgb = "<>"[cell.orientation % 2], cell.colour != "adobe-rgb-exif"
    exif = camera_exif(order, orientation=cell.orientation, srgb=is_srgb)
    xmp = camera_xmp(cell.orientation)
    if cell.format == "TIFF":
        return tiff(cell, image, icc)
    if cell.format == "PNG":
        return png(cell, image, {b"iCCP": b"x\0\0" + zlib.compress(icc) if icc else b"", b"eXIf": exif})
    file = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if cell.format == "JPEG" else {"lossless": True, "exact": True}
    image.save(file, cell.format, exif=b"Exif\0\0" + exif, xmp=xmp, icc_profile=icc, **options)
    return file.getvalue()


def samples(cell: Cell, image: Image.Image, order: str) -> bytes:
    values = np.asarray(image)
    return (
        (values.astype(f"{order}u2") * 257 if cell.bits == 16 else values).astype(f"{order}u{cell.bits // 8}").tobytes()
    )


def png(cell: Cell, image: Image.Image, chunks: dict[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    colour = {"L": 0, "RGB": 2, "P": 3, "RGBA": 6}[image.mode]
    rows = np.frombuffer(samples(cell, image, ">"), np.uint8).reshape(HEIGHT, -1)
    unfiltered = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    palette = bytes(image.getpalette() or ())
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, cell.bits, colour, 0, 0, 0)),
            *(chunk(kind, content) for kind, content in chunks.items() if content),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + camera_xmp(cell.orientation)),
            chunk(b"PLTE", palette) if palette else b"",
            chunk(b"IDAT", zlib.compress(unfiltered)),
            chunk(b"IEND", b""),
        ]
    )


def tiff(cell: Cell, image: Image.Image, icc: bytes) -> bytes:
    """Return an uncompressed TIFF of either byte order."""
    order = "<>"[cell.orientation % 2]
    channels = len(image.getbands())
    tags = main_tags(order, orientation=cell.orientation) | {
        0x100: numbers(order, "I", WIDTH),
        0x101: numbers(order, "I", HEIGHT),
        0x102: numbers(order, "H", *[cell.bits] * channels),
        0x103: numbers(order, "H", 1),
        0x106: numbers(order, "H", {"L": 1, "RGB": 2, "RGBA": 2, "P": 3, "CMYK": 5}[image.mode]),
        0x115: numbers(order, "H", channels),
        0x116: numbers(order, "I", HEIGHT),
        700: (1, len(camera_xmp(cell.orientation)), camera_xmp(cell.orientation)),
    }
    if icc:
        tags[34675] = 7, len(icc), icc
    if image.mode == "RGBA":
        tags[338] = numbers(order, "H", 2)
    if image.mode == "P":
        palette = np.zeros((256, 3), int)
        given = np.array(image.getpalette()).reshape(-1, 3)
        palette[: len(given)] = given
        tags[320] = numbers(order, "H", *(palette.T.ravel() * 257))
    strip = samples(cell, image, order)
    exif = exif_tags(order, srgb=True)
    return tiff_structure(order, tags, exif=exif, gps=gps_tags(order), strip=strip, srgb=True)


@cache
def upright(cell: Cell) -> np.ndarray:
    """Return the source as it looks, (H, W, 3) uint8 sRGB."""
    image, icc = stored(cell), PROFILES[cell.colour]
    if cell.format == "JPEG":
        image = Image.open(io.BytesIO(source(cell)))
    image = image.convert("RGB") if image.mode in ("P", "RGBA") else image
    if cell.colour == "adobe-rgb-exif":
        icc = ADOBE_RGB
    if icc:
        image = ImageCms.profileToProfile(
            image,
            io.BytesIO(icc),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    return TURNS[cell.orientation](np.asarray(image.convert("RGB")))


def upright_alpha(cell: Cell) -> Plane | None:
    return TURNS[cell.orientation](alpha_plane()) if cell.colour.startswith("alpha") else None


def lab(rgb: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(rgb, dtype=np.float32), 0, 255) / 255
    return cv2.cvtColor(clipped, cv2.COLOR_RGB2Lab)


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return ΔE*ab of CIE 1976 per pixel."""
    return np.linalg.norm(lab(one) - lab(other), axis=2)


def read(data: bytes, ending: str) -> Picture:
    return decode(SourceFile(Path(f"photo.{ending}"), data, hashlib.sha256(data).hexdigest()), max_pixels=10_000)


@cache
def picture_of(cell: Cell) -> Picture:
    return read(source(cell), ENDINGS[cell.format])


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_source_is_read_upright_and_in_srgb(cell: Cell) -> None:
    picture = picture_of(cell)
    expected, alpha = upright(cell), upright_alpha(cell)
    assert (picture.height, picture.width) == picture.pixels.shape[:2] == expected.shape[:2]
    assert (picture.format, picture.bits) == (cell.format, cell.bits)
    assert picture.pixels.dtype == np.float32
    visible = np.ones(expected.shape[:2], bool) if alpha is None else alpha > 0
    apart = differences(picture.pixels, expected)[visible]
    assert apart.mean() <= 1
    assert apart.max() <= 3
    if alpha is None:
        assert picture.alpha is None
    else:
        np.testing.assert_allclose(picture.alpha, alpha, atol=1e-4)
        assert (picture.pixels[~visible] == 255).all()
    assert picture.tags.dpi == (300, 300)
    assert picture.tags.xmp == camera_xmp(cell.orientation)
    assert picture.warnings == ()


@pytest.mark.parametrize("encoding", OUTPUTS, ids=lambda each: f"{each.format}{each.bits}")
@pytest.mark.parametrize("cell", SOME, ids=str)
def test_a_result_comes_back_as_it_was_written(cell: Cell, encoding: Encoding) -> None:
    check_result(cell, encoding)


@pytest.mark.timeout(600)
def test_so_do_results_of_every_orientation(*, exhaustive: bool) -> None:
    for cell in CELLS if exhaustive else CELLS[::41]:
        for encoding in OUTPUTS:
            try:
                check_result(cell, encoding)
            except AssertionError as error:
                raise AssertionError(f"{cell} as {encoding}") from error


def check_result(cell: Cell, encoding: Encoding) -> None:
    """Encode the picture of a cell, and check the pixels and the tags of the file."""
    picture = picture_of(cell)
    strip_gps = cell.orientation > 4
    tags, warnings = tags_of_result(
        picture.tags,
        width=picture.width,
        height=picture.height,
        software="impasto 0.1.0",
        key=KEY,
        strip_gps=strip_gps,
    )
    assert len(warnings) == strip_gps  # MakerNote
    data = encode(picture.pixels, encoding, alpha=picture.alpha, tags=tags)
    check_pixels_by_others(data, picture, encoding)
    check_tags_by_pillow(data, picture, strip_gps=strip_gps)
    again = read(data, encoding.format)
    check_read_again(again, picture, encoding)
    assert again.tags.exif == tags.exif or encoding.format == "tiff"  # TIFF: EXIF is built anew
    assert again.tags.xmp == tags.xmp


def over_white(picture: Picture) -> np.ndarray:
    """Return the pixels of a picture over white."""
    if picture.alpha is None:
        return picture.pixels
    return 255 + (picture.pixels - 255) * picture.alpha[:, :, None]


def check_pixels_by_others(data: bytes, picture: Picture, encoding: Encoding) -> None:
    """Check the pixels as Pillow reads them for 8 bits, and OpenCV for 16 bits."""
    if encoding.bits == 8:
        found = np.asarray(Image.open(io.BytesIO(data)))
    else:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        found = found[:, :, [2, 1, 0, 3][: found.shape[2]]]
    if encoding.format == "jpeg":
        apart = differences(found, over_white(picture))
        assert apart.mean() <= 1
        assert apart.max() <= 5
        return
    top = 2**encoding.bits - 1
    exact = np.clip(picture.pixels.astype(float), 0, 255) * (top / 255)
    assert np.abs(found[:, :, :3] - exact).max() <= 0.5 + 0.01
    assert found.shape[2] == (3 if picture.alpha is None else 4)
    if picture.alpha is not None:
        assert np.abs(found[:, :, 3] - picture.alpha.astype(float) * top).max() <= 0.5 + 0.01


def check_tags_by_pillow(data: bytes, picture: Picture, *, strip_gps: bool) -> None:
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (picture.width, picture.height)
        assert image.info["icc_profile"] == SRGB
        exif = image.getexif()
        below, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert exif.get_ifd(ExifTags.IFD.IFD1) == {}
    assert (exif[0x10F], exif[0x110]) == ("NIKON CORPORATION", "NIKON D850")
    assert exif[0x112] == 1
    assert exif[0x131] == "impasto 0.1.0"
    assert (exif[0x11A], exif[0x11B], exif[0x128]) == (300, 300, 2)
    assert below[0x9003] == DATE.decode()
    assert below[0x9213] == f"impasto key {KEY}"
    assert (below[0xA001], below[0xA002], below[0xA003]) == (1, picture.width, picture.height)
    assert THUMBNAIL not in data
    assert gps == ({} if strip_gps else gps | {2: (48, 51, 29.9)})
    assert (b"GPSL" in data) != strip_gps


def check_read_again(again: Picture, picture: Picture, encoding: Encoding) -> None:
    assert (again.width, again.height, again.bits) == (picture.width, picture.height, encoding.bits)
    assert again.tags.dpi == pytest.approx((300, 300), abs=0.02)
    assert again.warnings == ()
    alpha = picture.alpha if has_alpha(encoding.format) else None
    before = over_white(picture) if encoding.format == "jpeg" else picture.pixels
    apart = differences(again.pixels, before)
    assert apart.mean() <= 1
    if encoding.format != "jpeg":
        step = 0.5 if encoding.bits == 8 else 0.5 / 257
        assert np.abs(again.pixels - np.clip(before, 0, 255)).max() <= step + 0.01
    if alpha is None:
        assert again.alpha is None
    else:
        np.testing.assert_allclose(again.alpha, alpha, atol=0.5 / (2**encoding.bits - 1) + 1e-5)


def test_the_profile_of_results_is_srgb() -> None:
    ramp = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    for intent in ImageCms.Intent:
        through = ImageCms.profileToProfile(
            ramp, io.BytesIO(SRGB), ImageCms.createProfile("sRGB"), renderingIntent=intent
        )
        assert through is not None
        assert np.abs(np.asarray(through).astype(int) - np.asarray(ramp)).max() <= 1
