"""Tests of damaged files: each is read or refused; they run in a process of their own, so that a crash is noticed."""

from __future__ import annotations

import faulthandler
import io
import os
import random
import subprocess
import sys
import time
import warnings
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.errors import ImageError
from pipeline.images.decode import Picture, SourceFile, decode, dimensions
from pipeline.images.formats import READABLE
from tests.conftest import photo
from tests.images.camera import camera_exif, camera_xmp
from tests.images.files import chunk, png, tiff
from tests.images.profiles import ADOBE_RGB, CMYK, DISPLAY_P3, GREY

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 24, 18
MAX_PIXELS = 40_000
MAGICS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF89a", b"RIFF", b"BM"]
LIES = [0, 1, 2, 127, 255, 256, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def by_pillow(kind: str, mode: str = "RGB", icc: bytes = b"", **options: object) -> bytes:
    """Return a file that Pillow writes, with metadata where the format has them."""
    buffer = io.BytesIO()
    image = Image.fromarray(photo(WIDTH, HEIGHT)).convert(mode)
    if kind in ("JPEG", "PNG", "WEBP"):
        options |= {"exif": b"Exif\0\0" + camera_exif(orientation=6), "icc_profile": icc}
    if kind in ("JPEG", "WEBP"):
        options["xmp"] = camera_xmp()
    if kind == "TIFF":
        options["icc_profile"] = icc
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def seeds() -> tuple[bytes, ...]:
    """Return files of all formats, depths and channels."""
    deep = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 5), dtype=np.uint16)
    pages = [Image.fromarray(photo(WIDTH, HEIGHT, seed)).convert("RGBA") for seed in range(2)]
    moving, gif = io.BytesIO(), io.BytesIO()
    pages[0].save(moving, "WEBP", save_all=True, append_images=pages[1:])
    pages[0].save(gif, "GIF", save_all=True, append_images=pages[1:])
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(ADOBE_RGB))
    exif = chunk(b"eXIf", camera_exif(">", orientation=5))
    files = [
        by_pillow("JPEG", icc=DISPLAY_P3),
        by_pillow("JPEG", "L", GREY, progressive=True),
        by_pillow("JPEG", "CMYK", CMYK),
        by_pillow("PNG", icc=DISPLAY_P3),
        by_pillow("PNG", "P", transparency=3),
        by_pillow("PNG", "LA", GREY),
        by_pillow("PNG", "1"),
        by_pillow("WEBP", icc=DISPLAY_P3),
        by_pillow("WEBP", "RGBA", lossless=True),
        moving.getvalue(),
        gif.getvalue(),
        by_pillow("BMP"),
        by_pillow("JPEG2000"),
        by_pillow("TIFF", icc=DISPLAY_P3),
        by_pillow("TIFF", "CMYK", CMYK, compression="tiff_lzw"),
        by_pillow("TIFF", "P", compression="packbits"),
        by_pillow("TIFF", "1", compression="group4"),
        by_pillow("TIFF", compression="jpeg"),
        *(png(deep[:, :, :count], profile, exif) for count in (1, 2, 3, 4)),
        png(deep[:, :, :3], chunk(b"tRNS", deep[0, 0, :3].astype(">u2").tobytes())),
        tiff(deep[:, :, :3], order=">", compression=8, predictor=2),
        tiff(deep[:, :, :4], tags={338: (3, (1,)), 274: (3, (8,))}, rows=5, compression=5),
        tiff(deep[:, :, :3], separate=True, tile=16),
        tiff(deep[:, :, :2], photometric=0, tile=16, compression=8, tags={34675: (7, tuple(GREY))}),
        tiff(deep[:, :, :3], big=True, order=">", tags={34675: (7, tuple(DISPLAY_P3))}),
        tiff(deep[:, :, :4], photometric=5, tags={34675: (7, tuple(CMYK))}),
        tiff((deep[:, :, :3] >> 8).astype(np.uint8), big=True, order=">", compression=32773),
    ]
    return tuple(files + ([by_pillow("AVIF")] if features.check("avif") else []))


