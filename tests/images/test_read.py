from __future__ import annotations

import errno
import io
import os
import random
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError, UnreadableError
from pipeline.images.read import Picture, SourceFile, decode, dimensions, read_file
from pipeline.images.size import resize
from tests.conftest import photo


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo()).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def read(tmp_path: Path, name: str, data: bytes, max_pixels: int = 10**6) -> Picture:
    (tmp_path / name).write_bytes(data)
    return decode(read_file(tmp_path / name), max_pixels=max_pixels)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.webp", "WEBP"), ("a.tif", "TIFF"), ("a", "PNG")])
def test_lossless_formats_are_read_exactly(tmp_path: Path, name: str, kind: str) -> None:
    picture = read(tmp_path, name, encoded(kind, **({"lossless": True} if kind == "WEBP" else {})))
    np.testing.assert_array_equal(picture.pixels, photo())
    assert (picture.width, picture.height, picture.format, picture.warnings) == (40, 32, kind, ())
    assert picture.pixels.dtype == np.float32


def test_jpeg_is_read(tmp_path: Path) -> None:
    picture = read(tmp_path, "a.jpeg", encoded("JPEG", quality=95, subsampling=0))
    assert np.abs(picture.pixels - photo()).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = photo()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(read(tmp_path, "a.png", buffer.getvalue()).pixels, upright)


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_grey_and_palette_become_rgb(tmp_path: Path, mode: str) -> None:
    picture = read(tmp_path, "a.png", encoded("PNG", mode))
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.fromarray(photo()).convert(mode).convert("RGB")))
    assert picture.warnings == ()


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    assert np.abs(read(tmp_path, "a.jpg", encoded("JPEG", "CMYK", quality=95)).pixels - photo()).mean() < 10


def test_transparency_is_laid_over_white_and_noted(tmp_path: Path) -> None:
    rgba = np.dstack([photo(), np.full((32, 40), 255, np.uint8)])
    rgba[:5, :, 3] = 0
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    picture = read(tmp_path, "a.png", buffer.getvalue())
    assert (picture.pixels[:5] == 255).all()
    np.testing.assert_array_equal(picture.pixels[5:], photo()[5:])
    assert picture.warnings == ("a.png: transparency was laid over white",)


def test_sixteen_bits_are_reduced_and_noted(tmp_path: Path) -> None:
    wide = photo().astype(np.uint16) * 257
    for data in (wide[:, :, 0], wide[:, :, ::-1]):
        picture = read(tmp_path, "a.png", cv2.imencode(".png", data)[1].tobytes())
        wanted = photo() if data.ndim == 3 else np.repeat(photo()[:, :, :1], 3, axis=2)
        assert np.abs(picture.pixels - wanted).max() <= 1
        assert picture.warnings == ("a.png: more than 8 bits per channel were reduced to 8",)


def test_more_than_sixteen_bits_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.ones((20, 20), np.float32)).save(buffer, "TIFF")
    with pytest.raises(ImageError, match="32 bits"):
        read(tmp_path, "a.tif", buffer.getvalue())


