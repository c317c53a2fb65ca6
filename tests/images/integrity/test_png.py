"""Tests of PNG files that are damaged, truncated, or only without their end."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import IncompleteError
from pipeline.images.decode import Picture, SourceFile, decode
from pipeline.images.file_errors import DamagedError, TruncatedError
from pipeline.images.integrity.png import check_png
from tests.conftest import photo
from tests.images.files import chunk, png


def encoded(mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo(400, 300)).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def read(data: bytes) -> Picture:
    return decode(SourceFile(Path("a.png"), data, ""), max_pixels=10**6)


def with_broken_pixels(data: bytes, *, mend_checksums: bool) -> bytes:
    """Return a PNG whose compressed pixels are zeros in their middle."""
    begin = data.index(b"IDAT") - 4
    length = int.from_bytes(data[begin : begin + 4], "big")
    pixels = bytearray(data[begin + 8 : begin + 8 + length])
    pixels[length // 2 : length // 2 + 50] = bytes(50)
    if mend_checksums:
        return data[:begin] + chunk(b"IDAT", bytes(pixels)) + data[begin + 12 + length :]
    return data[: begin + 8] + bytes(pixels) + data[begin + 8 + length :]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1"])
@pytest.mark.parametrize("mend_checksums", [False, True])
def test_a_png_with_damaged_pixels_is_refused_in_every_mode(mode: str, mend_checksums: bool) -> None:  # noqa: FBT001
    with pytest.raises(IncompleteError, match=r"a\.png: damaged: (the checksum of its chunk IDAT|its pixels)"):
        read(with_broken_pixels(encoded(mode), mend_checksums=mend_checksums))


def test_a_wrong_checksum_of_the_decompressed_pixels_is_damage() -> None:
    rows = zlib.compress(bytes(32 * 121))
    data = png(photo())
    begin, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    with pytest.raises(DamagedError, match="incorrect data check"):
        check_png(data[:begin] + chunk(b"IDAT", rows[:-1] + bytes([rows[-1] ^ 1])) + data[end:])


@pytest.mark.parametrize("samples", [photo(), photo().astype(np.uint16) * 257])
@pytest.mark.parametrize("lost", [1, 5, 12])
def test_a_png_without_its_end_marker_is_read_with_a_warning(samples: np.ndarray, lost: int) -> None:
    picture = read(png(samples)[:-lost])
    np.testing.assert_array_equal(picture.pixels, read(png(samples)).pixels)
    assert picture.warnings == ("a.png: its end is missing, but all of its pixels were read",)


@pytest.mark.parametrize("samples", [photo(), photo().astype(np.uint16) * 257])
@pytest.mark.parametrize("lost", [30, 300, 2000])
def test_a_png_without_its_last_pixels_is_truncated(samples: np.ndarray, lost: int) -> None:
    with pytest.raises(IncompleteError, match=r"a\.png: truncated: it ends before its last pixel"):
        read(png(samples)[:-lost])


@pytest.mark.parametrize("kind", [b"iCCP", b"tEXt", b"eXIf", b"gAMA"])
@pytest.mark.parametrize("samples", [photo(), photo().astype(np.uint16) * 257])
def test_damaged_metadata_is_left_out_with_a_warning(samples: np.ndarray, kind: bytes) -> None:
    harmed = bytearray(chunk(kind, b"some words"))
    harmed[10] ^= 4
    picture = read(png(samples, bytes(harmed)))
    np.testing.assert_array_equal(picture.pixels, read(png(samples)).pixels)
    assert picture.warnings == (f"a.png: its chunk {kind.decode()} is damaged and was left out",)


def test_one_warning_tells_of_all_damaged_metadata() -> None:
    wrong = bytes(4)
    kinds = [b"aa" + bytes([each]) + b"a" for each in b"ABCDEFG"]
    harmed = [chunk(kind, b"words")[:-4] + wrong for kind in kinds]
    picture = read(png(photo(), *harmed[:2], *harmed[:2]))
    assert picture.warnings == ("a.png: its chunks aaAa, aaBa are damaged and were left out",)
    picture = read(png(photo(), *harmed))
    assert picture.warnings == (
        "a.png: its chunks aaAa, aaBa, aaCa, aaDa, aaEa and 2 more kinds are damaged and were left out",
    )


@pytest.mark.parametrize("kind", [b"PLTE", b"tRNS"])
def test_a_damaged_palette_or_transparency_is_damage(kind: bytes) -> None:
    harmed = bytearray(chunk(kind, bytes(6)))
    harmed[9] ^= 4
    with pytest.raises(DamagedError, match=f"checksum of its chunk {kind.decode()}"):
        check_png(png(photo(), bytes(harmed)))


def interlaced(width: int, height: int) -> bytes:
    """Return a black interlaced PNG of 1 bit per channel, by the table of the specification."""
    rows = b""
    for left, top, across, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)):
        columns = len(range(left, width, across))
        rows += len(range(top, height, down)) * bytes(1 + -(-columns // 8)) if columns else b""
    rows += len(range(1, height, 2)) * bytes(1 + -(-width // 8))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 1)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 9, 33])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 8, 9])
def test_an_interlaced_png_has_all_of_its_pixels(width: int, height: int) -> None:
    assert check_png(interlaced(width, height)).warnings == ()
    assert read(interlaced(width, height)).pixels.shape == (height, width, 3)


def test_pixels_in_several_chunks_are_one_stream() -> None:
    data = png(photo())
    begin, end = data.index(b"IDAT") + 4, data.index(b"IEND") - 8
    parts = [chunk(b"IDAT", data[at : min(at + 100, end)]) for at in range(begin, end, 100)]
    split = data[: begin - 8] + b"".join(parts) + data[end + 4 :]
    assert check_png(split).data == split
    with pytest.raises(DamagedError):
        check_png(data[: begin - 8] + b"".join(parts[:2] + parts[3:]) + data[end + 4 :])
    with pytest.raises(DamagedError, match="in two places"):
        check_png(data[: begin - 8] + parts[0] + chunk(b"tEXt", b"a\0b") + b"".join(parts[1:]) + data[end + 4 :])
    with pytest.raises(TruncatedError):
        check_png(data[: begin - 8] + b"".join(parts[:3]) + data[end + 4 :])


def test_nothing_is_decompressed_beyond_the_size_in_the_header() -> None:
    with pytest.raises(DamagedError, match="more pixels than its header says"):
        check_png(png(np.zeros((3000, 3000), np.uint8), size=(3, 3)))
