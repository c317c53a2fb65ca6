"""Tests of decoding: formats, orientation, colour, alpha, limits, and damaged files."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, features

from pipeline.errors import ImageError, IncompleteError
from pipeline.images.colour.icc import ADOBE_RGB, SRGB
from pipeline.images.decode import Picture, SourceFile, decode, dimensions
from pipeline.images.files import read_file
from pipeline.images.resize import resize
from tests.conftest import photo
from tests.images.files import png, tiff
from tests.images.profiles import CMYK, GREY


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


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_kept_and_what_is_not_visible_is_white(tmp_path: Path, mode: str) -> None:
    rgba = np.dstack([photo(), np.full((32, 40), 255, np.uint8)])
    rgba[:5, :, 3] = 0
    if mode != "P":
        rgba[5:10, :, 3] = 51
    image = Image.fromarray(rgba).convert(mode) if mode != "P" else Image.fromarray(rgba).quantize(100)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    picture = read(tmp_path, "a.png", buffer.getvalue())
    assert picture.alpha is not None
    wanted = rgba[:, :, 3] / np.float32(255)
    np.testing.assert_array_equal(picture.alpha, wanted)
    assert (picture.pixels[:5] == 255).all()
    np.testing.assert_array_equal(picture.pixels[5:], np.asarray(image.convert("RGBA"))[5:, :, :3])
    assert picture.warnings == ()


def test_an_opaque_alpha_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, "a.png", encoded("PNG", "RGBA")).alpha is None


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_kept(tmp_path: Path, ending: str, channels: int) -> None:
    deep = np.random.default_rng(0).integers(1, 65536, (32, 40, channels), dtype=np.uint16)
    stored = deep[:, :, [0] if channels == 1 else [2, 1, 0, 3][:channels]]
    picture = read(tmp_path, f"a{ending}", cv2.imencode(ending, stored)[1].tobytes())
    np.testing.assert_allclose(
        picture.pixels, deep[:, :, :3].repeat(3 if channels == 1 else 1, axis=2) / 257, rtol=1e-6
    )
    assert (picture.bits, picture.warnings) == (16, ())
    if channels == 4:
        assert picture.alpha is not None
        np.testing.assert_allclose(picture.alpha, deep[:, :, 3] / 65535, rtol=1e-6)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_picture_of_sixteen_bits_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    data = cv2.imencode(ending, photo().astype(np.uint16) * 257)[1].tobytes()
    with pytest.raises(ImageError):
        read(tmp_path, f"a{ending}", data[: int(share * len(data))])


def test_cmyk_of_sixteen_bits_is_reduced_and_noted(tmp_path: Path) -> None:
    inks = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), dtype=np.uint16)
    picture = read(tmp_path, "a.tif", tiff(inks, photometric=5))
    assert picture.bits == 8
    assert picture.warnings == (
        "a.tif: has no colour profile: its CMYK was converted without one",
        "a.tif: more than 8 bits per channel were reduced to 8",
    )
    by_pillow = Image.fromarray((inks >> 8).astype(np.uint8), "CMYK").convert("RGB")
    assert np.abs(picture.pixels - np.asarray(by_pillow, np.float32)).max() <= 1


def several(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """Return a file with three pictures."""
    pages, buffer = [Image.fromarray(photo(seed=seed)).convert(mode) for seed in range(3)], io.BytesIO()
    pages[0].save(buffer, kind, save_all=True, append_images=pages[1:], **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG", "GIF"])
def test_only_the_first_of_several_pictures_is_taken_and_that_is_noted(kind: str) -> None:
    mode = "P" if kind == "GIF" else "RGB"
    source = SourceFile(Path("a"), several(kind, mode, **({"lossless": True} if kind == "WEBP" else {})), "")
    picture = decode(source, max_pixels=10**6, formats=frozenset({kind}))
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.fromarray(photo()).convert(mode).convert("RGB")))
    assert picture.warnings == ("a: has further pages or frames; only the first was taken",)


def test_pictures_behind_a_jpeg_are_versions_of_it(tmp_path: Path) -> None:
    data = several("MPO", quality=95)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    picture = read(tmp_path, "a.jpg", data)
    assert (picture.format, picture.warnings) == ("JPEG", ())
    np.testing.assert_array_equal(picture.pixels, read(tmp_path, "b.jpg", encoded("JPEG", quality=95)).pixels)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "AVIF", "JPEG2000"])
def test_other_formats_are_refused_by_name_unless_they_are_allowed(tmp_path: Path, kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / "a"
    path.write_bytes(encoded(kind))
    with pytest.raises(ImageError, match=f"a: is {kind}, which is not read") as error:
        decode(read_file(path), max_pixels=10**6)
    assert f'add "{kind.lower()}" to image.formats' in error.value.remedy
    picture = decode(read_file(path), max_pixels=10**6, formats=frozenset({kind}))
    assert picture.format == kind
    assert np.abs(picture.pixels - photo()).mean() < 25


@pytest.mark.parametrize(
    "error",
    [
        OSError,
        ValueError,
        SyntaxError,
        struct.error,
        IndexError,
        EOFError,
        KeyError,
        TypeError,
        OverflowError,
        RuntimeError,
    ],  # the AVIF plugin raises RuntimeError
)
def test_whatever_pillow_raises_is_damage(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(*_: object) -> None:
        raise error("odd")

    source = stored("PNG", 40, 32)
    for method in ("load", "_open"):
        with monkeypatch.context() as patch:
            patch.setattr(PngImagePlugin.PngImageFile, method, fail)
            with pytest.raises(IncompleteError, match=r"a\.png: truncated"):
                decode(source, max_pixels=10**6)
            assert dimensions(source) == (None if method == "_open" else (40, 32))


@pytest.mark.parametrize(("channels", "bits"), [(1, 16), (3, 8)])
def test_of_other_formats_what_pillow_reduces_is_noted(channels: int, bits: int) -> None:
    deep = photo().astype(np.uint16)[:, :, :channels] * 257
    data = bytes(imagecodecs.jpeg2k_encode(deep[:, :, 0] if channels == 1 else deep, level=0, reversible=True))
    picture = decode(SourceFile(Path("a"), data, ""), max_pixels=10**6, formats=frozenset({"JPEG2000"}))
    assert np.abs(picture.pixels - photo()[:, :, :channels]).max() <= 1
    assert picture.bits == bits
    assert picture.warnings == (() if bits == 16 else ("a: more than 8 bits per channel were reduced to 8",))


def test_a_picture_that_means_adobe_rgb_without_a_profile_is_taken_as_such(tmp_path: Path) -> None:
    plain = read(tmp_path, "a.jpg", encoded("JPEG", quality=95)).pixels
    by_profile = read(tmp_path, "c.jpg", encoded("JPEG", quality=95, icc_profile=ADOBE_RGB)).pixels
    assert np.abs(by_profile - plain).mean() > 2
    np.testing.assert_array_equal(read(tmp_path, "b.jpg", camera_jpeg(b"R03", 0xFFFF)).pixels, by_profile)
    np.testing.assert_array_equal(read(tmp_path, "d.jpg", camera_jpeg(b"R98", 0xFFFF)).pixels, plain)
    np.testing.assert_array_equal(read(tmp_path, "e.jpg", camera_jpeg(b"R03", 1)).pixels, plain)


def camera_jpeg(interoperability: bytes, colour_space: int) -> bytes:
    """Return EXIF with an interoperability directory, which Pillow does not write."""
    first = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x8769, 4, 1, 26, 0)
    below = struct.pack("<HHHIIHHIII", 2, 0xA001, 3, 1, colour_space, 0xA005, 4, 1, 56, 0)
    last = struct.pack("<HHHI4sI", 1, 1, 2, 4, interoperability + b"\0", 0)
    return encoded("JPEG", quality=95, exif=b"Exif\0\0" + first + below + last)


def test_looking_at_the_size_does_not_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        (tmp_path / "a").write_bytes(encoded(kind))
        source = read_file(tmp_path / "a")
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile.ImageFile, "load", fail)
            assert dimensions(source) == (40, 32)
            with pytest.raises(ImageError, match="40×32 is more than"):
                decode(source, max_pixels=1000)


def test_more_than_sixteen_bits_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.ones((20, 20), np.float32)).save(buffer, "TIFF")
    with pytest.raises(ImageError, match="32 bits"):
        read(tmp_path, "a.tif", buffer.getvalue())


@pytest.mark.parametrize("profile", [b"a profile", SRGB[:200], SRGB[:300] + bytes(300), GREY, CMYK])
def test_a_colour_profile_that_cannot_be_applied_is_noted(tmp_path: Path, profile: bytes) -> None:
    picture = read(tmp_path, "a.png", encoded("PNG", icc_profile=profile))
    (warning,) = picture.warnings
    assert warning.startswith("a.png: its colour profile is ")
    assert warning.endswith(": its colours were taken as sRGB")
    np.testing.assert_array_equal(picture.pixels, photo())


def test_the_profile_of_srgb_leaves_pixels_as_they_are(tmp_path: Path) -> None:
    picture = read(tmp_path, "a.png", encoded("PNG", icc_profile=SRGB))
    np.testing.assert_array_equal(picture.pixels, photo())
    assert picture.warnings == ()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.jpg", b"", "empty"),
        ("a.jpg", b"<html>not found</html>", "is HTML, which is not read"),
        ("a.jpg", b"nothing of the sort", "is text, which is not read"),
        ("a.jpg", bytes(100), "all of its 100 bytes are zeros"),
        ("a.jpg", b"\xff" * 100, "not an image"),
        ("a.jpg", b"Salted__" + bytes(100), "is an encrypted file, which is not read"),
        ("a.jpg", b"%PDF-1.7" + bytes(100), "is PDF, which is not read"),
        ("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC, which is not read"),
        ("a.jpg", encoded("PNG"), "is named as JPEG but contains PNG"),
        ("a.png", encoded("BMP"), "is BMP, which is not read"),
        ("a", encoded("PNG")[:20], "truncated"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC, which is not read"),
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
    with pytest.raises(ImageError, match="20000×20000 is more than"):
        read(tmp_path, "a.png", png(photo(), size=(20000, 20000)))


def stored(kind: str, width: int, height: int, orientation: int = 1, mode: str = "RGB") -> SourceFile:
    """Return a stored picture of a size in px, with an orientation."""
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
        warnings.warn("of metadata", stacklevel=1)  # this warning would raise if the code did not ignore it
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
