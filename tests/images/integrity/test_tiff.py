"""Tests of TIFF files whose strips or tiles are damaged, missing, or not as large as they should be."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError, IncompleteError
from pipeline.images.decode import Picture, SourceFile, decode
from pipeline.images.file_errors import DamagedError, TruncatedError, UnsupportedError
from pipeline.images.integrity.tiff import check_tiff
from tests.conftest import photo
from tests.images.files import LONG, SHORT, Tiff, tiff

DEEP = np.random.default_rng(0).integers(0, 65536, (50, 60, 4), dtype=np.uint16)
STORED = {
    "one strip": {},
    "strips": {"rows": 7},
    "tiles": {"tile": 16},
    "separate": {"separate": True, "rows": 7},
    "big": {"big": True, "order": ">", "rows": 7},
}


def read(data: bytes) -> Picture:
    return decode(SourceFile(Path("a.tif"), data, ""), max_pixels=10**6)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("how", STORED)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_whole_tiff_is_whole(compression: int, how: str, kind: type[np.generic]) -> None:
    data = tiff(DEEP[:, :, :3].astype(kind), compression=compression, **STORED[how])
    assert check_tiff(data).data is data
    assert check_tiff(data).warnings == ()


@pytest.mark.parametrize("how", STORED)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_wrong_checksum_within_a_strip_or_tile_is_damage(how: str, kind: type[np.generic]) -> None:
    smooth = np.tile(np.arange(60, dtype=kind)[:, None], (50, 1, 3))
    blocks = Tiff(smooth, compression=8, **STORED[how]).blocks()
    data = tiff(smooth, compression=8, **STORED[how])
    at = data.index(blocks[1 if len(blocks) > 1 else 0])
    at += len(blocks[-1 if len(blocks) == 1 else 1]) - 1  # the last byte of the checksum
    with pytest.raises(IncompleteError, match=r"a\.tif: damaged: its pixels cannot be decompressed"):
        read(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


class Wrong(Tiff):
    """A TIFF whose strips hold other rows than they should."""

    def blocks(self) -> list[bytes]:
        return [zlib.compress(zlib.decompress(block)[: -self.tags[65000][1][0]]) for block in super().blocks()]


def test_a_strip_with_too_few_or_too_many_pixels_is_refused() -> None:
    # libtiff leaves the memory of a strip with too many pixels as it was.
    more = {257: (LONG, (48,))}
    with pytest.raises(DamagedError, match="more pixels than it should"):
        check_tiff(tiff(DEEP[:, :, :3], compression=8, tags=more))
    with pytest.raises(TruncatedError, match="before its last pixel"):
        check_tiff(Wrong(DEEP[:, :, :3], compression=8, tags={65000: (SHORT, (6,))}).data())


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({273: (LONG, (10**6,))}, "beyond its end"),
        ({273: (LONG, (300, 300))}, "2 strips or tiles instead of 1"),
        ({278: (LONG, (7,))}, "1 strips or tiles instead of 8"),
        ({277: (SHORT, (1,)), 262: (SHORT, (1,))}, "two numbers of channels, 1 and 3"),
    ],
)
def test_tables_that_cannot_be_true_are_damage(tags: dict[int, tuple[int, tuple[int, ...]]], words: str) -> None:
    class Lying(Tiff):
        def data(self) -> bytes:
            whole = super().data()
            entries = [10 + 12 * each for each in range(int.from_bytes(whole[8:10], "little"))]
            for at in entries:
                tag = int.from_bytes(whole[at : at + 2], "little")
                if tag in tags:
                    kind, numbers = tags[tag]
                    count = len(numbers).to_bytes(4, "little")
                    value = numbers[0].to_bytes(4, "little") if len(numbers) == 1 else (8).to_bytes(4, "little")
                    whole = whole[: at + 2] + kind.to_bytes(2, "little") + count + value + whole[at + 12 :]
            return whole

    with pytest.raises(DamagedError, match=words):
        check_tiff(Lying(DEEP[:, :, :3]).data())


@pytest.mark.parametrize(("back", "is_damage"), [(8, True), (10 * 60 * 3 * 2, False)])
def test_strips_that_overlap_are_damage_but_equal_ones_may_share_their_place(back: int, is_damage: bool) -> None:  # noqa: FBT001
    data = tiff(DEEP[:, :, :3], rows=10)
    first = data.index(DEEP[:10, :, :3].tobytes())
    second = data.index(first.to_bytes(4, "little")) + 4
    at = int.from_bytes(data[second : second + 4], "little") - back
    moved = data[:second] + at.to_bytes(4, "little") + data[second + 4 :]
    if is_damage:
        with pytest.raises(DamagedError, match="overlap"):
            check_tiff(moved)
    else:
        check_tiff(moved)


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "packbits"])
def test_bits_may_be_stored_in_reverse_order(compression: str) -> None:
    buffer, samples = io.BytesIO(), DEEP[:, :, :3].astype(np.uint8)
    Image.fromarray(samples).save(buffer, "TIFF", compression=compression, tiffinfo={266: 2})
    picture = read(buffer.getvalue())
    np.testing.assert_array_equal(picture.pixels, samples)
    assert picture.warnings == ()


def test_no_memory_is_taken_for_strips_or_tiles_that_are_not_there() -> None:
    one, many = (LONG, (1,)), (LONG, (10_000,))
    data = tiff(DEEP[:1, :1, :3], tile=1, tags={256: many, 257: many, 322: one, 323: one})
    tracemalloc.start()
    with pytest.raises(DamagedError, match="1 strips or tiles instead of 100000000"):
        check_tiff(data)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("compression", [5, 32773])
def test_more_than_the_pixels_in_a_strip_is_told(compression: int) -> None:
    samples = DEEP[:, :, :3].astype(np.uint8)
    whole = tiff(samples, compression=compression, rows=7)
    assert read(whole).warnings == ()
    picture = read(tiff(samples, compression=compression, tags={257: (LONG, (48,))}))
    np.testing.assert_array_equal(picture.pixels, samples[:48])
    assert picture.warnings == ("a.tif: may be damaged, look at it: 360 bytes more than its pixels were compressed",)


def test_damage_in_a_jpeg_within_a_tiff_is_told() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo(160, 120)).save(buffer, "TIFF", compression="jpeg", quality=90)
    data = buffer.getvalue()
    assert read(data).warnings == ()
    at = data.rindex(b"\xff\xda") + 400
    with pytest.raises(IncompleteError, match=r"a\.tif: damaged: Corrupt JPEG data"):
        read(data[:at] + bytes(300) + data[at + 300 :])


def test_a_jpeg_within_a_tiff_that_claims_many_pixels_is_not_decoded() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo(160, 120)).save(buffer, "TIFF", compression="jpeg")
    data = buffer.getvalue()
    at = data.rindex(b"\xff\xc0") + 5
    with pytest.raises(IncompleteError, match="too many pixels"):
        read(data[:at] + b"\xff\xdc\xff\xdc" + data[at + 4 :])


def test_memory_that_no_decoder_wrote_is_never_shown() -> None:
    """Damage headers and pixels of 16 bits, and decode twice with different memory in between."""
    chance = np.random.default_rng(7)
    seeds = [
        tiff(DEEP[:18, :24, :3], order=">", compression=8, predictor=2),
        tiff(DEEP[:18, :24, :2], photometric=0, tile=16, compression=8),
    ]
    for number in range(300):
        data = bytearray(seeds[number % 2])
        at = int(chance.integers(8, 250))
        data[at] ^= 1 << int(chance.integers(8))
        outcomes = []
        for filling in (1, 2):
            waste = [np.full(each, filling, np.uint16) for each in (24 * 18, 24 * 18 * 3, 24 * 18 * 2)]
            del waste
            try:
                outcomes.append(read(bytes(data)).pixels)
            except ImageError:
                outcomes.append(np.zeros(0, np.float32))
        np.testing.assert_array_equal(*outcomes)


@pytest.mark.parametrize(
    ("samples", "how", "words"),
    [
        (DEEP[:, :, :4].astype(np.uint8), {"photometric": 5, "tags": {332: (SHORT, (2,))}}, "inks other than cyan"),
        (DEEP[:, :, :3].astype(np.uint8), {"photometric": 6, "tags": {530: (SHORT, (2, 2))}}, "subsampled colours"),
        (DEEP[:, :, :3].astype(np.uint8), {"photometric": 8}, "LAB"),
        (DEEP[:, :, :3], {"photometric": 8}, "PhotometricInterpretation 8"),
        (DEEP[:, :, :3], {"photometric": 34892}, "PhotometricInterpretation 34892"),
        (DEEP[:, :, :2], {"photometric": 2}, "PhotometricInterpretation 2, 2 channels"),
        (DEEP[:, :, :1], {"photometric": 3}, "PhotometricInterpretation 3"),
        (DEEP[:, :, :3], {"tags": {339: (SHORT, (3, 3, 3))}}, "floating-point"),
        (DEEP[:, :, :3], {"tags": {258: (SHORT, (5, 6, 5))}}, "channels of 5, 6 bits"),
        (np.zeros((9, 9, 9), np.uint8), {}, "9 channels"),
    ],
)
def test_what_is_whole_but_not_read_is_no_damage(samples: np.ndarray, how: dict[str, object], words: str) -> None:
    with pytest.raises(ImageError, match=words) as error:
        read(tiff(samples, **how))
    assert not isinstance(error.value, IncompleteError)
    assert isinstance(error.value.__cause__, UnsupportedError)
    assert error.value.remedy.startswith("Convert it to")
