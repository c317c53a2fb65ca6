"""Tests of encoding: formats, bit depths, alpha, and metadata of the written files."""

from __future__ import annotations

import io
import struct
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin

from pipeline.errors import ImageError
from pipeline.images.colour.icc import SRGB
from pipeline.images.encode import Encoding, Format, encode, has_alpha, max_bits
from pipeline.images.picture import Bits, Pixels, Plane, Tags
from tests.conftest import photo
from tests.images.camera import DATE, NOTE, camera_exif, camera_xmp

FORMATS: list[Format] = ["png", "jpeg", "webp", "tiff"]
LOSSLESS: list[tuple[Format, Bits]] = [("png", 8), ("png", 16), ("webp", 8), ("tiff", 8), ("tiff", 16)]


def plane(top: int = 255) -> Plane:
    """Return alpha from invisible to opaque in steps of 1 / top, with areas of both."""
    ramp = np.clip(np.linspace(-0.2, 1.2, 40 * 32), 0, 1).reshape(32, 40)
    return (np.round(ramp * top) / top).astype(np.float32)


def pixels() -> Pixels:
    return photo().astype(np.float32)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def samples_of(data: bytes, bits: Bits = 8) -> np.ndarray:
    """Return RGB(A) as the file has it: 8 bits by Pillow, 16 by OpenCV, which keeps them."""
    if bits == 8:
        return np.asarray(opened(data))
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return read[:, :, [2, 1, 0, 3][: read.shape[2]]]


@pytest.mark.parametrize("with_alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize(("image_format", "bits"), LOSSLESS)
def test_lossless_formats_keep_every_value(image_format: Format, bits: Bits, *, with_alpha: bool) -> None:
    top = 2**bits - 1
    fine = np.random.default_rng(0).integers(0, top + 1, (32, 40, 3))
    values = (fine * (255 / top)).astype(np.float32)
    data = encode(values, Encoding(image_format, bits), alpha=plane(top) if with_alpha else None)
    read = samples_of(data, bits)
    assert read.dtype == (np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(read[:, :, :3], fine)  # pixels that are invisible keep their values, too
    assert read.shape[2] == (4 if with_alpha else 3)
    if with_alpha:
        np.testing.assert_array_equal(read[:, :, 3], np.round(plane(top) * top))
    assert opened(data).mode == ("RGBA" if with_alpha else "RGB")


def test_all_16_bit_values_survive() -> None:
    values = np.repeat(np.arange(65536, dtype=np.float32).reshape(256, 256, 1) / 257, 3, axis=2)
    read = samples_of(encode(values, Encoding("png", 16)), 16)
    np.testing.assert_array_equal(read[:, :, 0].ravel(), np.arange(65536))


@pytest.mark.parametrize(("bits", "expected"), [(8, (0, 100, 255)), (16, (0, 25597, 65535))])
def test_values_are_rounded_and_clipped_once(bits: Bits, expected: tuple[int, ...]) -> None:
    values = np.full((2, 2, 3), [-30.0, 99.6, 400.0], dtype=np.float32)
    read = samples_of(encode(values, Encoding("png", bits)), bits)
    assert tuple(read[0, 0]) == expected
    assert values[0, 0, 2] == 400, "the pixels of the caller are not changed"


def test_jpeg_is_close_and_its_chroma_is_not_subsampled() -> None:
    data = encode(pixels(), Encoding("jpeg", jpeg_quality=98))
    with opened(data) as image:
        assert JpegImagePlugin.get_sampling(image) == 0
        assert np.abs(np.asarray(image, dtype=float) - photo()).mean() < 2
    assert len(encode(pixels(), Encoding("jpeg", jpeg_quality=30))) < len(data)


@pytest.mark.parametrize("quality", [60, 90, 100])
def test_jpeg_holds_what_can_hardly_be_compressed(quality: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 700, 3)).astype(np.float32)
    with opened(encode(noise, Encoding("jpeg", jpeg_quality=quality))) as image:
        image.load()
        assert image.size == (700, 600)


def test_jpegs_huffman_tables_are_its_own() -> None:
    optimised = encode(pixels(), Encoding("jpeg"))
    ordinary = io.BytesIO()
    Image.fromarray(photo()).save(ordinary, "JPEG", quality=95, subsampling=0, icc_profile=SRGB)
    assert len(optimised) < len(ordinary.getvalue())


def test_jpeg_shows_the_picture_over_white() -> None:
    alpha = np.zeros((32, 40), dtype=np.float32)
    alpha[:, 16:] = 0.5
    alpha[:, 32:] = 1
    values = np.full((32, 40, 3), 100, dtype=np.float32)
    read = samples_of(encode(values, Encoding("jpeg"), alpha=alpha)).astype(int)
    for column, expected in ((4, 255), (24, 178), (36, 100)):
        assert abs(read[16, column] - expected).max() <= 2
    assert values.max() == 100
    assert [has_alpha(each) for each in FORMATS] == [True, False, True, True]


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_file_has_the_srgb_profile(image_format: Format) -> None:
    for bits in (8, max_bits(image_format)):
        assert opened(encode(pixels(), Encoding(image_format, bits), alpha=plane())).info["icc_profile"] == SRGB


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("image_format", "bits"), [*LOSSLESS, ("jpeg", 8)])
def test_tags_are_written(image_format: Format, bits: Bits, order: str) -> None:
    tags = Tags(camera_exif(order), camera_xmp(), (300.0, 150.0))
    with opened(encode(pixels(), Encoding(image_format, bits), alpha=plane(), tags=tags)) as image:
        image.load()
        exif = image.getexif()
        below, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert exif[0x110] == "NIKON D850"
        assert below[0x9003] == DATE.decode()
        assert below[0x829A] == pytest.approx(1 / 125)
        assert below[0x9201] == pytest.approx(-7 / 3)
        assert below[0x927C] == NOTE
        assert gps[4] == (2, 17, 40.11)
        xmp = image.info["xmp"]
        assert (xmp.encode() if isinstance(xmp, str) else xmp) == camera_xmp()
        if image_format != "webp":
            assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)
        if image_format == "tiff":
            assert image.tag_v2[0x111][0] == 8, "the offset of the strips stays as OpenCV wrote it"
            assert not {0x213, 0xC4A5} & set(exif), "tags about the structure of the source file are dropped"


