"""Tests of files that claim many pixels or unpack to much data, and of files of unusual sizes."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.errors import ImageError, IncompleteError
from pipeline.images.decode import Picture, SourceFile, decode, dimensions
from pipeline.images.formats import READABLE
from tests.conftest import photo
from tests.images.camera import camera_xmp
from tests.images.files import chunk, png, tiff

ROOT = Path(__file__).parents[2]
SIDE = 20_000
MAX_PIXELS = 100_000_000


def read(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    return decode(SourceFile(Path("a"), data, "0" * 64), max_pixels=max_pixels, formats=READABLE)


def encoded(kind: str, width: int = 40, height: int = 32, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo(width, height)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def claiming() -> dict[str, bytes]:
    """Return small files that claim 20,000 × 20,000 px (WebP: 16,383, its limit)."""
    deep = np.zeros((32, 40, 3), np.uint16)
    tags = {256: (4, (SIDE,)), 257: (4, (SIDE,)), 278: (4, (SIDE,))}
    webp = encoded("WEBP", lossless=True)
    at = webp.index(b"VP8L") + 9
    most = 16382 | 16382 << 14
    rest = int.from_bytes(webp[at : at + 4], "little") & 0xF0000000
    canvas = encoded("WEBP", mode="RGBA", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    limit = canvas.index(b"VP8X") + 12
    files = {
        "JPEG": changed(encoded("JPEG"), struct.pack(">HH", 32, 40), struct.pack(">HH", SIDE, SIDE)),
        "progressive JPEG": changed(
            encoded("JPEG", progressive=True), struct.pack(">HH", 32, 40), struct.pack(">HH", SIDE, SIDE)
        ),
        "PNG": png(photo(), size=(SIDE, SIDE)),
        "PNG of 16 bits": png(deep, size=(SIDE, SIDE)),
        "WebP": webp[:at] + (most | rest).to_bytes(4, "little") + webp[at + 4 :],
        "WebP by its canvas": canvas[:limit] + 2 * (SIDE - 1).to_bytes(3, "little") + canvas[limit + 6 :],
        "TIFF": tiff(photo(), tags=tags),
        "TIFF by deflate": tiff(photo(), compression=8, tags=tags),
        "TIFF of 16 bits": tiff(deep, compression=8, tags=tags),
        "BigTIFF of 16 bits": tiff(deep, big=True, order=">", compression=8, tags=tags),
        "GIF": changed(encoded("GIF"), struct.pack("<HH", 40, 32), struct.pack("<HH", SIDE, SIDE)),
        "BMP": changed(encoded("BMP"), struct.pack("<II", 40, 32), struct.pack("<II", SIDE, SIDE)),
        "JPEG 2000": changed(encoded("JPEG2000"), struct.pack(">II", 32, 40), struct.pack(">II", SIDE, SIDE)).replace(
            struct.pack(">II", 40, 32), struct.pack(">II", SIDE, SIDE)
        ),
    }
    if features.check("avif"):
        files["AVIF"] = changed(encoded("AVIF"), struct.pack(">II", 40, 32), struct.pack(">II", SIDE, SIDE))
    return files


def unpacking() -> dict[str, bytes]:
    """Return small files whose metadata unpacks to 200 MB."""
    much = zlib.compress(bytes(200 << 20))
    deep = np.zeros((32, 40, 3), np.uint16)
    return {
        f"{kind.decode()} {head!r} of {8 * samples.itemsize} bits": png(samples, chunk(kind, head + much))
        for samples in (photo(), deep)
        for kind, head in (
            (b"iCCP", b"x\0\0"),
            (b"zTXt", b"x\0\0"),
            (b"zTXt", b"Raw profile type exif\0\0"),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"),
        )
    }


def peak() -> int:
    """Return the peak of this process's memory in kB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def measure() -> dict[str, tuple[str, int]]:
    """Return the error of each file, and the peak of memory in MB while it was read."""
    read(encoded("JPEG")), read(encoded("PNG")), read(png(np.zeros((9, 9), np.uint16)))
    files, found = claiming() | unpacking(), {}
    for name, data in files.items():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # this write resets the peak
        before = peak()
        try:
            read(data)
            said = ""
        except ImageError as error:
            said = error.message
        found[name] = said, (peak() - before) >> 10
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
def test_what_claims_or_unpacks_to_much_takes_little_memory() -> None:
    done = subprocess.run(
        [sys.executable, __file__],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert {name: taken for name, (_, taken) in found.items() if taken >= 64} == {}
    for name in claiming():
        assert "is more than image.max_pixels" in found[name][0] or "damaged" in found[name][0], name
    exact = [name for name in claiming() if f"{SIDE}×{SIDE} is more than" in found[name][0]]
    assert set(exact) >= {
        "JPEG",
        "PNG",
        "PNG of 16 bits",
        "TIFF",
        "TIFF of 16 bits",
        "BigTIFF of 16 bits",
        "GIF",
        "BMP",
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "PNG16", "TIFF16"])
def test_thin_pictures_are_read(kind: str, size: tuple[int, int]) -> None:
    picture = photo(*size)
    deep = picture.astype(np.uint16) * 257
    files = {"PNG16": png, "TIFF16": tiff}
    data = files[kind](deep) if kind in files else encoded(kind, *size)
    read_picture = read(data)
    assert (read_picture.width, read_picture.height) == size
    assert read_picture.pixels.shape == picture.shape
    if kind not in ("JPEG", "WEBP"):
        np.testing.assert_allclose(read_picture.pixels, picture, rtol=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        png(photo(), size=(0, 32)),
        png(photo(), size=(40, 0)),
        png(photo().astype(np.uint16), size=(40, 0)),
        changed(encoded("JPEG"), struct.pack(">HH", 32, 40), struct.pack(">HH", 32, 0)),
        changed(encoded("JPEG"), struct.pack(">HH", 32, 40), struct.pack(">HH", 0, 40)),
        changed(encoded("BMP"), struct.pack("<II", 40, 32), struct.pack("<II", 0, 32)),
        changed(encoded("GIF"), struct.pack("<HH", 40, 32), struct.pack("<HH", 0, 0)),
    ],
)
def test_a_side_of_no_pixels_is_damage(data: bytes) -> None:
    with pytest.raises(IncompleteError):
        read(data)
    assert dimensions(SourceFile(Path("a"), data, "")) is None


@pytest.mark.parametrize("exif", [b"junk", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 500])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_is_garbage_counts_as_none(kind: str, exif: bytes) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    plain, odd = (read(encoded(kind, exif=each, **options)) for each in (b"", b"Exif\0\0" + exif))
    np.testing.assert_array_equal(odd.pixels, plain.pixels)
    assert odd.warnings == ()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF", "TIFF16"])
def test_an_orientation_that_only_xmp_says_is_not_applied(kind: str) -> None:
    xmp = camera_xmp(orientation=6)
    if kind == "PNG":
        data = png(photo(), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    elif kind.startswith("TIFF"):
        samples = photo().astype(np.uint16) * 257 if kind == "TIFF16" else photo()
        data = tiff(samples, tags={700: (7, tuple(xmp))})
    else:
        data = encoded(kind, xmp=xmp, **({"lossless": True} if kind == "WEBP" else {}))
    picture = read(data)
    assert picture.pixels.shape == (32, 40, 3)
    assert dimensions(SourceFile(Path("a"), data, "")) == (40, 32)
    if kind != "JPEG":
        np.testing.assert_allclose(picture.pixels, photo(), rtol=1e-6)


if __name__ == "__main__":
    print(json.dumps(measure()))  # noqa: T201 - for the test
