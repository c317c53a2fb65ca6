"""Tests of WebP files that are not as long as they say."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import IncompleteError
from pipeline.images.decode import Picture, SourceFile, decode
from pipeline.images.integrity.webp import check_webp, check_webp_pixels
from tests.conftest import photo


def encoded(mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo(160, 120)).convert(mode).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def read(data: bytes) -> Picture:
    return decode(SourceFile(Path("a.webp"), data, ""), max_pixels=10**6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}])
def test_a_whole_webp_is_whole(mode: str, options: dict[str, object]) -> None:
    data = encoded(mode, **options)
    assert check_webp(data).data is data
    assert check_webp(data).warnings == ()


@pytest.mark.parametrize("lost", [2, 20, 1000])
def test_a_webp_that_is_shorter_than_it_says_is_truncated(lost: int) -> None:
    with pytest.raises(IncompleteError, match=rf"a\.webp: truncated: {lost} of its \d+ bytes are missing"):
        read(encoded(lossless=True)[:-lost])


def test_bytes_after_the_end_of_a_webp_are_told() -> None:
    data = encoded(lossless=True)
    picture = read(data + bytes(30))
    assert picture.warnings == ("a.webp: may be damaged, look at it: it has 30 bytes after its end",)
    np.testing.assert_array_equal(picture.pixels, read(data).pixels)


@pytest.mark.parametrize("is_at_end", [False, True])
def test_zeros_as_a_failed_copy_leaves_them_are_told(is_at_end: bool) -> None:  # noqa: FBT001
    data = encoded(lossless=True)
    begin = len(data) - 100 if is_at_end else len(data) // 2
    end = len(data) if is_at_end else begin + 600
    damaged = data[:begin] + bytes(end - begin) + data[end:]
    try:
        warnings = read(damaged).warnings
    except IncompleteError:
        return
    assert any("zeros in a row" in each for each in warnings)


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_webp_is_no_damage(options: dict[str, object], level: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 1500), (level, level, level)).save(buffer, "WEBP", **options)
    assert check_webp(buffer.getvalue()).warnings == ()


@pytest.mark.parametrize("at", [12, 16])
def test_a_webp_of_other_chunks_than_it_should_have_is_damaged(at: int) -> None:
    data = encoded(lossless=True)
    with pytest.raises(IncompleteError, match=r"a\.webp: damaged"):
        read(data[:at] + b"\xff\xff\xff\x0f" + data[at + 4 :])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    "options", [{}, {"quality": 5}, {"quality": 100, "method": 6}, {"lossless": True}, {"lossless": True, "quality": 0}]
)
@pytest.mark.parametrize("size", [(1, 1), (160, 120), (17, 300)])
def test_every_byte_of_whole_pixels_is_needed(mode: str, options: dict[str, object], size: tuple[int, int]) -> None:
    for picture in (Image.fromarray(photo(*size)), Image.new("RGB", size, "#808080"), Image.new("RGB", size)):
        buffer = io.BytesIO()
        picture.convert(mode).save(buffer, "WEBP", **options)
        assert check_webp_pixels(buffer.getvalue()).warnings == ()


def test_pixels_that_are_left_over_are_told() -> None:
    whole, outcomes = encoded(quality=90), []
    for at in range(len(whole) // 3, len(whole) // 3 + 40):
        damaged = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        try:
            outcomes.append(read(damaged).warnings)
        except IncompleteError as error:
            outcomes.append((error.message,))
    told = [each for each in outcomes if each]
    assert len(told) >= 38
    assert any("are not needed" in each[0] for each in told)


def test_an_animated_webp_is_not_shortened() -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(photo(seed=seed)) for seed in range(2)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    assert check_webp_pixels(buffer.getvalue()).warnings == ()