def test_without_tags_there_are_none() -> None:
    for image_format in FORMATS:
        with opened(encode(pixels(), Encoding(image_format))) as image:
            assert not {"exif", "xmp", "jfif_unit"} & {key for key, value in image.info.items() if value}
            assert not {0x11A, 0x131, 0x8769} & set(image.getexif())
            assert image_format == "tiff" or "dpi" not in image.info  # Pillow invents a resolution for a TIFF


def test_a_tiff_says_that_its_colours_are_not_multiplied_by_alpha() -> None:
    for bits in (8, 16):
        with opened(encode(pixels(), Encoding("tiff", bits), alpha=plane())) as image:
            assert isinstance(image, TiffImagePlugin.TiffImageFile)
            assert image.tag_v2[TiffImagePlugin.EXTRASAMPLES] == (2,)
            assert image.tag_v2[TiffImagePlugin.COMPRESSION] == 8
            assert image.tag_v2[TiffImagePlugin.PREDICTOR] == 2
        with opened(encode(pixels(), Encoding("tiff", bits))) as image:
            assert TiffImagePlugin.EXTRASAMPLES not in image.tag_v2


def test_a_png_is_in_order() -> None:
    data = encode(pixels(), Encoding("png"), tags=Tags(camera_exif(), camera_xmp(), (72, 72)))
    kinds, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        kinds.append(kind)
        at += 12 + length
    assert kinds == [b"IHDR", b"iCCP", b"pHYs", b"eXIf", b"iTXt", b"IDAT", b"IEND"]
    opened(data).verify()


def test_a_jpeg_begins_as_jfif_and_exif_want_it() -> None:
    data = encode(pixels(), Encoding("jpeg"), tags=Tags(camera_exif(), camera_xmp(), (72, 72)))
    assert data[2:11] == b"\xff\xe0\0\x10JFIF\0"
    assert data.count(b"JFIF\0") == 1
    assert data[20:22] == b"\xff\xe1"
    assert data[24:30] == b"Exif\0\0"


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_same_input_gives_the_same_bytes(image_format: Format) -> None:
    tags = Tags(camera_exif(), camera_xmp(), (300, 300))
    first, second = (
        encode(pixels(), Encoding(image_format, max_bits(image_format)), alpha=plane(), tags=tags) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("image_format", "shape", "limit"),
    [
        ("webp", (1, 16384), "16383"),
        ("webp", (16384, 1), "16383"),
        ("jpeg", (1, 65501), "65500"),
    ],
)
def test_too_large_a_picture_is_refused_with_the_limit(
    image_format: Format, shape: tuple[int, int], limit: str
) -> None:
    with pytest.raises(ImageError, match=rf"{image_format} cannot hold more than {limit} px") as caught:
        encode(np.zeros((*shape, 3), dtype=np.float32), Encoding(image_format))
    assert "output.format" in caught.value.remedy


@pytest.mark.parametrize(("image_format", "width"), [("webp", 16383), ("jpeg", 65500), ("png", 70000), ("tiff", 70000)])
def test_the_largest_picture_can_be_read_again(image_format: Format, width: int) -> None:
    data = encode(np.full((1, width, 3), 77, dtype=np.float32), Encoding(image_format))
    with opened(data) as image:
        assert image.size == (width, 1)
        assert abs(np.asarray(image).astype(int) - 77).max() <= 1


def test_what_a_format_cannot_is_not_asked_of_it() -> None:
    for image_format in FORMATS:
        if max_bits(image_format) == 8:
            with pytest.raises(ValueError, match="16 bits"):
                encode(pixels(), Encoding(image_format, 16))
    with pytest.raises(ValueError, match="alpha is"):
        encode(pixels(), Encoding("png"), alpha=np.ones((40, 32), dtype=np.float32))


def test_rounding_takes_little_memory() -> None:
    values = np.full((4000, 500, 3), 100.25, dtype=np.float32)
    encode(values[:4], Encoding("tiff"))  # the first call creates objects that stay
    tracemalloc.start()
    try:
        encode(values, Encoding("tiff"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * values.nbytes
