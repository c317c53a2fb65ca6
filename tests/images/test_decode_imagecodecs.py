"""Tests of decoding more than 8 bits per channel, and unusual kinds of TIFF and PNG."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ImageError, IncompleteError
from pipeline.images.decode import Picture, SourceFile, decode, dimensions
from tests.images.files import chunk, png, tiff
from tests.images.profiles import CMYK, DISPLAY_P3

DEEP = np.random.default_rng(0).integers(1, 65536, (50, 60, 5), dtype=np.uint16)
ORIENTATION, EXTRA, SUBFILE = 274, 338, 254
STORED = {
    "one strip": {},
    "strips": {"rows": 7},
    "tiles": {"tile": 16},
    "separate": {"separate": True},
    "separate tiles": {"separate": True, "tile": 16},
    "deflate": {"compression": 8, "predictor": 2},
    "lzw": {"compression": 5, "rows": 9},
    "big": {"big": True},
}


def read(data: bytes, ending: str = "tif", max_pixels: int = 10_000) -> Picture:
    """Decode a file; check that its dimensions are found without decoding."""
    source = SourceFile(Path(f"a.{ending}"), data, "0" * 64)
    picture = decode(source, max_pixels=max_pixels)
    assert dimensions(source) == (picture.width, picture.height) == picture.pixels.shape[1::-1]
    return picture


def scaled(samples: np.ndarray) -> np.ndarray:
    """Return samples of 16 bits as RGB, 0–255."""
    return (samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, :1].repeat(3, axis=2)) / 257


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("how", STORED)
@pytest.mark.parametrize(("channels", "photometric"), [(1, 0), (1, 1), (2, 1), (3, 2), (4, 2)])
def test_tiffs_are_read_exactly(how: str, bits: int, order: str, channels: int, photometric: int) -> None:
    stored = DEEP[:, :, :channels] if bits == 16 else np.maximum(DEEP[:, :, :channels] >> 8, 1).astype(np.uint8)
    extra = {EXTRA: (3, (2,))} if channels in (2, 4) else {}
    picture = read(tiff(stored, photometric=photometric, order=order, tags=extra, **STORED[how]))
    top = 2**bits - 1
    np.testing.assert_allclose(
        picture.pixels, scaled(top - stored if photometric == 0 else stored) * (257 if bits == 8 else 1), rtol=1e-6
    )
    assert picture.bits == bits
    assert picture.warnings == ()
    if extra:
        assert picture.alpha is not None
        np.testing.assert_allclose(picture.alpha, stored[:, :, -1] / top, rtol=1e-6)
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("how", STORED)
def test_a_truncated_tiff_is_refused(how: str, kind: type[np.generic], share: float) -> None:
    data = tiff(DEEP[:, :, :3].astype(kind), **STORED[how])
    with pytest.raises(IncompleteError):
        read(data[: int(share * len(data))])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_files_are_turned_once(ending: str, orientation: int) -> None:
    if ending == "tif":
        data = tiff(DEEP[:, :, :3], tags={ORIENTATION: (3, (orientation,))})
    else:
        exif = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)
        data = png(DEEP[:, :, :3], chunk(b"eXIf", exif))
    stored = scaled(DEEP)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).swapaxes(0, 1),
        8: np.rot90(stored),
    }
    np.testing.assert_allclose(read(data, ending).pixels, upright[orientation], rtol=1e-6)


@pytest.mark.parametrize("separate", [False, True])
def test_colours_that_were_multiplied_by_alpha_are_divided(separate: bool) -> None:  # noqa: FBT001
    colours, alpha = DEEP[:, :, :3].astype(float), DEEP[:, :, 3]
    stored = np.dstack([np.rint(colours * alpha[:, :, None] / 65535).astype(np.uint16), alpha])
    picture = read(tiff(stored, separate=separate, tags={EXTRA: (3, (1,))}))
    clearly = alpha > 20_000
    assert np.abs(picture.pixels - colours / 257)[clearly].max() < 0.01


def test_a_channel_that_is_no_alpha_is_left_out() -> None:
    picture = read(tiff(DEEP[:, :, :4], tags={EXTRA: (3, (0,))}))
    assert picture.alpha is None
    np.testing.assert_allclose(picture.pixels, scaled(DEEP), rtol=1e-6)


def test_a_profile_is_applied_to_sixteen_bits() -> None:
    profile = {34675: (7, tuple(DISPLAY_P3))}
    for order in "<>":
        by_tiff = read(tiff(DEEP[:, :, :3], order=order, tags=profile)).pixels
        by_png = read(png(DEEP[:, :, :3], chunk(b"iCCP", b"x\0\0" + zlib.compress(DISPLAY_P3))), "png").pixels
        np.testing.assert_array_equal(by_tiff, by_png)
        assert np.abs(by_tiff - scaled(DEEP)).mean() > 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(DEEP[:, :, :3].astype(np.uint32)), "32 bits per channel"),
        (tiff(DEEP[:, :, :3], tags={339: (3, (2, 2, 2))}), "16 bits per channel, signed"),
        (tiff(DEEP[:, :, :3], photometric=8), "PhotometricInterpretation 8"),
        (tiff(DEEP[:, :, :3], tags={SUBFILE: (4, (1,))}), "camera raw"),
        (tiff(DEEP[:, :, :3], tags={50706: (7, (1, 4, 0, 0))}), "camera raw"),
        (tiff(DEEP[:, :, :1], tags={258: (3, (12,))}, photometric=1), "12 bits per channel"),
    ],
)
def test_what_is_not_read_is_said(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words) as error:
        read(data)
    assert not isinstance(error.value, IncompleteError)


@pytest.mark.parametrize(
    "tags",
    [
        {256: (4, (0,))},
        {257: (4, (0,))},
        {277: (3, (60_000,))},
        {322: (4, (2**31,)), 323: (4, (2**31 - 1,))},
    ],
)
def test_sizes_that_cannot_be_true_are_damage(tags: dict[int, tuple[int, tuple[int, ...]]]) -> None:
    with pytest.raises(IncompleteError, match=r"impossible|two numbers of channels"):
        read(tiff(DEEP[:, :, :3], tags=tags))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pngs_of_sixteen_bits_are_read_exactly(channels: int) -> None:
    stored = DEEP[:, :, :channels]
    picture = read(png(stored), "png")
    np.testing.assert_allclose(picture.pixels, scaled(stored), rtol=1e-6)
    assert (picture.bits, picture.warnings) == (16, ())
    if channels in (2, 4):
        assert picture.alpha is not None
        np.testing.assert_allclose(picture.alpha, stored[:, :, -1] / 65535, rtol=1e-6)


def test_an_interlaced_png_is_read() -> None:
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [
        b"\0" + row.astype(">u2").tobytes()
        for top, left, down, across in passes
        for row in DEEP[top::down, left::across, :3]
    ]
    head = struct.pack(">IIBBBBB", 60, 50, 16, 2, 0, 0, 1)
    chunks = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")]
    picture = read(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), "png")
    np.testing.assert_allclose(picture.pixels, scaled(DEEP), rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_colour_of_a_png_may_be_invisible(channels: int) -> None:
    stored = DEEP[:, :, :channels]
    picture = read(png(stored, chunk(b"tRNS", stored[3, 4].astype(">u2").tobytes())), "png")
    assert picture.alpha is not None
    invisible = (stored == stored[3, 4]).all(axis=2)
    np.testing.assert_array_equal(picture.alpha, ~invisible)
    assert (picture.pixels[invisible] == 255).all()


@pytest.mark.parametrize("lost", [13, 30, 5000])
def test_a_truncated_png_is_refused(lost: int) -> None:
    with pytest.raises(IncompleteError):
        read(png(DEEP[:, :, :3])[:-lost], "png")


@pytest.mark.parametrize("rows", [49, 25])
def test_a_png_with_fewer_rows_than_it_says_is_refused(rows: int) -> None:
    with pytest.raises(IncompleteError):
        read(png(DEEP[:rows, :, :3], size=(60, 50)), "png")


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(png(DEEP[:, :, :3]))
    data[-18] ^= 1
    with pytest.raises(IncompleteError, match="IDAT"):
        read(bytes(data), "png")


def test_cmyk_of_sixteen_bits_is_converted_by_its_profile() -> None:
    deep = read(tiff(DEEP[:, :, :4], photometric=5, tags={34675: (7, tuple(CMYK))}))
    shallow = read(tiff((DEEP[:, :, :4] >> 8).astype(np.uint8), photometric=5, tags={34675: (7, tuple(CMYK))}))
    np.testing.assert_array_equal(deep.pixels, shallow.pixels)
    assert deep.warnings == ("a.tif: more than 8 bits per channel were reduced to 8",)
    assert shallow.warnings == ()


def test_threads_do_not_disturb_each_other() -> None:
    profile = {34675: (7, tuple(DISPLAY_P3))}
    files = [
        tiff(DEEP[:, :, :3], tags=profile),
        tiff(DEEP[:, :, :3], tile=16, tags=profile),
        tiff(DEEP[:, :, :1], photometric=1),
    ]
    broken = [data[: len(data) // 2] for data in files]
    alone = [read(data).pixels for data in files]

    def outcome(data: bytes) -> np.ndarray | None:
        try:
            return read(data).pixels
        except IncompleteError:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(outcome, (files + broken) * 10))
    for number, pixels in enumerate(found):
        if number % 6 < 3:
            np.testing.assert_array_equal(pixels, alone[number % 6])
        else:
            assert pixels is None
