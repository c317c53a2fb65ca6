"""Tests of colours that a file declares without a profile: they are not applied, and that is told."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.images.colour.declared import unapplied
from pipeline.images.colour.icc import SRGB
from pipeline.images.decode import Picture, SourceFile, decode
from pipeline.images.formats import READABLE
from tests.conftest import photo
from tests.images.files import chunk, png
from tests.images.test_decode import camera_jpeg, encoded

SRGB_CORNERS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CORNERS = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def read(data: bytes) -> Picture:
    return decode(SourceFile(Path("a"), data, ""), max_pixels=10**6, formats=READABLE)


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def corners(values: tuple[int, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *values))


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([gamma(100_000)], "its gamma (gAMA 1)"),
        ([gamma(55_556)], "its gamma (gAMA 0.55556)"),
        ([gamma(45_455), corners(P3_CORNERS)], "its primaries (cHRM)"),
        ([chunk(b"cICP", bytes((12, 13, 0, 1)))], "its colour code points (Display P3)"),
        ([chunk(b"cICP", bytes((9, 16, 0, 1))), gamma(45_455)], "its colour code points (BT.2020, PQ)"),
        ([chunk(b"cICP", bytes((22, 13, 0, 1)))], "its colour code points (22, 13)"),
    ],
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_a_png_declares_is_told(chunks: list[bytes], words: str, kind: type[np.generic]) -> None:
    samples = photo().astype(kind)
    picture = read(png(samples, *chunks))
    assert picture.warnings == (
        f"a: has no colour profile, and {words} cannot be applied: its colours were taken as sRGB",
    )
    np.testing.assert_array_equal(picture.pixels, read(png(samples)).pixels)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(45_455), corners(SRGB_CORNERS)],
        [chunk(b"sRGB", b"\0"), gamma(100_000), corners(P3_CORNERS)],
        [chunk(b"cICP", bytes((1, 13, 0, 1))), gamma(100_000)],
    ],
)
def test_what_is_srgb_is_not_told(chunks: list[bytes]) -> None:
    assert read(png(photo(), *chunks)).warnings == ()


def test_a_profile_says_more_than_gamma() -> None:
    data = encoded("PNG", icc_profile=SRGB)
    assert read(data[:33] + gamma(100_000) + data[33:]).warnings == ()


def test_exif_that_says_only_that_colours_are_not_srgb_is_told() -> None:
    (warning,) = read(camera_jpeg(b"R98", 0xFFFF)).warnings
    assert "EXIF (not sRGB, without saying which) cannot be applied" in warning
    assert read(camera_jpeg(b"R03", 0xFFFF)).warnings == ()
    assert read(camera_jpeg(b"R98", 1)).warnings == ()


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_what_an_avif_declares_is_told() -> None:
    data = encoded("AVIF")
    at = data.index(b"colrnclx") + 8
    assert read(data).warnings == ()
    assert unapplied(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :], "AVIF", b"") == (
        "its colour code points (BT.2020, PQ)"
    )
    assert unapplied(data[:at], "AVIF", b"") != ""


def test_a_picture_of_pillow_has_no_declared_colours() -> None:
    assert Image.fromarray(photo()).info == {}
    assert unapplied(encoded("JPEG"), "JPEG", b"") == ""