def damaged(number: int) -> bytes:
    """Return a damaged file; equal numbers give equal files."""
    rng = random.Random(number)  # noqa: S311 - no secret
    data = bytearray(rng.choice(seeds()))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        rng.choice([flip, flip, lie, lie, cut, swap, splice, lose, repeat, harm_metadata])(data, rng)
        data = data or bytearray(b"\0")
    if rng.random() < 0.7 and data.startswith(b"\x89PNG"):
        mend_checksums(data)
    return bytes(data)


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 3, 10])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def lie(data: bytearray, rng: random.Random) -> None:
    """Overwrite a field of two or four bytes, more often in the first half of the file, where headers are."""
    size = rng.choice([2, 4])
    at = rng.randrange(max(1, min(len(data), rng.choice([40, 200, 1000, len(data)])) - size))
    value = rng.choice([*LIES, rng.randrange(2**32)]) % 2 ** (8 * size)
    data[at : at + size] = value.to_bytes(size, rng.choice(["little", "big"]))


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def swap(data: bytearray, rng: random.Random) -> None:
    """Overwrite the first bytes by the signature of another format."""
    magic = rng.choice(MAGICS)
    data[: len(magic)] = magic


def splice(data: bytearray, rng: random.Random) -> None:
    """Replace the end of the data by the end of another file."""
    other = rng.choice(seeds())
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def lose(data: bytearray, rng: random.Random) -> None:
    """Delete a few bytes."""
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 4, 50])]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.choice([1, 4, 50, 500])] * rng.choice([1, 3])


def harm_metadata(data: bytearray, rng: random.Random) -> None:
    """Overwrite some bytes near a mark of metadata."""
    marks = [at for mark in (b"acsp", b"Exif\0\0", b"eXIf", b"<x:xmp", b"ICC_") if (at := data.find(mark)) >= 0]
    begin = max(0, rng.choice(marks or [0]) - 36)
    for _ in range(rng.choice([1, 5, 30])):
        data[min(len(data) - 1, begin + rng.randrange(700))] = rng.choice([0, 1, 255, rng.randrange(256)])


def mend_checksums(data: bytearray) -> None:
    """Correct the CRCs of a PNG's chunks, so that damage within them gets beyond the check."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4


def check(picture: Picture, size: tuple[int, int] | None, *, is_whole: bool) -> None:
    """Check the shape, the type, the range and the size of a decoded picture."""
    height, width = picture.pixels.shape[:2]
    assert picture.pixels.shape == (height, width, 3)
    assert picture.pixels.dtype == np.float32
    assert np.isfinite(picture.pixels).all()
    assert picture.pixels.min() >= 0
    assert picture.pixels.max() <= 255
    assert (picture.width, picture.height) == size
    assert not is_whole or (width, height) == size
    if picture.alpha is not None:
        assert picture.alpha.shape == (height, width)
        assert picture.alpha.min() >= 0
        assert picture.alpha.max() <= 1


def peak() -> int:
    """Return the peak of this process's memory in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def run(first: int, count: int, progress: Path) -> None:
    """Decode damaged files; write the current number into `progress`, and at the end counts and the memory in MB."""
    faulthandler.enable()
    warnings.simplefilter("error")
    seeds()
    before, outcomes = peak(), {"read": 0, "refused": 0}
    for number in range(first, first + count):
        progress.write_text(str(number), encoding="ascii")
        source = SourceFile(Path("damaged"), damaged(number), "0" * 64)
        wanted = (lambda width, height: (width // 5 + 1, height // 5 + 1)) if number % 3 == 0 else None
        faulthandler.dump_traceback_later(20, exit=True)
        begin = time.perf_counter()
        try:
            picture = decode(source, max_pixels=MAX_PIXELS, formats=READABLE, wanted=wanted)
            check(picture, dimensions(source), is_whole=wanted is None)
            outcomes["read"] += 1
        except ImageError:
            dimensions(source)
            outcomes["refused"] += 1
        faulthandler.cancel_dump_traceback_later()
        assert time.perf_counter() - begin < 5, "a file is read or refused within 5 seconds"
    progress.write_text(f"{outcomes['read']} {outcomes['refused']} {peak() - before}", encoding="ascii")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
@pytest.mark.timeout(1800)
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path: Path, exhaustive: bool) -> None:  # noqa: FBT001
    count, progress = 10_000 if exhaustive else 500, tmp_path / "progress"
    done = subprocess.run(
        [sys.executable, __file__, "0", str(count), str(progress)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = progress.read_text(encoding="ascii")
    assert done.returncode == 0, f"file number {said} ended the process: {done.stderr[-3000:]}"
    assert done.stdout == ""
    read, refused, megabytes = map(int, said.split())
    assert read + refused == count
    assert read > count / 20, "files with little damage are read"
    assert refused > count / 5
    assert megabytes < 200


def test_no_seed_is_damaged_yet() -> None:
    for number, data in enumerate(seeds()):
        source = SourceFile(Path("whole"), data, "0" * 64)
        picture = decode(source, max_pixels=MAX_PIXELS, formats=READABLE)
        check(picture, dimensions(source), is_whole=True)
        assert {picture.width, picture.height} == {WIDTH, HEIGHT}, number


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
