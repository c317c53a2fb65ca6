"""Tests of whole blocks of zeros in files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.images.decode import SourceFile, decode
from pipeline.images.formats import READABLE
from pipeline.images.integrity.gaps import gap_in
from tests.conftest import photo

BLOCK = 4096
NOISE = np.random.default_rng(0).integers(1, 256, 10 * BLOCK + 100, np.uint8).tobytes()


def with_zeros(begin: int, end: int) -> bytes:
    return NOISE[:begin] + bytes(end - begin) + NOISE[end:]


@pytest.mark.parametrize(
    ("begin", "end"),
    [(BLOCK, 2 * BLOCK), (3 * BLOCK, 7 * BLOCK), (9 * BLOCK, len(NOISE)), (10 * BLOCK - BLOCK, 10 * BLOCK)],
)
def test_blocks_of_zeros_are_told(begin: int, end: int) -> None:
    assert f" {end - begin} bytes in it" in gap_in(with_zeros(begin, end))


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (0, 0),
        (0, BLOCK),
        (BLOCK - 1, 2 * BLOCK),
        (BLOCK, 2 * BLOCK + 1),
        (5000, 30_000),
        (BLOCK, 2 * BLOCK - 1),
        (9 * BLOCK - 5, len(NOISE)),
    ],
)
def test_other_zeros_are_taken_for_pixels(begin: int, end: int) -> None:
    assert gap_in(with_zeros(begin, end)) == ""


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1])
def test_small_files_have_no_blocks(size: int) -> None:
    assert gap_in(bytes(size)) == ""


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "AVIF", "WEBP"])
def test_formats_without_checksums_do_not_hide_a_failed_copy(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(1, 256, (200, 300, 3), np.uint8)).save(buffer, kind, quality=98)
    data = buffer.getvalue()
    cut = data[: 5 * BLOCK] + bytes(len(data) - 5 * BLOCK)
    picture = decode(SourceFile(Path("a"), cut, ""), max_pixels=10**6, formats=READABLE)
    assert any("are zeros" in each for each in picture.warnings)
    assert decode(SourceFile(Path("a"), data, ""), max_pixels=10**6, formats=READABLE).warnings == ()


def test_a_black_picture_is_no_gap() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.vstack([photo(300, 100), np.zeros((200, 300, 3), np.uint8)])).save(buffer, "TIFF")
    assert gap_in(buffer.getvalue()) == ""