def test_a_colour_profile_is_noted(tmp_path: Path) -> None:
    picture = read(tmp_path, "a.png", encoded("PNG", icc_profile=b"a profile"))
    assert "colour profile was not applied" in picture.warnings[0]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.jpg", b"", "empty"),
        ("a.jpg", b"<html>not found</html>", "not an image"),
        ("a.jpg", encoded("PNG"), "is named as JPEG but contains PNG"),
        ("a.png", encoded("BMP"), "not an image"),
        ("a.png", encoded("PNG")[:20], "a.png"),
    ],
)
def test_what_is_no_image_is_explained(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(ImageError) as error:
        read(tmp_path, name, data)
    assert words in error.value.message
    assert name in error.value.message
    assert error.value.remedy


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_image_is_refused_and_never_half_grey(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(kind)
    with pytest.raises(ImageError):
        read(tmp_path, f"a.{kind.lower()}", data[: int(len(data) * share)])


def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="20000×20000 is more than"):
        read(tmp_path, "a.png", bomb)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.jpg")
        with pytest.raises(ImageError, match="not a regular file"):
            read_file(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match=r"folder\.jpg"):
        read_file(tmp_path / "folder.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        read_file(tmp_path / "none.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_damaged_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    rng, good, outcomes = random.Random(5), encoded(kind), set()  # noqa: S311
    for _ in range(80):
        data = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            pixels = read(tmp_path, "damaged", bytes(data[: rng.choice([None, rng.randrange(len(data))])])).pixels
            outcomes.add("read")
        except ImageError:
            outcomes.add("refused")
            continue
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert np.isfinite(pixels).all()
    assert "refused" in outcomes


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_disk_that_fails_is_not_the_pictures_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(UnreadableError, match=os.strerror(number)) as error:
        read_file(tmp_path / "a.png")
    assert error.value.error_class == "environment"


def stored(kind: str, width: int, height: int, orientation: int = 1, mode: str = "RGB") -> SourceFile:
    """A picture of so many px on disk, which is to be turned."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(photo(width, height)).convert(mode).save(buffer, kind, exif=exif, **options)
    return SourceFile(Path(f"a.{kind.lower()}"), buffer.getvalue(), "0" * 64)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_of_which_less_is_wanted_is_decoded_smaller(orientation: int, mode: str) -> None:
    source, asked = stored("JPEG", 1602, 1200, orientation, mode), []

    def wanted(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return round(width / 8), round(height / 8)

    whole, small = decode(source, max_pixels=10**7), decode(source, max_pixels=10**7, wanted=wanted)
    width, height = (1200, 1602) if orientation > 4 else (1602, 1200)
    assert asked == [(width, height)]
    assert whole.pixels.shape == (height, width, 3)
    assert (small.width, small.height) == (whole.width, whole.height) == (width, height)
    assert abs(small.pixels.shape[1] - width / 4) <= 1
    assert abs(small.pixels.shape[0] - height / 4) <= 1
    size = round(width / 8), round(height / 8)
    assert np.abs(resize(small.pixels, *size) - resize(whole.pixels, *size)).mean() < 3


@pytest.mark.parametrize(("share", "scale"), [(2.0, 1), (1.0, 1), (0.3, 1), (0.24, 2), (0.13, 2), (0.12, 4), (0.01, 8)])
def test_a_jpeg_keeps_twice_the_detail_that_is_wanted(share: float, scale: int) -> None:
    picture = decode(
        stored("JPEG", 800, 640), max_pixels=10**7, wanted=lambda w, h: (round(share * w), round(share * h))
    )
    assert picture.pixels.shape == (640 // scale, 800 // scale, 3)


def test_the_side_that_wants_most_decides() -> None:
    picture = decode(stored("JPEG", 800, 640), max_pixels=10**7, wanted=lambda _w, _h: (16, 300))
    assert picture.pixels.shape == (640, 800, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_other_formats_are_decoded_whole_whatever_is_wanted(kind: str) -> None:
    source = stored(kind, 400, 320)
    picture = decode(source, max_pixels=10**7, wanted=lambda _w, _h: (20, 16))
    np.testing.assert_array_equal(picture.pixels, decode(source, max_pixels=10**7).pixels)
    assert picture.pixels.shape == (320, 400, 3)


def test_too_many_pixels_are_refused_though_few_are_wanted() -> None:
    with pytest.raises(ImageError, match="800×640 is more than"):
        decode(stored("JPEG", 800, 640), max_pixels=10**5, wanted=lambda _w, _h: (20, 16))


@pytest.mark.parametrize("error", [ImageError("too thin", "Crop it."), KeyError("anything")])
def test_what_cannot_be_wanted_is_passed_on(error: Exception) -> None:
    def refuse(_width: int, _height: int) -> tuple[int, int]:
        raise error

    with pytest.raises(type(error)) as caught:
        decode(stored("JPEG", 40, 32), max_pixels=10**6, wanted=refuse)
    assert caught.value is error


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGB"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
        ("TIFF", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "LA"),
        ("PNG", "I;16"),
    ],
)
def test_a_turned_picture_is_as_wide_as_its_pixels(kind: str, mode: str) -> None:
    source = stored(kind, 40, 32, 6, mode)
    picture = decode(source, max_pixels=10**6)
    assert (picture.width, picture.height) == dimensions(source) == (32, 40)
    assert picture.pixels.shape == (40, 32, 3)


@pytest.mark.parametrize("data", [b"", b"no image", stored("PNG", 40, 32).data[:20], stored("JPEG", 40, 32).data[:20]])
def test_what_is_no_image_has_no_dimensions(data: bytes) -> None:
    assert dimensions(SourceFile(Path("a.png"), data, "0" * 64)) is None


def test_warnings_are_as_before_when_threads_have_decoded_in_parallel() -> None:
    before, source = list(warnings.filters), stored("JPEG", 40, 32)
    second_is_in, first_is_out = threading.Event(), threading.Event()

    def first(width: int, height: int) -> tuple[int, int]:
        assert second_is_in.wait(5)
        return width, height

    def second(width: int, height: int) -> tuple[int, int]:
        second_is_in.set()
        assert first_is_out.wait(5)
        warnings.warn("of metadata", stacklevel=1)  # would raise if it was not ignored
        return width, height

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(decode, source, max_pixels=10**6, wanted=first)
        other = pool.submit(decode, source, max_pixels=10**6, wanted=second)
        one.result(5)
        first_is_out.set()
        other.result(5)
    assert warnings.filters == before
    with pytest.raises(UserWarning, match="of metadata"):
        warnings.warn("of metadata", stacklevel=1)


def test_warnings_are_as_before_after_many_threads_and_damaged_files() -> None:
    before, good = list(warnings.filters), stored("JPEG", 40, 32)
    bad = SourceFile(good.path, good.data[:300], good.sha256)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(decode, source, max_pixels=10**6) for source in (good, bad) * 30]
    assert sum(isinstance(future.exception(), ImageError) for future in futures) == 30
    assert warnings.filters == before
